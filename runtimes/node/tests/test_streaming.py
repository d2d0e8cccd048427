"""Bodies that leave in parts, under the window of their call."""

import struct

import frames
import pytest

WINDOW = 256 * 1024
WAIT = "const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));\n"


def window(call, size):
    return frames.frame(frames.WINDOW, struct.pack("<I", size), call, call)


STREAMS = {
    "generator": "{ body: (function* () { yield 'a'; yield Buffer.from('b'); })() }",
    "async generator": "{ body: (async function* () { yield 'a'; await wait(2); yield new Uint8Array([98]); })() }",
    "Readable": "{ body: require('node:stream').Readable.from(['a', 'b']) }",
    "ReadableStream": "{ body: new ReadableStream({ start(c) { c.enqueue('a'); c.enqueue('b'); c.close(); } }) }",
    "Response": "new Response(new ReadableStream({ start(c) { c.enqueue(Buffer.from('ab')); c.close(); } }))",
    "piped Response": "new Response(new Blob(['ab']).stream().pipeThrough(new TransformStream()))",
    "PassThrough": "(() => { const p = new (require('node:stream').PassThrough)(); p.write('a'); p.end('b'); return { body: p }; })()",
}


@pytest.mark.parametrize("kind", STREAMS)
def test_every_kind_of_stream(start, kind):
    worker = start(WAIT + f"exports.handle = async (req) => ({STREAMS[kind]});")
    got = worker.call()
    assert (got.status, got.body) == (200, b"ab")


def test_a_stream_of_one_chunk_has_a_length(start):
    for body in ("new Response('x'.repeat(1000))", "{ body: (async function* () { yield 'x'.repeat(1000); })() }"):
        got = start(f"exports.handle = async () => ({body});").call()
        assert got.content_length == 1000 and len(got.body) == 1000


def test_an_empty_stream_is_an_empty_body(start):
    got = start("exports.handle = () => ({ status: 202, body: (function* () {})() });").call()
    assert (got.status, got.content_length, got.body) == (202, 0, b"")


def test_chunks_leave_as_they_come(start):
    source = WAIT + """
        let release;
        exports.handle = async (req) => {
          if (req.path === "/release") { release(); return {}; }
          const gate = new Promise((resolve) => (release = resolve));
          return { body: (async function* () { yield "first"; await gate; yield "second"; })() };
        };
    """
    worker = start(source, concurrency=4)
    worker.request(1)
    assert frames.read_response(worker.next().payload).content_length == frames.UNKNOWN
    assert worker.next().payload == b"first"
    worker.request(2, path=b"/release")
    rest = [worker.next() for _ in range(3)]
    assert [each.payload for each in rest if each.call == 1] == [b"second", b""]


def test_large_bodies_wait_for_the_window(start):
    worker = start("exports.handle = () => ({ body: Buffer.alloc(600000, 'x') });")
    worker.request(1)
    got = worker.next()
    response = frames.read_response(got.payload)
    assert response.content_length == 600_000 and len(response.body) == WINDOW and got.more
    assert worker.next_frame_if_any() is None
    worker.send(window(1, 100_000))
    part = worker.next()
    assert len(part.payload) == 100_000 and part.more
    worker.send(window(1, 1_000_000))
    part = worker.next()
    assert len(part.payload) == 600_000 - WINDOW - 100_000 and not part.more


def test_a_generator_is_not_read_faster_than_its_reader(start):
    source = """
        let given = 0;
        exports.handle = async (req) => {
          if (req.path === "/given") return { body: given };
          return { body: (async function* () { for (;;) { ++given; yield Buffer.alloc(64 * 1024); } })() };
        };
    """
    worker = start(source, concurrency=4)
    worker.request(1)
    for _ in range(5):
        worker.next()  # the head and four chunks: the window is used up
    first = int(worker.call(2, path=b"/given").body)
    assert first <= 6
    worker.send(window(1, 128 * 1024))
    worker.next()
    worker.next()
    assert int(worker.call(3, path=b"/given").body) <= first + 2


@pytest.mark.parametrize(
    "stream",
    [
        "(async function* () { try { for (;;) yield Buffer.alloc(65536); } finally { console.log('closed'); } })()",
        "(function* () { try { for (;;) yield Buffer.alloc(65536); } finally { console.log('closed'); } })()",
        "new ReadableStream({ pull(c) { c.enqueue(Buffer.alloc(65536)); }, cancel() { console.log('closed'); } })",
        "new ReadableStream({ start(c) { c.enqueue(Buffer.alloc(9)); }, cancel() { console.log('closed'); } })",
        "new (require('node:stream').Readable)({ read() { this.push(Buffer.alloc(65536)); }, "
        "destroy(e, done) { console.log('closed'); done(e); } })",
    ],
)
def test_cancel_closes_the_stream(start, stream):
    worker = start(f"exports.handle = async () => ({{ body: {stream} }});")
    worker.request(1)
    worker.next()  # the head
    worker.next()  # the first chunk
    worker.send(frames.frame(frames.CANCEL, call=1, slot=1))
    while (got := worker.next()).type == frames.RESPONSE_BODY:
        pass
    assert frames.read_failed(got.payload).kind == frames.CANCELLED
    worker.request(2)
    worker.next()
    assert (1, 1, "closed\n") in worker.logs


