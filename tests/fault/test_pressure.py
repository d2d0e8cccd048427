"""The machine has no more processes or memory for workers: the server stays up, says so, and starts them when it has."""

import os
import signal

import pytest

from async_calls import call
from health import wait_for_problem, wait_until_well
from living import workers
from polling import eventually
from sterna import problem_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="limits of the server's cgroups need root")

SLEEPS = "import time\ndef handle(req):\n    time.sleep(float(req.body or b'0'))\n    return {'body': 'ok'}\n"
EATS = "def handle(req):\n    kept = bytearray(b'x') * (90 << 20)\n    return {'body': str(len(kept))}\n"


def homes(server, file):
    """The server's own folders of cgroups that have such a file, in which those of the workers are."""
    found = {group.parent for worker in workers(server) for group in worker.process.cgroups() if "sterna" in str(group)}
    return [home / file for home in found if (home / file).exists()]


def limit(server, names, value):
    """Sets the limit; answers what puts it back."""
    for name in names:
        for path in homes(server, name):
            before = path.read_text().strip()
            path.write_text(str(value))
            return lambda: path.write_text(before)
    pytest.skip(f"there is no {names}")


def test_no_processes(server):
    server.deploy("f", SLEEPS, limits={"max_replicas": 4, "network": "none", "queue_wait_seconds": 3})
    assert server.call("f").text == "ok"
    put_back = limit(server, ["pids.max"], 1)
    try:
        for worker in workers(server):  # the spares, too
            worker.send_signal(signal.SIGKILL)
        wait = call(server, "f", content=b"0")
        problem_of(server.call("f"), 503, "cannot_start_worker", "platform")
        wait_for_problem(server, "pool", "cannot_start_workers")
        assert server.get("f")["status"] == "Running"
        assert wait.get()["state"] in ("queued", "running")
    finally:
        put_back()
    assert wait.ended(30)["state"] == "succeeded"
    assert len(wait.get()["attempts"]) == 1  # nothing was spent on starts that failed
    assert server.call("f").text == "ok"
    wait_until_well(server)


def test_no_memory_for_all_workers_together(server):
    """Each has room by its own limit; the machine has not for all. Who loses is told the truth; the server lives."""
    server.deploy("eats", EATS, limits={"memory_mb": 128, "network": "none", "max_replicas": 1})
    server.deploy("f", SLEEPS, limits={"max_replicas": 1, "network": "none"})
    assert server.call("f").text == "ok"
    assert server.call("eats").text == str(90 << 20)
    put_back = limit(server, ["memory.max", "memory.limit_in_bytes"], 70 << 20)
    try:
        answer = server.call("eats")
        assert answer.status_code == 502 and answer.json()["reason"] in ("out_of_memory", "worker_died"), answer.text
        assert server.request("GET", "/healthz").status_code == 200
    finally:
        put_back()
    eventually(lambda: server.call("eats").text == str(90 << 20), 20)
    eventually(lambda: server.call("f").text == "ok", 20)
    wait_until_well(server)
