"""A worker that lies: user code finds its worker's socket and claim page and writes what it likes (src/wire/PROTOCOL.md)."""

import threading

import httpx
import pytest

from polling import eventually
from raw_http2 import RST_STREAM, Http2Client
from sterna import Server, invoke_path

# Runs the body of the request; `say` writes to the worker's socket, `pages` are what may be its claim page.
FORGER = """
import array, ctypes, fcntl, json, os, socket, struct, threading

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

def claim_page():
    # No descriptor leads to it: it is written where it is mapped.
    with open("/proc/self/maps") as maps:
        (address,) = [int(line.split("-")[0], 16) for line in maps if "memfd:sterna-claims" in line]
    return (ctypes.c_uint32 * 1024).from_address(address)

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
    "a claim page full of lies": "page = claim_page(); page[:] = [3] * 1024",
    "a claim page where all wait": "page = claim_page(); page[:] = [1] * 1024; threading.Event().wait()",
    "a claim page with a hole": "print(ctypes.CDLL(None).madvise(claim_page(), ctypes.c_size_t(4096), 9))",
    "a pipe that is full": "[fcntl.fcntl(fd, 1031, 1 << 20) for fd in (1, 2)]; [os.write(1, b'x' * 100_000) for _ in range(1000)]",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("server") / "data").start()
    running.deploy("neighbour", "def handle(req): return {'body': 'fine'}", limits={"network": "none"})
    for name, more in (("forger", {"max_replicas": 1}), ("pair", {"max_replicas": 2, "min_replicas": 2})):
        limits = {"network": "none", "timeout_seconds": 2, "warm_parent": False, **more}
        running.deploy(name, FORGER, limits=limits)
    yield running
    assert running.stop() == 0, running.log()[-4000:]


@pytest.mark.parametrize("case", CASES)
def test_a_lying_worker_hurts_only_its_own_call(server, case):
    before = server.memory_kib()
    answer = server.call("forger", "/lie", method="POST", content=CASES[case].encode())
    # 429: what says that it has not begun is given to another, until it has waited too long.
    assert answer.status_code in (200, 429, 500, 502, 504), (answer.status_code, answer.text)
    assert "x-bad" not in answer.headers
    assert server.call("neighbour").text == "fine"
    eventually(lambda: server.call("forger", "/call").text == "fine", 20)
    assert server.get("forger")["status"] == "Running"
    assert server.memory_kib() - before < 64 * 1024


# Answers in part, and when the server has read that, has its claim page say that no code has run; then it ends.
HALF_AND_QUEUED = r"""
import re
own = (0, 0)
pattern = re.compile(rb"\x02\x00(..)(.{8})\x04\0\0\0\x05\0\0\0\0\0\0\0.{8}POST/half", re.S)
for line in open("/proc/self/maps"):
    span, rights = line.split()[:2]
    if rights.startswith("rw") and "memfd" not in line:
        begin, end = (int(each, 16) for each in span.split("-"))
        with open("/proc/self/mem", "rb", 0) as memory:
            try:
                memory.seek(begin)
                data = memory.read(end - begin)
            except OSError:
                continue
        for found in pattern.finditer(data):
            own = max(own, (int.from_bytes(found[2], "little"), int.from_bytes(found[1], "little")))
call, slot = own
assert claim_page()[slot] == 2, own
say(frame(18, head(length=2**64 - 1) + b"half", call=call, slot=slot, flags=1))
while any(fcntl.ioctl(fd, 0x5411, bytes(4)) != bytes(4) for fd in links("socket:")):
    pass
