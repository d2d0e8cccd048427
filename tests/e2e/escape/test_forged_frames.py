"""A worker that lies: user code finds its worker's socket and claim page and writes what it likes (src/wire/PROTOCOL.md)."""

import threading

import pytest

from polling import eventually
from sterna import Server

# Runs the body of the request; `say` writes to the worker's socket, `pages` are what may be its claim page.
FORGER = """
import array, fcntl, json, mmap, os, socket, struct, threading

def links(word):
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            if word in os.readlink("/proc/self/fd/" + fd):
                found.append(int(fd))
        except OSError:
            pass
    return found

def say(data):
    for fd in links("socket:"):
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]

def frame(kind, payload=b"", call=0, slot=0, flags=0, length=None):
    return struct.pack("<IBBHQ", len(payload) if length is None else length, kind, flags, slot, call) + payload

def head(status=200, count=0, size=0, reserved=0, length=0):
    return struct.pack("<IIIIQQ", status, count, size, reserved, 0, length)

def handle(req):
    if req.path == "/call":
        return {"body": "fine"}
    exec(req.body.decode(), dict(globals()))
    return {"body": "done"}
"""



def to_every_call(frame):
    """The numbers of calls are not told to user code: this says it to all that there can have been."""
    return f"say(b''.join(frame({frame}, call=n, slot=s) for n in range(1, 400) for s in range(3)))"


CASES = {
    "garbage": "say(os.urandom(200_000))",
    "a length without end": "say(frame(18, b'x' * 1000, length=0xffffffff))",
    "a length just over": "say(frame(18, b'x' * 1_114_113))",
    "half a frame": "say(frame(18, b'x' * 10, length=100_000)); os._exit(0)",
    "an unknown type": "say(frame(99, b'x'))",
    "a type of the server's": "say(frame(1, b'{}') + frame(2, b'x', call=1) + frame(6))",
    "unknown flags": "say(frame(18, head(), call=1, flags=0xfe))",
    "ready again": "say(frame(16, b'{}') * 100)",
    "ready with nests": "say(frame(16, b'[' * 500_000))",
    "paused too late": "say(frame(23, b'{\"runtime\": \"x\"}'))",
    "load failed too late": "say(frame(17, b'{\"summary\": \"lies\", \"detail\": \"lies\"}'))",
    "answers to calls that are not": "say(b''.join(frame(18, head(), call=n, slot=n % 1023) for n in (0, 2**63, 2**64 - 1)))",
    "answers to every call": to_every_call("18, head()"),
    "bodies without an answer": to_every_call("19, b'x'"),
    "failures of every call": to_every_call("20, b'x' * 20"),
    "recalled calls": to_every_call("22"),
    "slots that are not": "say(b''.join(frame(18, head(), call=n, slot=65535) for n in range(400)))",
    "a head that is cut": "say(b''.join(frame(18, b'x' * 7, call=n) for n in range(400)))",
    "headers without end": "say(b''.join(frame(18, head(count=2**32 - 1, size=2**32 - 1), call=n) for n in range(400)))",
    "a header beyond its part": "say(b''.join(frame(18, head(count=1, size=8) + b'\\xff' * 8, call=n) for n in range(400)))",
    "line ends in a header": "say(b''.join(frame(18, head(count=1, size=21) + struct.pack('<II', 1, 12) + b'ax\\r\\nX-Bad: 1', call=n) for n in range(400)))",
    "statuses that are not": "say(b''.join(frame(18, head(status=s), call=n) for s in (0, 99, 700) for n in range(200)))",
    "more than was announced": "say(b''.join(frame(18, head(length=1) + b'xxxx', call=n) for n in range(400)))",
    "a body beyond the window": "say(b''.join(frame(18, head(length=2**64 - 1), call=n, flags=1) for n in range(400))); [say(b''.join(frame(19, b'x' * 60_000, call=n, flags=1) for n in range(400))) for _ in range(4)]",
    "log lines without end": "[say(frame(21, b'\\x01' + b'x' * 1_000_000)) for _ in range(100)]",
    "a log stream that is not": "say(frame(21, b'\\x09x') + frame(21, b''))",
    "descriptors sent along": "s = socket.socket(fileno=os.dup(links('socket:')[0])); [s.sendmsg([frame(21, b'\\x01x')], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0] * 200))]) for _ in range(50)]",
    "a closed socket": "[os.close(fd) for fd in links('socket:')]",
    "a socket shut down": "s = socket.socket(fileno=os.dup(links('socket:')[0])); s.shutdown(socket.SHUT_RDWR)",
    "a socket that nobody reads": "threading.Event().wait()",
    "a claim page that is cut off": "[os.ftruncate(fd, 0) for fd in links('memfd:sterna-claims')]",
    "a claim page that grows": "[os.ftruncate(fd, 1 << 40) for fd in links('memfd:sterna-claims')]",
    "a claim page full of lies": "[mmap.mmap(fd, 4096).write(b'\\x03\\0\\0\\0' * 1024) for fd in links('memfd:sterna-claims')]",
    "a claim page with holes": "[libc_punch(fd) for fd in links('memfd:sterna-claims')]",
    "a pipe that is full": "[fcntl.fcntl(fd, 1031, 1 << 20) for fd in (1, 2)]; [os.write(1, b'x' * 100_000) for _ in range(1000)]",
}
PUNCH = """
import ctypes
def libc_punch(fd):
    ctypes.CDLL(None).fallocate(fd, 3, ctypes.c_long(0), ctypes.c_long(4096))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("server") / "data").start()
    running.deploy("neighbour", "def handle(req): return {'body': 'fine'}", limits={"network": "none"})
    for name, more in (("forger", {"max_replicas": 1}), ("pair", {"max_replicas": 2, "min_replicas": 2})):
        limits = {"network": "none", "timeout_seconds": 2, "warm_parent": False, **more}
        running.deploy(name, FORGER + PUNCH, limits=limits)
    yield running
    assert running.stop() == 0, running.log()[-4000:]


@pytest.mark.parametrize("case", CASES)
def test_a_lying_worker_hurts_only_its_own_call(server, case):
    before = server.memory_kib()
    answer = server.call("forger", "/lie", method="POST", content=CASES[case].encode())
    assert answer.status_code in (200, 500, 502, 504), (answer.status_code, answer.text)
    assert "x-bad" not in answer.headers
    assert server.call("neighbour").text == "fine"
    eventually(lambda: server.call("forger", "/call").text == "fine", 20)
    assert server.get("forger")["status"] == "Running"
    assert server.memory_kib() - before < 64 * 1024


def test_a_lying_worker_does_not_hurt_the_other_worker_of_its_function(server):
    """Answers to every number may settle calls of the worker that lies, never those of another."""
    lies = [CASES["answers to every call"], CASES["failures of every call"], CASES["a length without end"]]
    stop = threading.Event()
    fine = []

    def call_on():
        while not stop.is_set():
            fine.append(server.call("neighbour", "/call").text)

    calling = threading.Thread(target=call_on)
    calling.start()
    for lie in lies * 3:
        server.call("pair", "/lie", method="POST", content=lie.encode())
    stop.set()
    calling.join()
    assert set(fine) == {"fine"}
