"""HTTP/2: with prior knowledge on plain text, by agreement inside TLS; what clients may not make of it."""

import json
import pathlib
import ssl
import struct
import subprocess

import certificates
import pytest
import raw_http2 as h2
from polling import eventually
from raw_http import RawClient
from raw_http2 import Gone, Http2Client
from sterna import Server, invoke_path

MIRROR = """
import json

def handle(req):
    return {
        "headers": {"Content-Type": "application/json"},
        "body": {
            "method": req.method, "path": req.path, "query": req.query.to_dict(flat=False),
            "headers": [[name, value] for name, value in req.headers.items()], "body": req.body.decode("latin-1"),
        },
    }
"""
DATED = "def handle(req):\n    return {'headers': {'Date': 'Mon, 01 Jan 2001 00:00:00 GMT', 'Server': 'own'}, 'body': 'x'}\n"
ECHO = "def handle(req):\n    return {'body': req.body}\n"
COUNT = """
def handle(req):
    def parts():
        for number in range(int(req.query["n"])):
            yield (b"%09d " % number) * 100
    return {"body": parts()}
"""
WAIT = """
import time

def handle(req):
    time.sleep(float(req.query.get("seconds", "30")))
    return {"body": "waited"}
"""


NOBODY = invoke_path("nobody")


@pytest.fixture(scope="module", autouse=True)
def functions(server):
    server.deploy("mirror", MIRROR)
    server.deploy("echo", ECHO)
    server.deploy("count", COUNT)
    server.deploy("dated", DATED)
    server.deploy("wait", WAIT, limits={"concurrency": 1, "max_replicas": 4, "timeout_seconds": 60})


@pytest.fixture
def client(server):
    with Http2Client(server.address) as opened:
        yield opened


def still_serves(server):
    assert server.call("echo", method="POST", content=b"fine").content == b"fine"


BIG_HEADERS = """
def handle(req):
    count, size = map(int, req.path[1:].split("-"))
    return {"body": "fine", "headers": [("x-big", "a" * size)] * count}
"""


def test_the_limit_of_an_answers_headers_is_that_of_http_1(server, client):
    """64 KiB with 8 bytes for each (wire/PROTOCOL.md); beyond that the function is told."""
    server.deploy("big", BIG_HEADERS, limits={"network": "none"})
    for path, status in (("/1-65400", 200), ("/2500-5", 200), ("/1-65600", 502), ("/5000-5", 502)):
        answer = client.response(client.request("GET", invoke_path("big", path)))
        assert answer[0] == status, path
        with RawClient(server.address) as by_http_1:
            assert by_http_1.request("GET", invoke_path("big", path)).read().status == status, path


@pytest.mark.sanitizer
def test_a_request_is_what_the_function_would_see_by_http_1(client):
    stream = client.request(
        "POST", invoke_path("mirror") + "/a?x=1&x=2", [("x-own", "1"), ("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")], b"body"
    )  # fmt: skip
    status, headers, body = client.response(stream)
    assert status == 200 and headers["x-call-id"] and headers["content-type"] == "application/json"
    seen = json.loads(body)
    assert (seen["method"], seen["path"], seen["query"], seen["body"]) == ("POST", "/a", {"x": ["1", "2"]}, "body")
    names = {name.lower(): value for name, value in seen["headers"]}
    assert names["host"] == "sterna.localhost" and names["x-own"] == "1" and names["cookie"] == "a=1; b=2"
    assert "te" not in names and not [name for name in names if name.startswith(":")]
    assert names["x-forwarded-proto"] == "http" and names["x-forwarded-for"] == "127.0.0.1"


@pytest.mark.sanitizer
def test_many_requests_at_a_time_and_answers_as_they_come(client):
    slow = client.request("GET", invoke_path("wait") + "?seconds=1")
    quick = [client.request("POST", invoke_path("echo"), body=b"%d" % number) for number in range(100)]
    answers = {}
    while len(answers) < 101:
        frame = client.read_frame()
        if frame.type == h2.HEADERS:
            client.decoder.decode(frame.payload)
        if frame.type == h2.DATA:
            answers[frame.stream] = answers.get(frame.stream, b"") + frame.payload
    assert [answers[stream] for stream in quick] == [b"%d" % number for number in range(100)]
    assert list(answers)[-1] == slow and answers[slow] == b"waited"


