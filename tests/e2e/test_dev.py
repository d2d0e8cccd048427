"""`sterna dev` against files that change: reload, failures, logs, timings, and a clean end."""

import json
import os
import pathlib
import queue
import signal
import subprocess
import threading

import httpx
import pytest

import processes
from polling import eventually
from sterna import BINARY, RUNTIME_OPTIONS

PATIENCE = 60
PYTHON = "def handle(req):\n    print('seen', req.path)\n    return {'body': '%s'}\n"
NODE = "exports.handle = async (req) => { console.log('seen', req.path); return { body: '%s' }; };\n"


class Dev:
    """A running `sterna dev --json`; its events as they come."""

    def __init__(self, *arguments, environment=None, prefix=()):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("STERNA_")}
        if RUNTIME_OPTIONS:
            clean["STERNA_RUNTIME_DIR"] = RUNTIME_OPTIONS[1]
        self.process = subprocess.Popen(
            [*prefix, str(BINARY), "dev", "--json", *map(str, arguments)], env={**clean, **(environment or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.events = queue.Queue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))

    def next(self, kind, accept=lambda event: True):
        """The next event of the kind that is accepted; others before it are passed over."""
        passed = []
        while True:
            try:
                event = self.events.get(timeout=PATIENCE)
            except queue.Empty:
                raise AssertionError(f"no {kind}; there were {passed}") from None
            if event["event"] == kind and accept(event):
                return event
            passed.append(event)

    def end(self, by=signal.SIGINT):
        started = processes.descendants(self.process.pid)
        self.process.send_signal(by)
        status = self.process.wait(PATIENCE)
        eventually(lambda: not [each for each in started if each.is_alive()], PATIENCE)
        return status


@pytest.fixture
def dev(tmp_path_factory):
    started = []
    temporary = {"TMPDIR": str(tmp_path_factory.mktemp("temporary"))}

    def start(*arguments, environment=None, prefix=()):
        started.append(Dev(*arguments, environment={**temporary, **(environment or {})}, prefix=prefix))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            assert each.end() == 0, each.process.stderr.read()


def call(url, path=""):
    return httpx.get(url + path, timeout=60, trust_env=False)


@pytest.mark.parametrize(("file", "source"), [("handler.py", PYTHON), ("handler.js", NODE)])
def test_a_saved_file_answers_from_then_on(dev, tmp_path, file, source):
    (tmp_path / file).write_text(source % "one")
    running = dev(tmp_path, "--name", "mine")
    url = running.next("serving")["url"]
    assert running.next("deployed")["version"] == 1
    assert call(url).text == "one"
    (tmp_path / file).write_text(source % "two")
    eventually(lambda: call(url).text == "two", PATIENCE)
    assert running.next("changed")["paths"] == [file]
    assert running.next("deployed")["version"] == 2


def test_logs_and_timings_are_shown(dev, tmp_path):
    (tmp_path / "handler.py").write_text(PYTHON % "one")
    running = dev(tmp_path, "--name", "mine")
    url = running.next("serving")["url"]
    running.next("deployed")
    assert call(url, "/a?b=1").status_code == 200
    assert running.next("log")["record"]["text"] == "seen /a"
    run = running.next("invocation")["record"]["invocation"]
    assert (run["method"], run["path"], run["query"], run["status"]) == ("GET", "/a", "b=1", 200)
    assert run["duration_seconds"] > 0 and run["version"] == 1


def test_what_does_not_load_leaves_the_old_version_answering(dev, tmp_path):
    (tmp_path / "handler.py").write_text(PYTHON % "one")
    running = dev(tmp_path, "--name", "mine")
    url = running.next("serving")["url"]
    running.next("deployed")
    (tmp_path / "handler.py").write_text("def handle(req:\n")
    failed = running.next("failed")
    assert "handler.py" in failed["reason"] and "line 1" in failed["reason"] and failed["active_version"] == 1
    assert call(url).text == "one"
    (tmp_path / "function.toml").write_text("name = \n")
    assert "function.toml line 1" in running.next("error")["detail"]
    (tmp_path / "function.toml").unlink()
    (tmp_path / "handler.py").write_text(PYTHON % "mended")
    running.next("deployed")
    assert call(url).text == "mended"


def test_what_a_build_prints_is_shown_as_it_comes(dev, tmp_path):
    source = '#include <sterna/function.h>\n%s\nsterna::Response handle(const sterna::Request&) { return {}; }\n'
    (tmp_path / "handler.cc").write_text(source % "#warning seen by the compiler")
    running = dev(tmp_path, "--name", "mine")
    running.next("build", lambda event: "seen by the compiler" in event["record"]["text"])
    assert running.next("deployed")["status"] == "Running"
    (tmp_path / "handler.cc").write_text(source % "#error not yet")
    running.next("build", lambda event: "not yet" in event["record"]["text"])
    assert "handler.cc" in running.next("failed")["reason"]


def test_new_modules_and_editors_that_rename(dev, tmp_path):
    (tmp_path / "handler.py").write_text(PYTHON % "one")
    running = dev(tmp_path, "--name", "mine")
    url = running.next("serving")["url"]
    running.next("deployed")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "words.py").write_text("WORD = 'from a module'\n")
    (tmp_path / ".handler.py.tmp").write_text(
        "from lib.words import WORD\ndef handle(req):\n    return {'body': WORD}\n"
    )
    (tmp_path / ".handler.py.tmp").rename(tmp_path / "handler.py")
    eventually(lambda: call(url).text == "from a module", PATIENCE)
    (tmp_path / "lib" / "words.py").write_text("WORD = 'from a changed module'\n")
    eventually(lambda: call(url).text == "from a changed module", PATIENCE)


