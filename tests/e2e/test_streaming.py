"""Bodies that flow: what a function produces arrives as it is produced, and nobody's slowness fills the server."""

import time

import pytest

import raw_http2 as h2
from polling import eventually
from raw_http import Closed
from raw_http2 import Http2Client
from sterna import invoke_path

STREAMS = """
import time

def handle(req):
    kind = req.query.get("kind")
    return {"headers": {"content-type": "text/plain"}, "body": globals()[kind](req)}

def three(req):
    yield "one,"
    yield b"two,"
    yield "three"

def paced(req):
    for number in range(3):
        yield f"{number} {time.monotonic()}\\n"
        time.sleep(0.3)

def empty(req):
    return
    yield

def endless(req):
    block = b"x" * 65536
    while True:
        yield block

def big(req):
    for number in range(int(req.query["blocks"])):
        yield number.to_bytes(4, "big") * 16384

def breaks(req):
    yield "before"
    raise ValueError("in the middle")

def not_bytes(req):
    yield "before"
    yield 42

def held(req):
    print("began")
    try:
        for number in range(600):
            yield f"{number}\\n"
            time.sleep(0.05)
    finally:
        print("ended after", number)
"""

ASYNC_STREAMS = """
import asyncio

async def handle(req):
    return {"headers": {"content-type": "text/event-stream"}, "body": globals()[req.query["kind"]](req)}

async def events(req):
    for number in range(5):
        yield f"data: {number}\\n\\n"
        await asyncio.sleep(0.2)

async def held(req):
    print("began")
    try:
        while True:
            yield "tick\\n"
            await asyncio.sleep(0.05)
    finally:
        print("ended")

async def breaks(req):
    yield "before"
    raise ValueError("in the middle")

async def not_bytes(req):
    yield "before"
    yield 42
"""


@pytest.fixture(scope="module", autouse=True)
def functions(server):
    server.deploy("streams", STREAMS)
    server.deploy("async-streams", ASYNC_STREAMS)


def start(server, function, query, **options):
    client = server.open(**options)
    client.request("GET", invoke_path(function) + query)
    return client


@pytest.mark.sanitizer
def test_a_generator_is_the_body(server):
    answer = server.call("streams", "?kind=three")
    assert answer.status_code == 200 and answer.text == "one,two,three"
    assert answer.headers["content-type"] == "text/plain"
    assert server.call("streams", "?kind=empty").content == b""


@pytest.mark.sanitizer
def test_every_byte_of_a_long_stream_arrives_in_order(server):
    blocks = 300  # 19 MiB: many windows
    answer = server.call("streams", f"?kind=big&blocks={blocks}")
    assert answer.content == b"".join(number.to_bytes(4, "big") * 16384 for number in range(blocks))


def test_parts_arrive_when_they_are_produced(server):
    with start(server, "streams", "?kind=paced") as client:
        assert client.read_head().status == 200
        arrivals = []
        while part := client.read_chunk():
            arrivals.append((float(part.split()[1]), time.monotonic()))
    assert len(arrivals) == 3
    # CLOCK_MONOTONIC is one clock for all processes of the machine.
    assert all(arrived - produced < 0.25 for produced, arrived in arrivals)


def test_server_sent_events_of_an_async_generator(server):
    with start(server, "async-streams", "?kind=events") as client:
        assert client.read_head().header("Content-Type") == "text/event-stream"
        began, times = time.monotonic(), []
        for number in range(5):
            assert client.read_chunk() == f"data: {number}\n\n".encode()
            times.append(time.monotonic() - began)
        assert client.read_chunk() == b""
    assert times[0] < 0.15 and times[4] > 0.7


def test_two_streams_of_an_async_worker_run_at_the_same_time(server):
    began = time.monotonic()
    clients = [start(server, "async-streams", "?kind=events") for _ in range(5)]
    for client in clients:
        with client:
            assert client.read().body.count(b"data:") == 5
    assert time.monotonic() - began < 3


