"""Hostile functions in every template: what they try is in attacks.py and bombs.py."""

import os
import socket
import threading

import httpx
import pytest

import attacks
from launchers import TEMPLATES, run
from polling import eventually
from sterna import Server

ENVIRONMENT = {"SECRET_OF_THE_SERVER": "marker-of-the-servers-environment"}
MARKERS = [
    *ENVIRONMENT.values(),
    "marker-of-the-neighbours-secret",
    "marker-of-the-neighbours-variable",
    "marker-of-the-neighbours-code",
]

# Leaves what others must not find, and answers how it is.
NEIGHBOUR = """
import ctypes, os, pathlib

MARK = "marker-of-the-neighbours" + "-code"
libc = ctypes.CDLL(None)
for folder in ("/tmp", "/dev/shm"):
    pathlib.Path(folder, "neighbours").write_text(MARK)
libc.shmget(0x57E2, 4096, 0o1666)
libc.msgget(0x57E2, 0o1666)

def handle(req):
    return {"body": {"pid": os.getpid(), "tmp": os.listdir("/tmp"), "secret": os.path.exists("/run/secrets/KEY")}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("server") / "data", environment=ENVIRONMENT).start()
    assert running.request("PUT", "/spaces/default/secrets/KEY", json={"value": MARKERS[1]}).status_code in (200, 201, 204)
    running.deploy(
        "neighbour",
        {"handler.py": NEIGHBOUR, "code.txt": MARKERS[3]},
        env={"SECRET_VARIABLE": MARKERS[2]},
        secrets=["KEY"],
        limits={"network": "none", "min_replicas": 1, "max_replicas": 1, "warm_parent": False},
    )
    assert is_well(running)
    yield running
    assert running.stop() == 0, running.log()[-4000:]


@pytest.fixture(scope="module", params=TEMPLATES, ids=lambda template: template.name)
def template(request):
    return request.param


def is_well(server):
    """The server and the neighbour go on as if nothing were."""
    answer = server.call("neighbour")
    assert answer.status_code == 200 and answer.json() == {"pid": 2, "tmp": ["neighbours"], "secret": True}, answer.text
    return server.request("GET", "/healthz").status_code == 200


@pytest.fixture(scope="module")
def reached(server, template):
    """What each attack has reached in this template."""
    name = f"attacker-{template.name}"
    template.deploy(server, name, memory_mb=256, timeout_seconds=120, max_replicas=1)
    abstract = f"sterna-escape-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket() as web:
        listener.bind("\0" + abstract)
        listener.listen()
        web.bind(("0.0.0.0", 0))
        web.listen()
        answer = run(
            server,
            name,
            "attacks",
            {
                "markers": MARKERS,
                "data_dir": str(server.data_dir),
                "pids": [server.pid(), os.getpid(), *[each.pid for each in server.processes()]],
                "port": web.getsockname()[1],
                "abstract": abstract,
                "addresses": sorted({each[4][0] for each in socket.getaddrinfo(socket.gethostname(), 0, socket.AF_INET)}),
            },
        )
        assert answer.status_code == 200, (answer.text, server.logs(name)[-20:])
        web.setblocking(False)
        with pytest.raises(BlockingIOError):
            web.accept()
        return answer.json()


@pytest.mark.parametrize("attack", [each.__name__ for each in attacks.ATTACKS])
def test_attacks_reach_nothing(server, reached, attack):
    assert reached[attack] == []
    assert is_well(server)


# How much each may take, at most, before it is stopped; all within one worker's memory, processes and file systems.
EVERYWHERE = ["fork", "memory", "disk", "descriptors", "log"]
BOMBS = [*EVERYWHERE, "threads", "inodes", "giant_file", "sockets", "segments", "watches", "timers"]
# What differs between templates is who starts the program, and whose its output is.
WHOLE = ("python3-http", "command")
BOMB_LIMITS = {"memory_mb": 96, "max_pids": 24, "timeout_seconds": 3, "max_replicas": 1}


def run_or_none(server, name, program):
    """None for an answer that broke off: where the output is the answer's body, it ends with the program."""
    try:
        return run(server, name, program)
    except httpx.RemoteProtocolError:
        return None


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_go_off_in_their_own_sandbox(server, template, kind):
    if kind not in EVERYWHERE and template.name not in WHOLE:
        pytest.skip("the same as in other templates")
    name = f"bomber-{template.name}"
    if server.request("GET", f"/spaces/default/functions/{name}").status_code == 404:
        template.deploy(server, name, **BOMB_LIMITS)
    before = server.memory_kib()
    answers = []
    bombing = threading.Thread(target=lambda: answers.append(run_or_none(server, name, f"bombs/{kind}")))
    bombing.start()
    while bombing.is_alive():
        assert is_well(server)
        bombing.join(0.05)
    answer = answers[0]
    assert answer is None or "never" not in answer.text, answer.text
    if answer is not None and answer.status_code >= 500 and "reason" in answer.text:
        assert answer.json()["reason"] in ("out_of_memory", "worker_died", "function_timeout", "bad_function_response", "function_raised"), answer.text
    assert server.memory_kib() - before < 64 * 1024
    run_or_none(server, name, "bombs/leave")
    eventually(lambda: run(server, name, "bombs/nothing").text.strip() == "harmless", 20)
    assert is_well(server)