# Root without the power over files that others have closed, which is what a user is.
LIKE_A_USER = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []


@pytest.mark.parametrize("prefix", [[], LIKE_A_USER], ids=["as it is", "like a user"])
def test_nothing_is_left_at_the_end(dev, tmp_path, prefix):
    (tmp_path / "code").mkdir()
    (tmp_path / "temporary").mkdir()
    (tmp_path / "code" / "handler.py").write_text(PYTHON % "one")
    running = dev(tmp_path / "code", environment={"TMPDIR": str(tmp_path / "temporary")}, prefix=prefix)
    running.next("deployed")
    assert len(list((tmp_path / "temporary").iterdir())) == 1
    assert running.end() == 0
    assert list((tmp_path / "temporary").iterdir()) == []


def test_its_server_goes_with_it_when_it_is_killed(dev, tmp_path):
    (tmp_path / "handler.py").write_text(PYTHON % "one")
    running = dev(tmp_path)
    running.next("deployed")
    assert running.end(by=signal.SIGKILL) == -signal.SIGKILL


def test_a_server_that_is_there_is_used_and_left(dev, server, tmp_path):
    (tmp_path / "handler.py").write_text(PYTHON % "one")
    running = dev(tmp_path, "--name", "guest", "--url", server.url)
    assert running.next("serving")["server"] == server.url
    running.next("deployed")
    assert running.end() == 0
    assert server.call("guest").text == "one"


def test_what_cannot_begin_says_why(tmp_path):
    def run(*arguments):
        return subprocess.run(
            [str(BINARY), "dev", *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE
        )

    missing = run(tmp_path / "missing")
    assert missing.returncode == 2 and "missing" in missing.stderr
    pathlib.Path(tmp_path / "handler.py").write_text(PYTHON % "one")
    unreachable = run(tmp_path, "--url", "http://127.0.0.1:1")
    assert unreachable.returncode == 3 and "no server answers" in unreachable.stderr


def test_invocations_can_be_followed(server):
    server.deploy("followed", PYTHON % "one")
    path = "/spaces/default/functions/followed/logs"
    refused = server.request("GET", path, params={"invocations": "true"})
    assert refused.status_code == 400 and "follow=true" in refused.json()["detail"]
    with server.client.stream("GET", path, params={"follow": "true", "invocations": "true", "tail": 0}) as stream:
        call_id = server.call("followed", "/x", method="PUT").headers["x-call-id"]
        records = (json.loads(line) for line in stream.iter_lines())
        seen = next(each for each in records if each["stream"] == "invocation")
    assert seen["call_id"] == call_id and seen["invocation"]["method"] == "PUT"
    assert seen["text"].startswith("PUT /x 200 in ")
    assert "invocation" not in {each["stream"] for each in server.logs("followed")}