def test_a_stream_that_fails_when_it_is_closed_ends_its_call_only(start):
    source = """
        exports.handle = async (req) => {
          if (req.path === "/next") return { body: "next" };
          return { body: (function* () { try { for (;;) yield Buffer.alloc(65536); } finally { throw new Error("close"); } })() };
        };
    """
    worker = start(source, concurrency=2)
    worker.request(1)
    for _ in range(5):
        worker.next()  # the head and four chunks: it waits for the window
    worker.set_claim(2, 1)
    worker.send(frames.frame(frames.CANCEL, call=1, slot=1) + frames.request(2, path=b"/next"))
    got = [worker.outcome(), worker.outcome()]
    assert sorted(getattr(each, "body", b"") for each in got) == [b"", b"next"]
    assert worker.call(3, path=b"/next").body == b"next"
    assert worker.logs == []


def test_a_stream_that_fails_at_once_is_an_error_for_the_caller(start):
    source = "exports.handle = () => ({ body: (async function* () { throw new Error('empty'); })() });"
    got = start(source).call()
    assert (got.kind, got.text) == (frames.RAISED, "Error: empty")


def test_a_stream_that_fails_later_breaks_off(start):
    source = WAIT + """
        exports.handle = () => ({ body: (async function* () {
          yield "a"; await wait(20); console.log("fails"); throw new Error("late");
        })() });
    """
    worker = start(source)
    worker.request(1)
    assert worker.next().type == frames.RESPONSE
    assert worker.next().payload == b"a"
    failed = frames.read_failed(worker.next().payload)
    assert (failed.kind, failed.text) == (frames.RAISED, "Error: late")
    assert worker.logs[0] == (1, 1, "fails\n")  # a generator runs for its call


def test_a_bad_chunk_breaks_off(start):
    source = WAIT + "exports.handle = () => ({ body: (async function* () { yield 'a'; await wait(20); yield 5; })() });"
    worker = start(source)
    worker.request(1)
    worker.next()
    worker.next()
    failed = frames.read_failed(worker.next().payload)
    assert failed.kind == frames.BAD_ANSWER and "gave a number" in failed.text


def test_a_long_chunk_ahead_of_a_failure_is_sent(start):
    worker = start("exports.handle = () => ({ body: (function* () { yield 'x'.repeat(400000); throw new Error('late'); })() });")
    worker.request(1)
    assert worker.next().type == frames.RESPONSE
    assert len(worker.next().payload) == WINDOW
    worker.send(window(1, 1_000_000))
    assert len(worker.next().payload) == 400_000 - WINDOW
    failed = frames.read_failed(worker.next().payload)
    assert (failed.kind, failed.text) == (frames.RAISED, "Error: late")


UNSENT = {
    "Readable": "new (require('node:stream').Readable)({ read() {}, destroy(e, done) { console.log('closed'); done(e); } })",
    "ReadableStream": "new ReadableStream({ cancel() { console.log('closed'); } })",
}


@pytest.mark.parametrize("kind", UNSENT)
def test_a_stream_that_comes_after_the_cancel_is_closed(start, kind):
    source = f"""
        exports.handle = async (req) => {{
          if (req.path === "/next") return {{}};
          console.log("began");
          await new Promise((resolve) => req.signal.addEventListener("abort", resolve));
          return {{ body: {UNSENT[kind]} }};
        }};
    """
    worker = start(source, concurrency=2)
    worker.request(1)
    assert worker.next_frame().type == frames.LOG
    worker.send(frames.frame(frames.CANCEL, call=1, slot=1))
    assert worker.outcome().kind == frames.CANCELLED
    worker.call(2, path=b"/next")
    assert (1, 1, "closed\n") in worker.logs


@pytest.mark.parametrize("kind", UNSENT)
def test_the_stream_of_a_bad_answer_is_closed(start, kind):
    worker = start(f"exports.handle = async (req) => req.path === '/next' ? {{}} : {{ status: 99, body: {UNSENT[kind]} }};")
    assert worker.call(1).kind == frames.BAD_ANSWER
    worker.call(2, path=b"/next")
    assert (1, 1, "closed\n") in worker.logs