claim_page()[slot] = 1
os._exit(0)
"""


def test_a_call_that_was_answered_in_part_is_not_run_again(server):
    with pytest.raises(httpx.RemoteProtocolError):
        server.call("forger", "/half", method="POST", content=HALF_AND_QUEUED.encode())
    assert server.call("neighbour").text == "fine"
    eventually(lambda: server.call("forger", "/call").text == "fine", 20)


# The number of the running call stands in the worker's memory: in the REQUEST frame as it came.
NUMBER = r"""
import re
def call_number(req):
    want = struct.pack("<III", len(req.method), len(req.path), 0)
    pattern = re.compile(rb"[\x00-\xff]{4}\x02[\x00\x01]([\x00-\xff]{2})([\x00-\xff]{8})" + re.escape(want) + b"[\x00-\xff]{8}" + re.escape((req.method + req.path).encode()))
    best = (0, 0)
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            span, mode = line.split()[:2]
            begin, end = (int(each, 16) for each in span.split("-"))
            if not mode.startswith("rw") or "memfd" in line or end - begin > 64 << 20:
                continue
            try:
                memory.seek(begin)
                data = memory.read(end - begin)
            except OSError:
                continue
            for match in pattern.finditer(data):
                number = int.from_bytes(match[2], "little")
                if number < 1 << 40:
                    best = max(best, (number, int.from_bytes(match[1], "little")))
    return best
def until_read():
    while any(fcntl.ioctl(fd, 0x5411, bytes(4)) != bytes(4) for fd in links("socket:")):
        pass
"""
FORGED = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nFORGED ANSWER"
# The bytes come when the caller has taken the answer for whole, or before.
DESYNC = {
    "longer": f"say(frame(18, head(length=2) + b'ok', call=n, slot=slot, flags=1)); until_read(); say(frame(19, {FORGED!r}, call=n, slot=slot)); threading.Event().wait()",
    "longer at once": f"say(frame(18, head(length=2) + b'ok' + {FORGED!r}, call=n, slot=slot, flags=1)); threading.Event().wait()",
    "shorter": "say(frame(18, head(length=60) + b'ok', call=n, slot=slot, flags=1)); until_read(); say(frame(19, b'', call=n, slot=slot)); threading.Event().wait()",
    "without a body": f"say(frame(18, head(status=204, length=0), call=n, slot=slot, flags=1)); until_read(); say(frame(19, {FORGED!r}, call=n, slot=slot)); threading.Event().wait()",
}


@pytest.fixture(scope="module")
def desync(server):
    source = FORGER.replace("exec(req.body.decode(), dict(globals()))", "n, slot = call_number(req)\n    exec(req.body.decode(), dict(globals(), n=n, slot=slot))")
    server.deploy("desync", source.replace("def handle", NUMBER + "\ndef handle"), limits={"network": "none", "timeout_seconds": 20, "max_replicas": 1, "warm_parent": False})
    return "desync"


@pytest.mark.parametrize("case", DESYNC)
def test_no_byte_of_a_lying_answer_stands_in_the_place_of_the_next(server, desync, case):
    """Two callers, one connection, as a proxy has it."""
    with httpx.Client(base_url=server.url, timeout=30) as pool:
        try:
            lie = pool.post(invoke_path(desync, "/lie"), content=DESYNC[case].encode())
            assert lie.text in ("ok", "") or lie.status_code == 502, lie.text
        except httpx.RemoteProtocolError:
            pass  # cut
        for _ in range(3):
            try:
                assert pool.get(invoke_path("neighbour", "/call")).text == "fine"
            except httpx.RemoteProtocolError:
                pass  # the connection was cut before the request was read
    eventually(lambda: server.call(desync, "/call").text == "fine", 20)
    assert any("broke the protocol" in line["text"] or "exited" in line["text"] for line in server.logs(desync))


def test_no_byte_of_a_lying_answer_reaches_another_stream(server, desync):
    with Http2Client(server.address, timeout=30) as client:
        lie = client.request("POST", invoke_path(desync, "/lie"), body=DESYNC["longer"].encode())
        assert client.response(lie)[2] == b"ok"
        assert client.frames[-1].type == RST_STREAM
        assert client.response(client.request("GET", invoke_path("neighbour", "/call")))[2] == b"fine"
        assert not any(b"FORGED" in each.payload for each in client.frames)


def test_a_lying_answer_is_no_result(server, desync):
    call = server.request("POST", f"/spaces/default/functions/{desync}/async-invoke/lie", content=DESYNC["longer"].encode())
    ended = server.request("GET", call.headers["location"] + "?wait=100", timeout=120).json()
    assert (ended["state"], ended["reason"]) == ("failed", "worker_died"), ended
    assert b"FORGED" not in server.request("GET", call.headers["location"] + "/response").content


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


# A socket that has unsent data and waits 10 minutes for it when it is closed is left to the server alone, which then is the last to close it.
LINGER = """
listener = socket.create_server(("127.0.0.1", 0))
end = socket.create_connection(listener.getsockname())
peer, _ = listener.accept()
end.setblocking(False)
try:
    while True:
        end.send(b"x" * 65536)
