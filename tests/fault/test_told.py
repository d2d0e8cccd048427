"""What /readyz, which everybody may read, and the log, which operators read, say of a cause."""

import os
import shutil
import signal

import pytest

import sterna
from campaign import OPTIONS
from health import readiness, wait_for_problem
from living import zygotes
from polling import eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="removing a bundle's read-only files needs root")

HANDLER = "def handle(req):\n    return {'body': 'ok'}\n"


def said(server, component):
    return [each["detail"] for each in readiness(server)[1]["problems"] if each["component"] == component]


def log_has(server, *texts):
    return any(all(text in line for text in texts) for line in server.log().splitlines())


def test_a_runtime_whose_interpreter_is_gone(tmp_path):
    folder = tmp_path / "secret-place"
    folder.mkdir()
    real = os.path.realpath("/usr/bin/python3")
    python = folder / os.path.basename(real)
    shutil.copy2(real, python)
    server = sterna.Server(tmp_path / "data", *OPTIONS, "--python", str(python)).start()
    try:
        server.deploy("f", HANDLER)
        python.unlink()
        for zygote in zygotes(server):
            zygote.send_signal(signal.SIGKILL)
        wait_for_problem(server, "runtime", "runtime_down")
        eventually(lambda: log_has(server, "a runtime is down", str(python), "No such file"))
        details = said(server, "runtime")
        assert details
        assert not [detail for detail in details if "/" in detail], details
    finally:
        server.stop()


def test_a_function_whose_code_is_gone(server):
    server.deploy("gone", HANDLER, limits={"idle_seconds": 1, "queue_wait_seconds": 1})
    server.deploy("other", HANDLER + "# of another bundle\n")
    [bundle] = [each for each in (server.data_dir / "bundles").iterdir() if (each / "handler.py").read_text() == HANDLER]
    eventually(lambda: server.replicas("gone") == 0)
    shutil.rmtree(bundle)
    answer = server.call("gone")
    assert (answer.status_code, answer.json()["reason"]) == (503, "cannot_start_worker")
    wait_for_problem(server, "pool", "cannot_start_workers")
    [detail] = said(server, "pool")
    assert "machine" not in detail
    eventually(lambda: log_has(server, "a worker cannot be started", '"gone"', "No such file"))
    assert server.call("other").text == "ok"
