"""Answers in parts: generators, windows, cancellation. Every test runs for a sync handler, for threads,
and for async."""

import struct

import frames
import pytest
import worker as workers

MODES = [("def", 1), ("def", 2), ("async def", 4)]
WINDOW = 262144


@pytest.fixture(params=MODES, ids=["sync", "threads", "async"])
def stream(request, start):
    """Starts a worker whose handler returns the given body expression; `before` is the text above the
    handler."""
    keyword, concurrency = request.param

    def start_stream(before, body="chunks(req)", **options):
        import textwrap

        source = f"{textwrap.dedent(before)}\n{keyword} handle(req):\n    return {{'headers': {{'X-A': '1'}}, 'body': {body}}}\n"
        return start(source, concurrency=concurrency, **options)

    return start_stream


def grant(worker, call, count):
    worker.send(frames.frame(frames.WINDOW, struct.pack("<I", count), call, call))


def test_generator_chunk_by_chunk(stream):
    worker = stream(
        """
        import os, time

        def chunks(req):
            yield "one"
            while not os.path.exists("go"):
                time.sleep(0.005)
            yield b"\\xff"
            yield ""
            yield bytearray(b"last")
    """
    )
    worker.request()
    head = worker.next()
    response = frames.read_response(head.payload)
    assert (head.type, head.more, response.status, response.content_length) == (
        frames.RESPONSE,
        True,
        200,
        frames.UNKNOWN,
    )
    assert response.headers == [("X-A", "1")]
    first = response.body or worker.next().payload
    assert first == b"one", "the first chunk leaves before the second one is there"
    (worker.bundle / "go").touch()
    rest = []
    while (part := worker.next()).more:
        rest.append(part.payload)
    assert rest == [b"\xff", b"last"] and part.payload == b""


def test_other_iterators(stream):
    assert stream("", "map(str, range(5))").call().body == b"01234"
    assert stream("", "iter([])").call().content_length == 0


def test_async_generator(stream):
    worker = stream(
        """
        import asyncio

        async def chunks(req):
            for n in range(3):
                await asyncio.sleep(0)
                yield f"{n};"
    """
    )
    assert worker.call().body == b"0;1;2;"


def test_empty_first_chunk_sends_the_head(stream):
    worker = stream(
        """
        import os, time

        def chunks(req):
            yield ""
            while not os.path.exists("go"):
                time.sleep(0.005)
            yield "later"
    """
    )
    worker.request()
    head = worker.next()
    assert head.more and frames.read_response(head.payload).body == b""
    (worker.bundle / "go").touch()
    assert worker.next().payload == b"later"
    assert not worker.next().more


def parts_until(worker, total):
    """Reads RESPONSE and BODY frames until that many bytes have come; answers the bytes and whether
    more are announced."""
    head = worker.next()
    response = frames.read_response(head.payload)
    body, more = response.body, head.more
    while len(body) < total:
        part = worker.next()
        assert part.type == frames.RESPONSE_BODY
        assert len(part.payload) <= WINDOW
        body, more = body + part.payload, part.more
    return response, body, more


@pytest.mark.parametrize(
    "body",
    [
        "b'x' * 1000000",
        "'x' * 1000000",
        "iter(['x' * 1000000])",
        "('x' * 999 + 'x' for n in range(1000))",
    ],
)
def test_window_is_kept(stream, body):
    worker = stream("", body)
    worker.request(1)
    response, data, more = parts_until(worker, WINDOW)
    assert response.content_length in (1000000, frames.UNKNOWN)
    assert len(data) == WINDOW and more
    grant(worker, 1, 7)
    assert len(worker.next().payload) == 7
    grant(worker, 99, 1000)  # a call that is not there
    grant(worker, 1, 10**9)
    rest = 1000000 - WINDOW - 7
    while rest:
        part = worker.next()
        rest -= len(part.payload)
    while part.more:
        part = worker.next()
    assert worker.next_frame_if_any() is None
    worker.request(2)
    parts_until(worker, WINDOW)


def test_body_of_exactly_the_window(stream):
    worker = stream("", "b'x' * 262144")
    assert len(worker.call().body) == WINDOW
    assert len(worker.call(2).body) == WINDOW


def test_other_calls_wait_or_run_while_one_streams(stream):
    worker = stream("", "b'x' * (300000 if req.path == '/big' else 1)")
    worker.request(1, path=b"/big")
    parts_until(worker, WINDOW)
    worker.request(2)
    worker.request(3, body=b"in parts ", more=True)
    worker.send(frames.frame(frames.BODY, b"end", 3, 3))
    grant(worker, 1, 10**6)
    seen = {}
    while len(seen) < 3:
        got = worker.next()
        if not got.more:
            seen[got.call] = got.type
    assert seen == {1: frames.RESPONSE_BODY, 2: frames.RESPONSE, 3: frames.RESPONSE}


CLEAN_UP = """
    def chunks(req):
        try:
            while True:
                yield "x" * 100000
        finally:
            print("closed")
"""