@pytest.mark.sanitizer
def test_large_bodies_both_ways(client):
    stream = client.request("POST", invoke_path("echo"), end=False)
    part = bytes(range(256)) * 64
    for number in range(128):  # 2 MiB: more than both windows
        client.send(h2.DATA, h2.END_STREAM if number == 127 else 0, stream, part)
        if number % 8 == 7:  # let the server give its window back
            client.send(h2.PING, 0, 0, struct.pack(">Q", number))
            client.read_until(lambda frame: frame.type == h2.PING and frame.flags & h2.ACK)
    assert client.response(stream)[2] == part * 128


def test_a_stream_waits_for_the_clients_window(server, client):
    before = server.memory_kib()
    stream = client.request("GET", invoke_path("count") + "?n=60000")  # 60 MB
    client.send(h2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 20))  # room on the connection, not on the stream
    other = client.request("POST", invoke_path("echo"), body=b"beside it")
    received = 0
    with pytest.raises(TimeoutError):
        client.socket.settimeout(1)
        while True:
            frame = client.read_frame()
            received += len(frame.payload) if frame.type == h2.DATA and frame.stream == stream else 0
            if frame.type == h2.HEADERS:
                client.decoder.decode(frame.payload)
    assert received <= 65535, "not more than the window"
    assert [frame for frame in client.frames if frame.stream == other and frame.flags & h2.END_STREAM]
    assert server.memory_kib() - before < 8 << 10
    client.socket.settimeout(15)
    client.send(h2.RST_STREAM, 0, stream, struct.pack(">I", h2.CANCEL))
    still_serves(server)


def test_early_answers_refusals_and_expect(client):
    assert client.response(client.request("GET", "/nowhere"))[0] == 404
    assert client.response(client.request("HEAD", "/healthz"))[2] == b""
    stream = client.request("POST", invoke_path("echo"), [("expect", "100-continue")], end=False)
    frame = client.read_until(lambda each: each.type == h2.HEADERS)
    assert dict(client.decoder.decode(frame.payload))[":status"] == "100"
    client.send(h2.DATA, h2.END_STREAM, stream, b"now")
    assert client.response(stream)[2] == b"now"
    assert client.response(client.request("POST", invoke_path("echo"), [("content-length", "99999999")], end=False))[0] == 413
    assert client.response(client.request("GET", "/healthz", authority=None))[0] in (400, None)
    assert client.response(client.request("GET", "/healthz", [("host", "other.test")]))[0] == 400
    assert client.response(client.request("GET", "/healthz", [(f"x-{n}", "v" * 1000) for n in range(15)] ))[0] == 200
    assert client.response(client.request("GET", "/healthz", authority="a/b"))[0] in (400, None)


def test_a_body_over_the_limit_is_413(client):
    stream = client.request("POST", invoke_path("echo"), end=False)
    part = b"x" * 16384
    status = None
    for number in range(450):
        client.send(h2.DATA, 0, stream, part)
        if number % 8 == 7:
            client.send(h2.PING, 0, 0, struct.pack(">Q", number))
            frame = client.read_until(lambda each: each.type == h2.HEADERS or (each.type == h2.PING and each.flags & h2.ACK))
            if frame.type == h2.HEADERS:
                status = dict(client.decoder.decode(frame.payload))[":status"]
                break
    assert status == "413"


@pytest.mark.sanitizer
@pytest.mark.parametrize(
    "fields",
    [
        [("X-Upper", "a")],
        [("connection", "close")],
        [("transfer-encoding", "chunked")],
        [("x-split", "a\r\nb: c")],
        [("x-null", "a\0b")],
        [("bad name", "a")],
        [(":path", "/twice")],
        [("content-length", "7")],
    ],
)
def test_malformed_heads_are_reset_and_reach_no_function(client, fields):
    stream = client.request("POST", invoke_path("mirror"), fields, b"body")
    status, _, body = client.response(stream)
    assert status in (None, 400) and b"mirror" not in body
    assert client.response(client.request("GET", "/healthz"))[0] == 200