def test_the_connection_goes_on_after_a_stream(server):
    with start(server, "streams", "?kind=three") as client:
        assert client.read().body == b"one,two,three"
        client.request("GET", invoke_path("streams") + "?kind=empty")
        assert client.read().body == b""


@pytest.mark.sanitizer
@pytest.mark.parametrize("function", ["streams", "async-streams"])
@pytest.mark.parametrize("kind", ["breaks", "not_bytes"])
def test_a_stream_that_breaks_shows_how_far_it_came_and_is_not_whole(server, function, kind):
    for _ in range(10):  # head, part and failure come in one turn of the loop or in several
        with start(server, function, f"?kind={kind}") as client:
            assert client.read_head().status == 200
            assert client.read_chunk() == b"before"
            assert client.is_closed()
    assert server.call("streams", "?kind=three").text == "one,two,three"


@pytest.mark.sanitizer
@pytest.mark.parametrize("function", ["streams", "async-streams"])
@pytest.mark.parametrize("kind", ["breaks", "not_bytes"])
def test_a_stream_that_breaks_is_reset_with_http_2(server, function, kind):
    with Http2Client(server.address) as client:
        for _ in range(10):
            stream = client.request("GET", invoke_path(function) + f"?kind={kind}")
            status, _, body = client.response(stream)
            assert (status, body) == (200, b"before")
            last = client.frames[-1]
            assert last.type == h2.RST_STREAM and int.from_bytes(last.payload, "big") == h2.INTERNAL_ERROR


def test_a_slow_reader_does_not_grow_the_server(server):
    assert server.call("streams", "?kind=three").status_code == 200
    before = server.memory_kib()
    clients = [start(server, "streams", "?kind=endless", receive_buffer=65536) for _ in range(4)]
    try:
        for client in clients:
            assert client.read_head().status == 200
        grown = []
        deadline = time.monotonic() + 2
        eventually(
            lambda: grown.append(server.memory_kib() - before) or time.monotonic() > deadline, within=5
        )
        assert max(grown) < 16 * 1024
    finally:
        for client in clients:
            client.close()


def log_texts(server, function):
    return [record["text"] for record in server.logs(function)]


@pytest.mark.parametrize("function", ["streams", "async-streams"])
def test_a_client_that_goes_away_ends_the_run(server, function):
    with start(server, function, "?kind=held") as client:
        assert client.read_head().status == 200
        client.read_chunk()
    eventually(lambda: any(text.startswith("ended") for text in log_texts(server, function)))


def test_a_client_that_goes_away_frees_the_worker(server):
    server.deploy("endless", STREAMS, limits={"max_replicas": 1, "queue_wait_seconds": 8})
    with start(server, "endless", "?kind=endless") as client:
        assert client.read_head().status == 200
        client.read_chunk()
    assert server.call("endless", "?kind=three").text == "one,two,three"


def test_a_stream_ends_at_the_timeout(server):
    server.deploy("overlong", STREAMS, limits={"timeout_seconds": 0.5})
    with start(server, "overlong", "?kind=held") as client:
        assert client.read_head().status == 200
        with pytest.raises(Closed):
            while client.read_chunk():
                pass
    assert server.call("overlong", "?kind=three").text == "one,two,three"


def test_http_1_0_gets_a_stream_without_chunks(server):
    with server.open() as client:
        client.send(f"GET {invoke_path('streams')}?kind=three HTTP/1.0\r\n\r\n")
        answer = client.read()
    assert answer.header("Transfer-Encoding") is None
    assert answer.body == b"one,two,three"


def test_a_slow_uploader_does_not_hold_a_worker(server):
    server.deploy("one", "def handle(req):\n    return {'body': req.body}\n", limits={"max_replicas": 1})
    with server.open() as slow:
        slow.send(f"POST {invoke_path('one')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf")
        began = time.monotonic()
        assert server.call("one", method="POST", content=b"quick").content == b"quick"
        assert time.monotonic() - began < 5
        assert slow.send("-other").read().body == b"half-other"
