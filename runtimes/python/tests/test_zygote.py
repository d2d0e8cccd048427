"""Workers in the real sandbox, forked from a real zygote."""

import json
import textwrap

import frames
import pytest
import worker as workers
from zygote import Zygote

pytestmark = pytest.mark.skipif(
    workers.UNDER_SANITIZER,
    reason="a sanitizer reserves terabytes of addresses, which the sandbox's limits forbid",
)

HANDLER = """
    import json, os, socket, sys

    def handle(req):
        print("path", req.path)
        if req.path == "/exit":
            os._exit(5)
        return {"body": [req.path, req.query.get("company"), os.getcwd(), os.getuid(), socket.gethostname(), dict(os.environ),
                         sys.path[0], os.listdir("/function"), open("data.txt").read()]}
"""


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zygote")
    (folder / "root").mkdir()
    zygote = Zygote(folder / "root")
    assert zygote.report("ready")["runtime"].startswith("python 3.")
    yield zygote
    zygote.close()
    assert zygote.process.returncode == 0
    assert zygote.error_text() == "", "nothing went wrong, in rehearsals neither"


@pytest.fixture
def sandboxed(zygote, tmp_path):
    """Starts a sandboxed worker for the source of a handler."""
    started = []

    def start(source, data="data", **limits):
        bundle = tmp_path / f"bundle{len(started)}"
        bundle.mkdir(mode=0o755)
        (bundle / "handler.py").write_text(textwrap.dedent(source))
        (bundle / "data.txt").write_text(data)
        for folder in (tmp_path, *tmp_path.parents[:2]):
            folder.chmod(0o755)
        worker = zygote.start(f"{tmp_path.name}-{len(started)}", bundle, **limits)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.close()
        zygote.send({"op": "kill", "worker": worker.name})


def test_a_call_in_the_sandbox(sandboxed):
    worker = sandboxed(HANDLER)
    assert worker.ready()["async"] is False
    outcome = worker.call(path=b"/stock", query=b"company=Google")
    path, company, cwd, uid, host, env, first_path, files, data = json.loads(outcome.body)
    assert (path, company, cwd, host, first_path, data) == (
        "/stock",
        "Google",
        "/function",
        "hello",
        "/function",
        "data",
    )
    assert uid == 1000 and sorted(files) == ["data.txt", "handler.py"]
    assert sorted(env) == [
        "HOME",
        "LANG",
        "PATH",
        "STERNA_FUNCTION",
        "STERNA_INSTANCE",
        "STERNA_SPACE",
        "STERNA_VERSION",
    ]
    assert outcome.logs == [(1, 1, "path /stock\n")]


def test_shutdown_and_exit_are_reported(sandboxed):
    worker = sandboxed(HANDLER)
    worker.ready()
    worker.send(frames.frame(frames.SHUTDOWN))
    report = worker.exit_report()
    assert (report["code"], report["signal"], report["error"]) == (0, None, "")
    worker = sandboxed(HANDLER)
    worker.ready()
    worker.request(1, path=b"/exit")
    assert worker.exit_report()["code"] == 5


def test_a_crash_is_reported_and_traced(sandboxed):
    worker = sandboxed("import ctypes\ndef handle(req): ctypes.string_at(0)\n")
    worker.ready()
    worker.request(1)
    assert worker.exit_report()["signal"] == 11
    assert "Segmentation fault" in worker.output_text()


def test_load_failure(sandboxed):
    worker = sandboxed("def handle(req)\n")
    got = worker.next()
    assert got.type == frames.LOAD_FAILED and b"handler.py, line 1: SyntaxError" in got.payload
    assert worker.exit_report()["code"] == 1


def test_spares_serve_and_are_independent(zygote, sandboxed):
    zygote.send({"op": "spares", "network": "none", "count": 2})
    try:
        first, second = sandboxed(HANDLER, "one"), sandboxed(
            "async def handle(req): return {'body': open('data.txt').read()}\n", "two"
        )
        assert first.ready()["async"] is False and second.ready()["async"] is True
        assert second.call().body == b"two"
        assert json.loads(first.call().body)[-1] == "one"
    finally:
        zygote.send({"op": "spares", "network": "none", "count": 0})


def test_warm_modules_do_not_leak_state_between_workers(sandboxed):
    source = "import random, uuid\ndef handle(req): return {'body': [random.random(), str(uuid.uuid4())]}\n"
    answers = []
    for _ in range(2):
        worker = sandboxed(source)
        worker.ready()
        answers.append(json.loads(worker.call().body))
    assert answers[0][0] != answers[1][0] and answers[0][1] != answers[1][1]


def own_kib(pid):
    """What a process has that it shares with nobody, and its share of the rest."""
    fields = {}
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            name, _, value = line.partition(":")
            if value.strip().endswith("kB"):
                fields[name] = int(value.split()[0])
    return fields


def test_an_idle_worker_is_small(zygote, sandboxed):
    workers = [sandboxed("def handle(req): return {'body': req.body}\n") for _ in range(5)]
    pids = []
    for worker in workers:
        worker.ready()
        assert worker.call(body=b"x" * 64).body == b"x" * 64
        pids.append(zygote.report("started", worker.name)["pid"])
    assert max(own_kib(pid)["Private_Dirty"] for pid in pids) < 4096
