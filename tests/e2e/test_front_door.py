"""The front door under attack: slow clients by the thousand, floods, paths and archives that are meant to hurt."""

import base64
import contextlib
import io
import json
import re
import resource
import socket
import subprocess
import tarfile
import zipfile

import pytest
from load import NONCE, Load
from polling import eventually
from raw_http import Closed, RawClient
from sterna import function_path, invoke_path

SLOW_CONNECTIONS = 1000
SLOW_SECONDS = 10

ECHO = "def handle(req):\n    return {'body': req.body}\n"
SEEN = """
import json

def handle(req):
    return {"body": {"path": req.path, "names": [name for name, _ in req.headers.items()]}}
"""


@pytest.fixture(scope="module", autouse=True)
def functions(server):
    server.deploy("nonce", NONCE)
    server.deploy("echo", ECHO)
    server.deploy("seen", SEEN)


# Slow clients. What they do is Debian's slowhttptest, each of its modes with 1,000 connections.

SLOW = {
    "headers": ["-H", "-i", "1"],
    "body": ["-B", "-i", "1", "-s", "100000"],
    "range": ["-R"],
    "read": ["-X", "-w", "1", "-y", "64", "-n", "1", "-z", "1", "-k", "3"],
}


@pytest.mark.parametrize("mode", SLOW)
def test_slow_clients_take_nothing_from_others(server, mode):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    before = server.memory_kib()
    attack = subprocess.Popen(
        ["slowhttptest", *SLOW[mode], "-c", str(SLOW_CONNECTIONS), "-r", "500", "-l", str(SLOW_SECONDS), "-p", "3",
         "-u", server.url + invoke_path("echo")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    with Load(server.address, "nonce", threads=4) as load:
        output, _ = attack.communicate(timeout=60 + SLOW_SECONDS)
    assert not load.lost and not load.mistakes, (load.lost[:3], load.mistakes[:3])
    assert load.done() > 0 and set(load.outcomes) == {(200, "")}, load.outcomes
    assert not re.search(r"service available:\s*\S*NO\b", output), output[-2000:]
    assert server.memory_kib() - before < 128 << 10
    eventually(lambda: server.request("GET", "/healthz").status_code == 200, 5)


def test_idle_connections_give_way_to_those_that_ask(start_server):
    server = start_server("--max-connections", "100")
    server.deploy("nonce", NONCE)
    flood = []
    with Load(server.address, "nonce", threads=4) as load:
        for number in range(500):
            connection = socket.create_connection(server.address, 10)
            flood.append(connection)
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"" if number % 2 else b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n1")
        answered = load.done()
        eventually(lambda: load.done() > answered + 50, 20)
    for connection in flood:
        connection.close()
    # A kept connection may be idle when it is its turn to give way; nobody who waits for an answer loses one.
    assert not load.mistakes and set(load.outcomes) == {(200, "")}, (load.mistakes, load.outcomes)


def test_a_burst_of_slow_bodies_is_taken_in_and_gives_way(start_server):
    server = start_server("--max-connections", "100")
    half = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n1"
    flood = []
    for _ in range(500):
        flood.append(socket.create_connection(server.address, 10))
        with contextlib.suppress(ConnectionError):
            flood[-1].sendall(half)
    assert server.request("GET", "/healthz").status_code == 200
    for connection in flood[:300]:
        with contextlib.suppress(ConnectionError):
            assert connection.recv(100) == b"", "it is closed, and not refused"
    for connection in flood:
        connection.close()


# Requests that two parsers could read in two ways. test_http.py has those that are refused; these are read as one.


@pytest.mark.sanitizer
@pytest.mark.parametrize(
    "head",
    [
        "Transfer-Encoding: chunked\r\nTrailer: X-Late\r\n",
        "Transfer-Encoding: chunked\r\nX-Content-Length: 3\r\nContent_Length: 3\r\n",
        "Transfer-Encoding: chunked\r\nTransfer_Encoding: identity\r\n",
        "Connection: Content-Length, close\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_the_body_ends_where_the_chunks_say(server, head):
    smuggled = f"GET {invoke_path('seen')}/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    chunk = smuggled.encode()
    with server.open() as client:
        client.send(f"POST {invoke_path('echo')} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n")
        client.send(b"%x;name=\"value\"\r\n%s\r\n0\r\nX-Late: 3\r\nAuthorization: x\r\n\r\n" % (len(chunk), chunk))
        answer = client.read()
        assert (answer.status, answer.body) == (200, chunk)


@pytest.mark.sanitizer
@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: 4\r\nContent-Length: 4 \r\nX: a\r\nContent-Length: 5\r\n",
        "Content-Length: 4 4\r\n",
        "Content-Length: 4;a=b\r\n",
        "Content-Length:\x0b4\r\n",
        'Transfer-Encoding: "chunked"\r\n',
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: \r\nContent-Length: 4\r\n",
        "Transfer-Encoding:\xa0chunked\r\n",
        "Transfer-Encoding\x00: chunked\r\n",
        "Host: b\r\n",
        "Host : a\r\n",
        "\tX: a\r\n",
        "X: a\rTransfer-Encoding: chunked\r\n",
    ],
)
def test_lengths_that_can_be_read_in_two_ways_are_refused(server, lines):
    with server.open() as client:
        with contextlib.suppress(ConnectionError):
            client.send(f"POST {invoke_path('echo')} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\nabcdGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = client.read()
        assert answer.status in (400, 501), answer
        assert b"HTTP/1.1" not in client.read_to_end(), "what follows must not be taken for a request"


def test_an_absolute_target_does_not_lead_elsewhere(server):
    with server.open() as client:
        client.request("GET", "http://127.0.0.1:1/spaces/default/functions/seen/invoke/x")
        assert client.read().status == 200  # served here, whatever host it names
        client.request("GET", "http://127.0.0.1:1")
        assert client.read().status in (400, 404)


# Paths


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2E%2E%5Cetc",
        "/spaces/..",
        "/spaces/%2e%2e/functions",
        "/spaces/default/functions/..",
        "/spaces/default/functions/../../../secrets.key",
        "/spaces/default/functions/%2e%2e%2f%2e%2e%2fsterna.db/code",
        "/spaces/default/functions/seen/../echo/code",
        "/spaces/default/functions/seen%00/code",
        "/spaces/default/functions/seen%2Fcode",
        "/spaces/default%2Ffunctions/seen",
        "/spaces/default/functions/seen/code/..",
        "/spaces/default/functions/seen/code/%2e%2e/%2e%2e",
        "/spaces/default/functions/seen/logs/../../echo/logs",
        "/spaces/default/functions/seen;x=1/code",
        "/spaces/default/functions/SEEN",
        "/spaces/default/secrets/..%2f..%2fsecrets.key",
        "/spaces/default/functions/seen/versions/1/diff/../../..",
        "/spaces/default/functions/" + "a" * 5000,
        "/spaces/default/functions/%ff%fe",
        "/openapi.json/../healthz",
        "/metrics%00.json",
        "/spaces/default/functions/seen/invoke/../../echo/invoke",
        "/spaces/default/functions/seen/invoke/%2e%2e/x",
        "/spaces/default/functions/seen/invoke/a%2f..%2fb",
        "/spaces/default/functions/seen/invoke/%00",
        "/spaces/default/functions/seen/invoke/%",
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_paths_lead_nowhere_else(server, method, path):
    with server.open() as client:
        client.request(method, path)
        answer = client.read()
    assert answer.status in (400, 404, 405, 414, 422), answer
    assert str(server.data_dir) not in answer.body.decode("latin-1") and b"root:" not in answer.body
    assert server.get("seen")["status"] == "Running"


def test_empty_segments_and_escapes_are_another_path(server):
    """The same for management and for calls."""
    for path in ("//spaces/default/functions/seen", "/spaces/default//functions/seen", "/spaces/default/functions/%73een"):
        for part in ("", "/code", "/invoke", "/logs", "/invocations"):
            with server.open() as client:
                assert client.request("GET", path + part).read().status == 404, path + part
    answer = server.request("GET", invoke_path("seen") + "//a//b")
    assert answer.status_code == 200 and answer.json()["path"] == "//a//b"


# Bodies of the management API


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"name": "x", "env": {' + b",".join(b'"K%d": "v"' % n for n in range(100_000)) + b"}}",
        b'{"name": "x", "limits": {"timeout_seconds": 1e999}}',
        b'{"name": "x", "limits": {"memory_mb": 99999999999999999999999}}',
        b'{"name": "x", "limits": {"cpus": NaN}}',
        b'{"name": "\\ud800"}',
        b'{"name": "a\\u0000b"}',
        b'{"name": "x", "name": "y"}',
        b'{"name": "' + b"x" * 5_000_000 + b'"}',
        b"\xef\xbb\xbf{}",
        b'{"name": "x", "source": {"code": "' + b"A" * 1_000_001 + b'"}}',
        b'{"name": "x", "source": {"files": {"../../x": "", "/etc/cron.d/x": "", "a\\u0000": ""}}}',
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)
def test_bodies_that_are_meant_to_hurt_are_refused(server, body):
    before = server.memory_kib()
    answer = server.client.post("/spaces/default/functions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 413, 422), answer.text[:500]
    assert len(answer.content) < 100_000
    assert server.memory_kib() - before < 200 << 10
    assert server.call("echo", method="POST", content=b"fine").content == b"fine"


def zipped(entries, compression=zipfile.ZIP_DEFLATED):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return made.getvalue()


def tarred(entries, mode="w:gz"):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:
        for name, size in entries:
            entry = tarfile.TarInfo(name)
            entry.size = size
            archive.addfile(entry, io.BytesIO(b"\0" * size))
    return made.getvalue()


def overlapping():
    """Many entries of a directory that all name the same large content."""
    one = zipped([("handler.py", b"\0" * (8 << 20))])
    at = one.index(b"PK\x01\x02")
    body, entry, end = one[:at], one[at : one.rindex(b"PK\x05\x06")], one[one.rindex(b"PK\x05\x06") :]
    count = 2000
    entries = b"".join(entry.replace(b"handler.py", b"h%09d" % n) for n in range(count))
    end = end[:8] + count.to_bytes(2, "little") * 2 + len(entries).to_bytes(4, "little") + end[16:]
    return body + entries + end


BOMBS = {
    "one file of zeros": ("application/zip", lambda: zipped([("handler.py", ECHO), ("zeros", b"\0" * (100 << 20))])),
    "many files of zeros": ("application/zip", lambda: zipped([(f"f{n}", b"\0" * (4 << 20)) for n in range(80)])),
    "too many files": ("application/zip", lambda: zipped([(f"f{n}", b"") for n in range(20_000)])),
    "a tar of zeros": ("application/gzip", lambda: tarred([("handler.py", 300 << 20)])),
    "a deep folder": ("application/zip", lambda: zipped([("a/" * 2000 + "handler.py", ECHO)])),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_archive_bombs_are_refused(server, kind):
    content_type, make = BOMBS[kind]
    content = make()
    answer = server.client.put(function_path("echo") + "/code", content=content, headers={"Content-Type": content_type})
    assert answer.status_code in (400, 413, 422), answer.text
    assert json.loads(answer.content)["reason"], answer.text
    assert server.call("echo", method="POST", content=b"fine").content == b"fine"
    eventually(lambda: server.memory_kib() < 400 << 10, 10)


def test_entries_that_share_their_bytes_do_not_multiply_them(server):
    server.deploy("shared", ECHO)
    answer = server.client.put(function_path("shared") + "/code", content=overlapping(), headers={"Content-Type": "application/zip"})
    if answer.status_code == 200:  # read as the one file that is really there
        code = server.client.get(function_path("shared") + "/code", headers={"Accept": "application/zip"}).content
        assert len(zipfile.ZipFile(io.BytesIO(code)).infolist()) == 1
    else:
        assert answer.status_code in (400, 413, 422), answer.text


@pytest.mark.parametrize("trailer", ["Content-Length: 3", "Host: b", "Transfer-Encoding: chunked"])
def test_trailers_that_decide_how_a_message_is_read_are_refused(server, trailer):
    with server.open() as client:
        client.send(f"POST {invoke_path('echo')} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{trailer}\r\n\r\n")
        assert client.read().status == 400


def test_many_uploads_at_a_time_stay_within_memory(server):
    """Bodies that never end go to disk, not into memory."""
    clients = [RawClient(server.address) for _ in range(60)]
    part = b"x" * (1 << 20)
    for client in clients:
        client.send(f"POST {invoke_path('echo')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {6 << 20}\r\n\r\n").send(part * 4)
    eventually(lambda: server.request("GET", "/healthz").status_code == 200, 5)
    assert server.memory_kib() < 400 << 10
    for client in clients:
        with contextlib.suppress(Closed, ConnectionError):
            client.close()
    code = base64.b64encode(ECHO.encode()).decode()
    assert server.client.put(function_path("echo") + "/code", json={"code": code}).status_code == 200