except BlockingIOError:
    pass
end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 600))
mine = {listener.fileno(), end.fileno(), peer.fileno()}
for fd in set(links("socket:")) - mine:
    with socket.socket(fileno=os.dup(fd)) as worker:
        try:
            worker.sendmsg([frame(21, b"\\x01hello\\n")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [end.fileno()]))])
        except PermissionError:
            pass
end.close()
threading.Event().wait()
"""
LINGER_CPP = r"""
#include <netinet/in.h>
#include <sterna/function.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

static void send_descriptor(int worker, int fd) {
  char frame[24] = {8, 0, 0, 0, 21};
  std::memcpy(frame + 16, "\1hello!\n", 8);
  iovec data{frame, sizeof frame};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(part), &fd, sizeof fd);
  sendmsg(worker, &message, 0);
}

sterna::Response handle(const sterna::Request& request) {
  if (request.path == "/call") return sterna::text("fine");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, reinterpret_cast<sockaddr*>(&address), length);
  listen(listener, 1);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  const int end = socket(AF_INET, SOCK_STREAM, 0);
  connect(end, reinterpret_cast<sockaddr*>(&address), length);
  accept(listener, nullptr, nullptr);
  static char bytes[65536];
  while (send(end, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
  }
  const linger on{1, 600};
  setsockopt(end, SOL_SOCKET, SO_LINGER, &on, sizeof on);
  for (int fd = 3; fd < 64; ++fd) {
    int domain = 0;
    socklen_t size = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX) send_descriptor(fd, end);
  }
  close(end);
  while (true) pause();
}
"""


@pytest.fixture(scope="module")
def forgers(server):
    limits = {"network": "none", "timeout_seconds": 2, "max_replicas": 1}
    server.deploy("lingers", {"handler.cc": LINGER_CPP}, template="cpp", limits=limits)
    return {"python": "forger", "cpp": "lingers"}


@pytest.mark.parametrize("language", ["python", "cpp"])
def test_a_socket_that_lingers_does_not_keep_the_server(server, forgers, language):
    answers = []
    lying = threading.Thread(target=lambda: answers.append(server.call(forgers[language], "/lie", method="POST", content=LINGER.encode())))
    lying.start()
    asked = 0
    while lying.is_alive() or asked == 0:
        assert server.call("neighbour", timeout=20).text == "fine"
        assert server.request("GET", "/healthz", timeout=20).status_code == 200
        asked += 1
    assert answers[0].status_code in (502, 504), answers[0].text
    eventually(lambda: server.call(forgers[language], "/call").text == "fine", 20)


HELLOS = {
    "load failed": "say(frame(17, json.dumps({'summary': 'S\\x1b[31m\\nforged ' + 'é' * 50_000, 'detail': 'D\\x1b\\nE'}).encode())); threading.Event().wait(3)",
    "ready": "say(frame(16, json.dumps({'runtime': 'R\\x1b[31m\\nforged ' + 'B' * 100_000, 'not_paused': 'N\\x1b[31m\\nforged ' + 'C' * 100_000}).encode()))",
}


def test_what_a_worker_says_of_its_loading_is_cut_and_cannot_pass_for_a_line_of_the_servers(server):
    limits = {"network": "none", "warm_parent": False}
    server.deploy("liar", FORGER + "\n" + HELLOS["load failed"], limits=limits, wait_for="Failed")
    reason = server.get("liar")["status_reason"]
    assert len(reason.encode()) < 2000 and "\n" not in reason and "\x1b" not in reason and r"S\x1b[31m forged" in reason
    assert any(line["text"] == "E" for line in server.logs("liar"))
    server.deploy("liar", FORGER + "\n" + HELLOS["ready"], limits=limits)
    assert "\x1b" not in server.log() and "\nforged" not in server.log()
    assert max(len(line) for line in server.log().splitlines()) < 4000
    server.request("DELETE", "/spaces/default/functions/liar")
