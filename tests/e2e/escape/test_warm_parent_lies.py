"""A handler that has its own system call filter answer for the kernel before its worker becomes a warm parent."""

import errno
import threading

import processes
from launchers import PROGRAMS
from polling import eventually
from sterna import function_path

# "setns" and "drop this capability" succeed for whoever is under the filter, and do nothing.
LIAR = """
import ctypes, os, struct, time

until = time.monotonic() + 0.3
while time.monotonic() < until:
    pass
libc = ctypes.CDLL(None, use_errno=True)

def step(code, yes, no, value):
    return struct.pack("HBBI", code, yes, no, value)

LOAD, EQUAL, ANSWER = 0x20, 0x15, 0x06
steps = [step(LOAD, 0, 0, 0), step(EQUAL, 0, 1, 308), step(ANSWER, 0, 0, 0x50000), step(EQUAL, 0, 3, 157),
         step(LOAD, 0, 0, 16), step(EQUAL, 0, 1, 24), step(ANSWER, 0, 0, 0x50000), step(ANSWER, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(steps))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
INSTALLED = libc.syscall(317, 1, 0, program)
FAKED = libc.syscall(308, -1, 0)

def handle(req):
    if req.path == "/spin":
        libc.prctl(15, b"runaway", 0, 0, 0)
        while True:
            pass
    if req.path == "/mark":
        open("/tmp/left", "w").close()
    numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return {"body": {"filter": [INSTALLED, FAKED], "pid": os.getpid(), "processes": numbers, "tmp": os.listdir("/tmp")}}
"""


def runaways(server):
    return [each for each in processes.descendants(server.pid()) if each.name() == "runaway"]


def platform_log(server, name):
    return [line["text"] for line in server.logs(name) if line["stream"] == "platform"]


def test_its_workers_are_confined_and_end_when_they_are_to(server):
    server.deploy("liar", LIAR, limits={"timeout_seconds": 3, "max_replicas": 1, "network": "none"})
    confined = {"filter": [0, 0], "pid": 2, "processes": [2], "tmp": []}
    assert server.call("liar").json() == confined
    assert any("filters its own system calls" in text for text in platform_log(server, "liar"))

    assert server.call("liar", "/spin").status_code == 504
    eventually(lambda: runaways(server) == [])
    assert server.call("liar", "/mark").json() == {**confined, "tmp": ["left"]}

    spinning = threading.Thread(target=lambda: server.call("liar", "/spin"))
    spinning.start()
    eventually(lambda: len(runaways(server)) == 1)
    assert server.request("DELETE", function_path("liar")).is_success
    eventually(lambda: runaways(server) == [])
    spinning.join()


# Of the order to make a replica it keeps the namespaces, and joins one under a filter that lets it.
THIEF = """
import os, socket, time
import attacks
from sterna_worker import parent

until = time.monotonic() + 0.3
while time.monotonic() < until:
    pass

def wait(channel, orders):
    with socket.socket(fileno=os.dup(orders)) as order:
        while True:
            _, descriptors, _, _ = socket.recv_fds(order, 64, 32)
            namespaces = {os.readlink(f"/proc/self/fd/{fd}").split(":")[0]: fd for fd in descriptors}
            if "user" in namespaces:
                print("joining said", attacks.let_through(308, lambda: attacks.call(308, namespaces["user"], 0)), flush=True)

parent.wait = wait

def handle(req):
    return {"body": "fine"}
"""


def test_it_cannot_enter_the_namespaces_of_its_replicas(server):
    files = {"handler.py": THIEF, "attacks.py": PROGRAMS["attacks.py"]}
    for network in ("none", "egress"):
        server.deploy(f"thief-{network}", files, wait_for=None, limits={"max_replicas": 1, "network": network})
        said = eventually(lambda name=f"thief-{network}": [each["text"] for each in server.logs(name) if each["text"].startswith("joining")], 20)
        assert set(said) == {f"joining said {errno.ENOSYS}"}
        assert server.request("DELETE", function_path(f"thief-{network}")).is_success