def test_cancel_closes_the_generator(stream):
    worker = stream(CLEAN_UP)
    worker.request(1)
    parts_until(worker, WINDOW)
    worker.send(frames.frame(frames.CANCEL, b"", 1, 1))
    failed = worker.outcome()
    assert failed.kind == frames.CANCELLED
    assert failed.logs == [(1, 1, "closed\n")]
    worker.request(2)
    assert frames.read_response(worker.next().payload).status == 200


def test_cancel_is_seen_between_small_chunks(stream):
    worker = stream(
        """
        import time

        def chunks(req):
            try:
                while True:
                    time.sleep(0.001)
                    yield "tick"
            finally:
                print("closed")
    """
    )
    worker.request(1)
    parts_until(worker, 20)
    worker.send(frames.frame(frames.CANCEL, b"", 1, 1))
    while (got := worker.next()).type == frames.RESPONSE_BODY:
        pass
    assert frames.read_failed(got.payload).kind == frames.CANCELLED
    assert worker.logs == [(1, 1, "closed\n")]


def test_cancel_during_a_large_body(stream):
    worker = stream("", "b'x' * 1000000 if req.path == '/big' else 'small'")
    worker.request(1, path=b"/big")
    parts_until(worker, WINDOW)
    worker.send(frames.frame(frames.CANCEL, b"", 1, 1))
    assert worker.outcome().kind == frames.CANCELLED
    assert worker.call(2).body == b"small"


def test_generator_that_fails_before_its_first_chunk_is_an_error(stream):
    worker = stream("def chunks(req):\n    raise ValueError('early')\n    yield 'x'\n")
    failed = worker.call()
    assert (failed.kind, failed.text) == (frames.RAISED, "ValueError: early")
    ((call, stream_number, text),) = failed.logs
    assert (call, stream_number) == (1, 2) and "in chunks" in text and "sterna_worker" not in text


def test_generator_that_fails_later_breaks_the_stream(stream):
    worker = stream("def chunks(req):\n    yield 'x'\n    raise ValueError('late')\n")
    worker.request()
    parts_until(worker, 1)
    failed = worker.outcome()
    assert (failed.kind, failed.text) == (frames.RAISED, "ValueError: late")


@pytest.mark.parametrize("chunk", ["1", "None", "{}"])
def test_chunk_of_a_wrong_type(stream, chunk):
    failed = stream("", f"iter([{chunk}])").call()
    assert failed.kind == frames.BAD_ANSWER and "each chunk must be str or bytes" in failed.text


def test_failing_close_is_logged_and_harmless(stream):
    worker = stream(
        """
        def chunks(req):
            try:
                yield "x" * 300000
            finally:
                raise ValueError("in finally")
    """
    )
    worker.request(1)
    parts_until(worker, WINDOW)
    worker.send(frames.frame(frames.CANCEL, b"", 1, 1))
    failed = worker.outcome()
    assert failed.kind == frames.CANCELLED and "ValueError: in finally" in failed.logs[0][2]


def test_event_is_usable_inside_the_generator(stream):
    worker = stream(
        """
        def chunks(req):
            for n in range(3):
                yield req.body + req.path.encode() + req.headers["X-N"].encode()
    """
    )
    for call in (1, 2):
        n = b"%d" % call
        assert (
            worker.call(call, path=b"/" + n, body=b"b" * 5000, headers=[(b"X-N", n)]).body
            == (b"b" * 5000 + b"/" + n + n) * 3
        )


TOGETHER = """
    import threading

    together = threading.Barrier({count})

    def chunks(number):
        together.wait(10)
        print("chunk of", number)
        yield number

    async def handle(req):
        return {{"body": chunks(req.path)}}
"""


def request_all(worker, count):
    for call in range(1, count + 1):
        worker.set_claim(call, workers.QUEUED)
    worker.send(b"".join(frames.request(call, path=b"/%d" % call) for call in range(1, count + 1)))


def test_generators_of_async_calls_run_at_the_same_time(start):
    count = 40  # more than the loop's own threads on any machine
    worker = start(TOGETHER.format(count=count), concurrency=count)
    request_all(worker, count)
    bodies = {}
    while len(bodies) < count or not all(bodies.values()):
        got = worker.next()
        assert got.type in (frames.RESPONSE, frames.RESPONSE_BODY), (got, worker.logs)
        bodies[got.call] = bodies.get(got.call, b"") + (got.payload if got.type == frames.RESPONSE_BODY else b"")
    assert bodies == {call: b"/%d" % call for call in range(1, count + 1)}
    assert sorted(worker.logs) == [(call, 1, f"chunk of /{call}\n") for call in range(1, count + 1)]


def test_where_threads_run_out_generators_wait_for_each_other(start):
    few = """
    start, left = threading.Thread.start, [2]

    def start_if_allowed(thread):
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(thread)

    threading.Thread.start = start_if_allowed
"""
    worker = start(TOGETHER.format(count=2).replace("import threading\n", f"import threading\n{few}"), concurrency=8)
    request_all(worker, 8)
    ended = 0
    while ended < 8:
        got = worker.next()
        assert got.type in (frames.RESPONSE, frames.RESPONSE_BODY), (got, worker.logs)
        ended += not got.more
    assert worker.shut_down() == 0
