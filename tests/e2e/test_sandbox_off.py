"""`sandbox = "off"`: functions find what they find in a sandbox, and nothing keeps them in it."""

import os
import pathlib
import socket
import subprocess
import threading

import pytest

from polling import eventually
from sterna import BINARY, Server, function_path

LOOK = """
import json, os, pathlib, socket, subprocess

def handle(req):
    kind = req.query.get("kind")
    if kind == "walls":
        status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
        return {"body": {
            "namespaces": {name: os.readlink("/proc/self/ns/" + name) for name in os.listdir("/proc/self/ns")},
            "seccomp": status["Seccomp"], "capabilities": status["CapEff"], "user": os.getuid(),
            "host": socket.gethostname(), "groups": open("/proc/self/cgroup").read()}}
    if kind == "files":
        pathlib.Path("/tmp/mine").write_text("x")
        return {"body": {"function": sorted(os.listdir("/function")), "tmp": os.listdir("/tmp"),
                         "secret": pathlib.Path("/run/secrets/KEY").read_text(), "here": __file__}}
    if kind == "connect":
        with socket.create_connection(("127.0.0.1", int(req.query["port"])), 5) as connection:
            return {"body": connection.recv(16)}
    if kind == "linger":
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        os.kill(os.getpid(), 9)
"""

NODE_SERVER = """
require("node:http").createServer((req, res) => req.pipe(res)).listen(process.env.PORT, "127.0.0.1");
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("off") / "data", "--sandbox", "off").start()
    running.request("PUT", "/spaces/default/secrets/KEY", json={"value": "hush"}).raise_for_status()
    running.deploy("look", LOOK, secrets=["KEY"], limits={"network": "none"})
    yield running
    assert running.stop() == 0


def look(server, kind, **more):
    answer = server.call("look", params={"kind": kind, **more})
    assert answer.status_code == 200, answer.text
    return answer


def test_the_walls_are_not_there(server):
    seen = look(server, "walls").json()
    own = {"mnt", "pid", "pid_for_children"} | ({"user"} if os.geteuid() != 0 else set())
    for name, link in seen["namespaces"].items():
        here = os.readlink(f"/proc/{server.pid()}/ns/{name}")
        assert (link != here) == (name in own), name
    assert seen["seccomp"] == "0"
    assert seen["host"] == socket.gethostname()
    assert "sterna" not in seen["groups"]
    assert int(seen["capabilities"], 16) == 0  # it is nobody's root for all that
    assert seen["user"] == 1000


def test_files_have_their_places(server):
    seen = look(server, "files").json()
    assert "handler.py" in seen["function"] and seen["here"].startswith("/function/")
    assert seen["tmp"] == ["mine"]
    assert seen["secret"] == "hush"


def test_the_network_is_the_machines(server):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"hello")

        thread = threading.Thread(target=serve)
        thread.start()
        answer = look(server, "connect", port=listener.getsockname()[1])
        thread.join(20)
    assert answer.content == b"hello"


def test_a_worker_takes_its_processes_along(server):
    assert server.call("look", params={"kind": "linger"}).status_code == 502
    eventually(lambda: not [each for each in server.processes() if each.name() == "sleep"], 10)


@pytest.mark.parametrize("template", ["node-http", "command", "http"])
def test_other_templates_run(server, template):
    source, more = {
        "node-http": ({"handler.js": "exports.handle = (req) => ({ body: req.body })"}, {}),
        "command": ({"bootstrap": "#!/bin/sh\ncat\n"}, {}),
        "http": ({"server.js": NODE_SERVER}, {"command": ["node", "server.js"]}),
    }[template]
    server.deploy(f"other-{template}", source, template=template, **more)
    answer = server.call(f"other-{template}", method="POST", content=b"through")
    assert (answer.status_code, answer.content) == (200, b"through"), answer.text


def test_it_is_shown_and_warned_of(server):
    shown = server.request("GET", function_path("look") + "/sandbox").json()
    assert shown["sandbox"] == "off"
    assert shown["network"]["kind"] == "host"
    assert not any(shown["enforced"][name] for name in ("namespaces", "system_call_filter", "memory", "egress_filter"))
    assert "THE SANDBOX IS OFF" in shown["missing"][0]
    warned = [line for line in server.log().splitlines() if "THE SANDBOX IS OFF" in line]
    assert len(warned) == 1


def test_the_machine_is_not_changed(server):
    # What a sandbox sets for its own namespaces would be the machine's here.
    look(server, "walls")
    assert int(pathlib.Path("/proc/sys/user/max_user_namespaces").read_text()) > 0
    assert int(pathlib.Path("/proc/sys/user/max_inotify_instances").read_text()) > 4


def test_only_loopback_can_be_served_so(tmp_path):
    done = subprocess.run(
        [BINARY, "serve", "--listen", "0.0.0.0:0", "--data-dir", tmp_path / "data", "--sandbox", "off"],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode != 0
    assert "sandbox off puts no walls around functions" in done.stderr