def test_a_client_that_resets_frees_the_worker(server, client):
    streams = [client.request("GET", invoke_path("wait")) for _ in range(4)]
    eventually(lambda: server.replicas("wait") == 4, 30)
    for stream in streams:
        client.send(h2.RST_STREAM, 0, stream, struct.pack(">I", h2.CANCEL))
    assert client.response(client.request("GET", invoke_path("wait") + "?seconds=0"))[2] == b"waited"


def late(client, stream, size=200_000):
    """Sends a body behind an answer that is there already."""
    for _ in range(size // 10_000):
        client.send(h2.DATA, 0, stream, b"x" * 10_000)


def resets(client):
    """The streams that the server has reset so far."""
    client.send(h2.PING, 0, 0, bytes(8))
    client.read_until(lambda frame: frame.type == h2.PING and frame.flags & h2.ACK)
    return [frame.stream for frame in client.frames if frame.type == h2.RST_STREAM]


@pytest.mark.parametrize(
    "method, path, headers, status",
    [
        ("POST", NOBODY, [], 404),
        ("PUT", "/spaces/default/functions/echo/async-invoke", [], 405),
        ("POST", "/spaces/default/functions/echo/async-invoke", [("x-callback-url", "gopher://a")], 400),
        ("POST", "/spaces/default/functions/echo/invoke", [("content-length", "7000000")], 413),
    ],
)
def test_who_still_sends_when_the_answer_is_there_may_end(client, method, path, headers, status):
    stream = client.request(method, path, headers, end=False)
    assert client.response(stream)[0] == status
    late(client, stream)
    assert resets(client) == []
    if status != 413:
        client.send(h2.DATA, h2.END_STREAM, stream, b"")
        assert resets(client) == []
    assert client.response(client.request("GET", "/healthz"))[0] == 200


def test_who_sends_on_and_on_is_reset(client):
    stream = client.request("POST", NOBODY, end=False)
    assert client.response(stream)[0] == 404
    last = client.read_until(lambda frame: frame.type == h2.RST_STREAM)
    assert last.stream == stream and int.from_bytes(last.payload, "big") == h2.NO_ERROR
    assert client.response(client.request("GET", "/healthz"))[0] == 200


def test_giving_up_what_is_answered_is_no_rapid_reset(client):
    for _ in range(400):
        stream = client.request("POST", NOBODY, end=False)
        assert client.response(stream)[0] == 404
        client.send(h2.RST_STREAM, 0, stream, struct.pack(">I", h2.CANCEL))
    assert client.response(client.request("GET", "/healthz"))[0] == 200


# Floods: each ends the connection that makes it, and nothing else.


def flood(server, send, limit=200_000):
    """Calls `send(client, number)` until the server has had enough; answers after how many."""
    with Http2Client(server.address) as client:
        client.socket.settimeout(0.5)
        for number in range(limit):
            try:
                send(client, number)
            except (Gone, TimeoutError):
                return number
    return limit


def test_rapid_reset(server):
    def send(client, number):
        stream = client.request("GET", invoke_path("wait"))
        client.send(h2.RST_STREAM, 0, stream, struct.pack(">I", h2.CANCEL))

    assert flood(server, send, 50_000) < 50_000
    still_serves(server)


def test_resets_that_the_server_is_made_to_send(server):
    def send(client, number):
        stream = client.request("POST", invoke_path("wait"), end=False)
        client.send(h2.WINDOW_UPDATE, 0, stream, struct.pack(">I", 0))

    assert flood(server, send, 50_000) < 50_000
    still_serves(server)


def test_a_head_without_end(server):
    def send(client, number):
        if number == 0:
            client.send(h2.HEADERS, 0, 1, client.head("GET", "/healthz"))
        client.send(h2.CONTINUATION, 0, 1, client.encoder.encode([(f"x-{number}", "v" * 1000)], huffman=False))

    assert flood(server, send) < 1000
    still_serves(server)


@pytest.mark.parametrize("kind", [h2.PING, h2.SETTINGS])
def test_floods_of_what_must_be_answered(server, kind):
    before = server.memory_kib()
    many = Http2Client.frame(kind, 0, 0, b"12345678" if kind == h2.PING else b"") * 1000
    assert flood(server, lambda client, _: client.send_bytes(many), 20_000) < 20_000
    assert server.memory_kib() - before < 16 << 10
    still_serves(server)


def test_more_streams_than_allowed_are_refused(server):
    with Http2Client(server.address) as client:
        client.send(h2.PING, 0, 0, b"12345678")
        client.read_until(lambda frame: frame.type == h2.PING)
        with pytest.raises(Gone):
            for _ in range(1000):
                client.request("POST", invoke_path("echo"), end=False)
            client.is_closed()
            raise Gone
    still_serves(server)


def test_a_head_that_is_compressed_to_nothing_is_431(client):
    client.request("GET", "/healthz", [("x-bomb", "v" * 3000)])
    stream = client.request("GET", "/healthz", [("x-bomb", "v" * 3000)] * 25)
    assert client.response(stream)[0] == 431
    assert client.response(client.request("GET", "/healthz"))[0] == 200
    client.request("GET", "/healthz", [("x-bomb", "v" * 3000)] * 200)
    assert client.goaway() == h2.ENHANCE_YOUR_CALM and client.is_closed()


def test_answers_that_are_not_taken_are_not_kept_for_each_stream(server):
    before = server.memory_kib()
    clients = [Http2Client(server.address, settings=[(4, 0)]) for _ in range(5)]
    for opened in clients:
        for _ in range(100):
            opened.request("GET", "/openapi.json")
    for opened in clients:
        for _ in range(100):
            opened.read_until(lambda frame: frame.type == h2.HEADERS)
    assert server.memory_kib() - before < 16 << 10
    for opened in clients:
        opened.socket.close()
    still_serves(server)


def test_memory_of_clients_that_left_goes_back(start_server):
    server = start_server()
    before = server.memory_kib()
    clients = []
    for _ in range(300):
        clients.append(Http2Client(server.address, settings=[(4, 0)]))  # no window: the answers stay
        for _ in range(100):
            clients[-1].request("GET", NOBODY)
    held = eventually(lambda: server.memory_kib() - before if server.memory_kib() - before > 64 << 10 else None, 20)
    for opened in clients:
        opened.socket.close()
    eventually(lambda: server.memory_kib() - before < held // 2, 30)


def test_slow_clients_are_cut_off(start_server):
    server = start_server("--header-timeout-seconds", "0.5", "--body-timeout-seconds", "0.5", "--keepalive-seconds", "0.5")
    server.deploy("echo", ECHO)
    with Http2Client(server.address) as client:
        client.send(h2.HEADERS, 0, 1, client.head("GET", "/healthz"))
        assert client.is_closed()
    with Http2Client(server.address) as client:
        assert client.response(client.request("POST", invoke_path("echo"), end=False))[0] == 408
    with Http2Client(server.address) as client:
        assert client.response(client.request("GET", "/healthz"))[0] == 200
        assert client.goaway() == h2.NO_ERROR
        assert client.is_closed()


def test_drain_says_goaway_and_lets_requests_end(start_server):
    server = start_server()
    server.deploy("wait", WAIT)
    assert server.call("wait", "?seconds=0").text == "waited"
    with Http2Client(server.address) as client:
        stream = client.request("GET", invoke_path("wait") + "?seconds=2")
        client.send(h2.PING, 0, 0, b"12345678")
        client.read_until(lambda frame: frame.type == h2.PING and frame.flags & h2.ACK)
        server.process.terminate()
        assert client.goaway() == h2.NO_ERROR
        status, _, body = client.response(stream)
        assert (status, body) == (200, b"waited")
        assert client.is_closed()


# Real clients.


def curl(*arguments):
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", *arguments], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl(server):
    url = server.url + invoke_path("echo")
    wide = "x" * 1_000_000
    assert curl("--http2-prior-knowledge", "-w", " %{http_version}", "-d", "hello", url) == b"hello 2"
    head = curl("--http2-prior-knowledge", "-i", server.url + invoke_path("dated")).decode()
    assert [line for line in head.split("\r\n") if line.startswith(("date:", "server:"))] == [
        "date: Mon, 01 Jan 2001 00:00:00 GMT",
        "server: own",
    ]
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", "--http2-prior-knowledge", "--data-binary", "@-", url], input=wide.encode(), capture_output=True, timeout=60)  # fmt: skip
    assert done.stdout.decode() == wide, done.stderr


@pytest.mark.parametrize(
    "method, path, headers, size, status",
    [
        ("POST", NOBODY, [], 6 << 20, 404),
        ("PUT", "/spaces/default/functions/echo/async-invoke", [], 6 << 20, 405),
        ("POST", "/spaces/default/functions/echo/async-invoke", ["-H", "X-Callback-Url: gopher://a"], 6 << 20, 400),
        ("POST", "/spaces/default/functions/echo/invoke", [], (6 << 20) + 1, 413),
        ("POST", "/spaces/default/functions/echo/invoke", [], 40 << 20, 413),
    ],
)
def test_curl_reads_an_answer_that_comes_while_it_sends(server, tmp_path, method, path, headers, size, status):
    body = tmp_path / "body"
    body.write_bytes(bytes(size))
    answer = curl("--http2-prior-knowledge", "-X", method, *headers, "--data-binary", f"@{body}", server.url + path)
    assert json.loads(answer)["status"] == status


NODE = """
const http2 = require("http2")
const [url, path, ca] = process.argv.slice(1)
const session = http2.connect(url, ca ? { ca: require("fs").readFileSync(ca) } : {})
session.on("error", (error) => { console.error(error); process.exit(1) })
let left = 200, wrong = 0
for (let i = 0; i < left; i++) {
  const request = session.request({ ":path": path, ":method": "POST" })
  const sent = String(i).repeat(1 + i * 20)
  let body = ""
  request.setEncoding("utf8").on("data", (part) => (body += part)).on("end", () => {
    if (body !== sent) wrong++
    if (--left === 0) { console.log(session.alpnProtocol, wrong); session.close() }
  })
  request.end(sent)
}
setTimeout(() => process.exit(2), 60000).unref()
"""


def node(*arguments):
    done = subprocess.run(["node", "-e", NODE, *arguments], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_node(server):
    assert node(server.url, invoke_path("echo")) == ["h2c", "0"]


def test_by_agreement_inside_tls(start_server, tmp_path):
    certificate = certificates.make(tmp_path)
    server = start_server(*certificate.options(), ca=certificate.certificate)
    server.deploy("echo", ECHO)
    server.deploy("mirror", MIRROR)
    url = server.url + invoke_path("echo")
    ca = str(certificate.certificate)
    assert curl("--cacert", ca, "-w", " %{http_version}", "-d", "hello", url) == b"hello 2"
    assert curl("--cacert", ca, "--http1.1", "-w", " %{http_version}", "-d", "hello", url) == b"hello 1.1"
    assert node(server.url, invoke_path("echo"), ca) == ["h2", "0"]
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["h2"])
    with Http2Client(server.address, tls=context) as client:
        seen = json.loads(client.response(client.request("GET", invoke_path("mirror")))[2])
        assert ["X-Forwarded-Proto", "https"] in [[name.title(), value] for name, value in seen["headers"]]
    assert pathlib.Path(ca).exists()


def test_how_many_requests_a_client_may_make_at_a_time_is_a_setting(tmp_path):
    server = Server(tmp_path / "data", "--max-concurrent-streams", "5").start()
    try:
        with Http2Client(server.address) as opened:
            settings = next(frame.payload for frame in opened.frames if frame.type == h2.SETTINGS)
            pairs = dict(struct.iter_unpack(">HI", settings))
            assert pairs[3] == 5  # SETTINGS_MAX_CONCURRENT_STREAMS
            assert opened.response(opened.request("GET", "/healthz"))[0] == 200
    finally:
        assert server.stop() == 0
