"""Processes that are stopped (SIGSTOP) in each state: the server notices by itself, and calls are answered by others."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

import sterna
from async_calls import call
from campaign import OPTIONS
from health import told, wait_for_problem, wait_until_well
from living import init_of, networks, workers, workers_with, zygotes
from polling import eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="looking into sandboxes needs root")

# Sleeps as long as its body says. Its workers are known by a file, and another one tells that a call has begun.
SLEEPS = """
import pathlib, time
pathlib.Path("/tmp/of-NAME").touch()
def handle(req):
    pathlib.Path("/tmp/begun-NAME").touch()
    time.sleep(float(req.body or b"0"))
    return {"body": "ok"}
"""


@pytest.fixture
def server(tmp_path):
    running = sterna.Server(tmp_path / "data", *OPTIONS, "--spares", "1").start()
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0, running.log()[-4000:]


def deploy(server, name, timeout=4, **limits):
    server.deploy(name, SLEEPS.replace("NAME", name),
                  limits={"network": "none", "max_replicas": 1, "timeout_seconds": timeout, "queue_wait_seconds": 30, **limits})  # fmt: skip


def stop_worker(server, name, with_init=False):
    """Stops the one worker of a function, once it has begun a call."""
    [worker] = eventually(lambda: workers_with(server, f"begun-{name}"))
    init = init_of(server, worker)
    assert worker.send_signal(signal.SIGSTOP)
    if with_init:
        assert init.send_signal(signal.SIGSTOP)
    return worker


def ok(server, name, body=b""):
    answer = server.call(name, method="POST", content=body)
    assert (answer.status_code, answer.text) == (200, "ok"), answer.text


def idle(server, name, with_init=False):
    deploy(server, name)
    ok(server, name)
    hung = stop_worker(server, name, with_init)
    ok(server, name)  # it was given to the one that hangs, which has not begun it
    eventually(lambda: not hung.is_alive())


def busy(server, name):
    deploy(server, name, timeout=2)
    made = call(server, name, content=b"1.2")
    hung = stop_worker(server, name)
    found = made.ended(30)
    assert found["state"] == "succeeded"
    assert [each["reason"] for each in found["attempts"]] == ["function_timeout", None]
    assert not hung.is_alive()


def draining(server, name):
    deploy(server, name)
    ok(server, name)
    hung = stop_worker(server, name)
    deploy(server, name, timeout=5)  # another version takes over, and the worker is to leave
    ok(server, name)
    eventually(lambda: not hung.is_alive(), 15)


def with_network(server, name):
    """What brings a worker its network is stopped, and the worker ends: the server waits for nothing."""
    source = "import socket\n" + SLEEPS.replace("NAME", name).replace("    time.sleep", "    socket.socket().close()\n    time.sleep")
    server.deploy(name, source, limits={"network": "egress", "max_replicas": 1})
    ok(server, name)
    [network] = eventually(lambda: networks(server))
    assert network.send_signal(signal.SIGSTOP)
    [worker] = workers_with(server, f"begun-{name}")
    worker.send_signal(signal.SIGKILL)
    eventually(lambda: not network.is_alive())
    ok(server, name)


def test_workers_that_hang_are_replaced(server):
    cases = [(idle, "idle"), (lambda *which: idle(*which, with_init=True), "idle-init"), (busy, "busy"), (draining, "draining"), (with_network, "network")]
    with ThreadPoolExecutor() as pool:
        for case in [pool.submit(run, server, name) for run, name in cases]:
            case.result(60)


def test_one_that_hangs_before_it_has_begun_to_load_is_replaced(server):
    """A spare: it never enters its sandbox."""
    deploy(server, "first")
    ok(server, "first")

    def spares():
        used = {each.pid for each in workers_with(server, "of-first")}
        return [each for each in workers(server) if each.pid not in used]

    for spare in eventually(spares):
        spare.send_signal(signal.SIGSTOP)
    deploy(server, "second")
    ok(server, "second")
    assert server.get("second")["status"] == "Running"


def test_a_zygote_that_hangs_or_dies_is_started_again(server):
    deploy(server, "f")
    ok(server, "f")
    old = zygotes(server)[0]
    assert old.send_signal(signal.SIGKILL)
    wait_for_problem(server, "runtime", "runtime_down")
    eventually(lambda: zygotes(server))  # though nobody calls
    wait_until_well(server)
    ok(server, "f")

    hung = zygotes(server)[0]
    assert hung.send_signal(signal.SIGSTOP)
    ok(server, "f")  # the workers serve on
    for worker in workers_with(server, "of-f"):
        worker.send_signal(signal.SIGKILL)
    ok(server, "f")  # waits until another zygote makes a worker
    assert not hung.is_alive()
    wait_until_well(server)
    assert told(server, "runtime_down") == (2, 2)


def test_a_reader_of_the_log_that_stands_still_stops_nobody(tmp_path):
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as lines:
        server = sterna.Server(tmp_path / "data", *OPTIONS)
        server.start(log=writer)
        server.deploy("f", "def handle(req):\n    return {'body': 'ok'}\n")
        full = os.open(f"/proc/self/fd/{writer}", os.O_WRONLY | os.O_NONBLOCK)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(full, b".")
        os.close(full)
        os.close(writer)
        old = zygotes(server)
        for zygote in old:
            assert zygote.send_signal(signal.SIGKILL)  # is told in the log
        eventually(lambda: server.client.get("/readyz", timeout=5).json()["status"] != "ready")
        assert server.client.get("/healthz", timeout=5).status_code == 200
        eventually(lambda: server.call("f", timeout=5).text == "ok")
        os.kill(server.pid(), signal.SIGTERM)
        assert server.process.wait(20) == 0
        server.client.close()
        # What fits into the queue was kept for as long as the server ran.
        assert b"listening" in lines.read(1 << 20)
