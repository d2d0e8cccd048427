"""Calls: requests, concurrency, errors, cancellation, logs, the end."""

import json
import time

import frames
import pytest
from worker import QUEUED, STARTED, TAKEN_BACK

ECHO = """
exports.handle = async (req) => ({ body: {
  method: req.method, path: req.path, query: [...req.query], headers: [...req.headers], body: req.body.toString("base64"),
} });
"""


def seen(outcome):
    return json.loads(outcome.body)


def test_all_parts_of_a_request(start):
    got = seen(
        start(ECHO).call(
            method=b"PATCH",
            path="/a b/ü".encode(),
            query=b"a=1&a=2&b=%C3%BC+x&c",
            headers=[(b"X-A", b"1"), (b"x-a", b"2"), (b"Latin", b"h\xe9"), (b"Set-Cookie", b"a"), (b"Set-Cookie", b"b")],
            body=b"\x00\xff",
        )
    )
    assert got == {
        "method": "PATCH",
        "path": "/a b/ü",
        "query": [["a", "1"], ["a", "2"], ["b", "ü x"], ["c", ""]],
        "headers": [["latin", "h\xe9"], ["set-cookie", "a"], ["set-cookie", "b"], ["x-a", "1, 2"]],
        "body": "AP8=",
    }


def test_text_and_json_with_and_without_await(start):
    source = """
        exports.handle = async (req) => req.path === "/j"
          ? { body: [req.json().a, (await req.json()).a] } : { body: req.text() + (await req.text()) };
    """
    worker = start(source)
    assert worker.call(1, body="hé".encode()).body == "héhé".encode()
    assert worker.call(2, path=b"/j", body=b'{"a":[1]}').body == b"[[1],[1]]"
    marked = b"\xef\xbb\xbf"
    assert worker.call(4, body=marked + b"x" + marked).body == b"x\xef\xbb\xbf" * 2
    assert worker.call(5, path=b"/j", body=marked + b'{"a":1}').body == b"[1,1]"
    assert worker.call(6, body=b"\xef\xbb").body == "\ufffd\ufffd".encode()
    broken = worker.call(3, path=b"/j", body=b"{")
    assert broken.kind == frames.RAISED and broken.text.startswith("SyntaxError: ")


def test_body_that_comes_in_parts(start):
    worker = start("exports.handle = (req) => ({ body: String(req.body.length) });")
    worker.set_claim(1, 1)
    worker.send(frames.request(1, 1, body=b"x" * 1000, more=True))
    worker.send(frames.frame(frames.BODY, b"y" * 300_000, 1, 1, more=True))
    worker.send(frames.frame(frames.BODY, b"", 1, 1))
    assert worker.outcome().body == b"301000"


def test_bodies_that_are_kept_stay_as_they_are(start):
    source = """
        const kept = [];
        exports.handle = (req) => { kept.push(req.body); return { body: kept.map((each) => each.toString()) }; };
    """
    worker = start(source)
    for call in range(1, 6):
        worker.request(call, body=str(call).encode() * 3)
    bodies = [json.loads(worker.outcome().body) for _ in range(5)]
    assert bodies[-1] == ["111", "222", "333", "444", "555"]


def test_a_sync_handler_runs_one_call_at_a_time_an_async_one_many(start):
    source = """
        let running = 0, most = 0;
        const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
        exports.handle = %s {
          most = Math.max(most, ++running);
          return wait(20).then(() => { --running; return { body: most }; });
        };
    """
    for kind, wanted in (("(req) =>", 1), ("async (req) =>", 3)):
        worker = start(source % kind, concurrency=1, async_concurrency=3)
        for call in range(1, 7):
            worker.request(call)
        assert max(int(worker.outcome().body) for _ in range(6)) == wanted


def test_calls_that_were_taken_back_are_dropped(start):
    worker = start("exports.handle = () => ({ body: 'x' });")
    worker.request(1, queued=TAKEN_BACK)
    got = worker.next()
    assert (got.type, got.call, got.slot) == (frames.RECALLED, 1, 1)
    assert worker.call(2).body == b"x"


@pytest.mark.parametrize("throw", ["throw new TypeError('no')", "return Promise.reject(new TypeError('no'))"])
def test_exceptions_fail_their_call(start, throw):
    worker = start(f"\nexports.handle = (req) => {{ {throw}; }};\n")
    got = worker.call()
    assert (got.kind, got.text) == (frames.RAISED, "TypeError: no")
    text = "".join(text for _, _, text in got.logs)
    assert text.startswith("TypeError: no\n") and "handler.js:2:" in text
    assert "/shim/" not in text and "node:internal" not in text
    assert all(call == 1 and stream == 2 for call, stream, _ in got.logs)


def test_what_is_no_error_can_be_thrown_too(start):
    worker = start("exports.handle = async (req) => { throw eval(req.text()); };")
    assert worker.call(1, body=b"'text'").text == "'text' was thrown"
    assert worker.call(2, body=b"undefined").text == "undefined was thrown"
    caused = worker.call(3, body=b"new Error('outer', { cause: new Error('inner') })")
    assert any("inner" in text for _, _, text in caused.logs)


def test_rejection_that_nothing_handles_fails_its_call_alone(start):
    source = """
        exports.handle = async (req) => {
          if (req.path === "/bad") { Promise.reject(new Error("forgotten")); await new Promise(() => {}); }
          await new Promise((resolve) => setTimeout(resolve, 50));
          return { body: "fine" };
        };
    """
    worker = start(source, concurrency=8)
    worker.request(1)
    worker.request(2, path=b"/bad")
    outcomes = {type(each).__name__: each for each in (worker.outcome(), worker.outcome())}
    assert outcomes["Response"].body == b"fine"
    assert outcomes["Failure"].text == "Error: forgotten"
    assert worker.logs[0] == (2, 2, "sterna: a promise was rejected and nothing handles it:\n")
    assert worker.call(3).body == b"fine"


def test_exception_in_a_callback_fails_its_call_and_ends_the_process_after_the_others(start):
    source = """
        exports.handle = async (req) => {
          if (req.path === "/bad") { setTimeout(() => { throw new Error("late"); }); await new Promise(() => {}); }
          await new Promise((resolve) => setTimeout(resolve, 100));
          return { body: "fine" };
        };
    """
    worker = start(source, concurrency=8)
    worker.request(1)
    worker.request(2, path=b"/bad")
    failed = worker.outcome()
    assert (failed.kind, failed.text) == (frames.RAISED, "Error: late")
    assert any("handler.js:3" in text for _, _, text in failed.logs)
    assert worker.outcome().body == b"fine"
    assert worker.exit_code() == 1


def test_user_code_may_listen_for_what_nothing_catches(start):
    source = """
        process.on("uncaughtException", (error) => console.log("caught", error.message));
        exports.handle = async (req) => {
          setTimeout(() => { throw new Error("late"); });
          await new Promise((resolve) => setTimeout(resolve, 20));
          return { body: "fine" };
        };
    """
    got = start(source).call()
    assert got.body == b"fine" and (1, 1, "caught late\n") in got.logs


def test_process_exit_is_told_and_loses_nothing_that_was_said(start):
    worker = start("exports.handle = async () => { process.stdout.write('half a line'); process.exit(3); };")
    worker.request(1)
    assert worker.next() is None
    assert worker.logs == [(1, 2, "sterna: the process was ended with exit code 3\n"), (1, 1, "half a line\n")]
    assert worker.exit_code() == 3


def test_cancel_aborts_the_signal(start):
    source = """
        exports.handle = (req) => new Promise((resolve, reject) => {
          console.log("waits", req.signal.aborted);
          req.signal.addEventListener("abort", () => reject(req.signal.reason));
        });
    """
    worker = start(source)
    worker.request(1)
    assert worker.next_frame().type == frames.LOG
    worker.send(frames.frame(frames.CANCEL, call=1, slot=1))
    assert worker.outcome().kind == frames.CANCELLED
    worker.request(2)
    assert worker.next_frame().type == frames.LOG


def test_calls_that_wait_can_be_cancelled(start):
    worker = start("exports.handle = (req) => new Promise((resolve) => setTimeout(resolve, 50, { body: 'x' }));")
    worker.request(1)
    worker.request(2)
    worker.send(frames.frame(frames.CANCEL, call=2, slot=2))
    outcomes = [worker.outcome(), worker.outcome()]
    assert {type(each).__name__ for each in outcomes} == {"Response", "Failure"}
    assert next(each for each in outcomes if hasattr(each, "kind")).kind == frames.CANCELLED


def test_logs_carry_their_call_however_many_run(start):
    source = """
        const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
        exports.handle = async (req) => {
          const id = req.text();
          console.log("begin", id);
          await wait(Math.random() * 10);
          console.error("error %s", id, { a: 1 });
          await new Promise((done) => setImmediate(() => done(process.stdout.write(`half ${id}`))));
          return { body: id };
        };
    """
    worker = start(source, concurrency=32)
    for call in range(1, 21):
        worker.request(call, body=str(call).encode())
    for _ in range(20):
        worker.outcome()
    for call in range(1, 21):
        own = [(stream, text) for number, stream, text in worker.logs if number == call]
        assert own == [(1, f"begin {call}\n"), (2, f"error {call} {{ a: 1 }}\n"), (1, f"half {call}\n")]


def test_streams_take_what_nodes_own_take(start):
    source = """
        exports.handle = async (req) => {
          await new Promise((resolve) => process.stdout.write(Buffer.from("bytes\\n"), resolve));
          process.stdout.write("aGV4Cg==", "base64");
          process.stdout.end("end\\n");
          console.table([{ a: 1 }]);
          const { Readable } = require("node:stream");
          Readable.from(["piped\\n"]).pipe(process.stderr, { end: false });
          await new Promise((resolve) => setTimeout(resolve, 20));
          try { process.stdout.write(5); } catch (error) { return { body: error.code }; }
        };
    """
    got = start(source).call()
    assert got.body == b"ERR_INVALID_ARG_TYPE"
    assert [entry for entry in got.logs if "a" not in entry[2] and "│" not in entry[2] and "─" not in entry[2]][:3] == [
        (1, 1, "bytes\n"), (1, 1, "hex\n"), (1, 1, "end\n"),
    ]  # fmt: skip
    assert (1, 2, "piped\n") in got.logs


def test_raw_output_goes_to_the_pipe(start):
    source = """
        exports.handle = () => {
          require("node:fs").writeSync(1, "raw\\n");
          require("node:child_process").execSync("echo child", { stdio: ["ignore", 1, 2] });
          return {};
        };
    """
    worker = start(source)
    assert worker.call().logs == []
    assert worker.shut_down() == 0
    assert worker.output_text() == "raw\nchild\n"


def test_shutdown_lets_calls_end_and_runs_exit_listeners(start):
    source = """
        process.on("exit", () => console.log("bye"));
        exports.handle = () => new Promise((resolve) => setTimeout(resolve, 50, { body: "x" }));
    """
    worker = start(source)
    worker.request(1)
    worker.request(2)
    worker.send(frames.frame(frames.SHUTDOWN))
    assert [worker.outcome().body, worker.outcome().body] == [b"x", b"x"]
    assert worker.next() is None and worker.logs == [(0, 1, "bye\n")]
    assert worker.exit_code() == 0


def test_a_server_that_goes_away_ends_the_worker(start):
    worker = start("exports.handle = () => ({});")
    worker.socket.shutdown(2)
    assert worker.exit_code() == 0


def test_answers_that_wait_for_a_slow_call_leave_when_the_bell_rings(start):
    source = """
        exports.handle = (req) => {
          const until = Date.now() + Number(req.text());
          while (Date.now() < until) {}
          return { body: "x" };
        };
    """
    worker = start(source)
    worker.set_claim(1, 1)
    worker.set_claim(2, 1)
    worker.send(frames.request(1, 1, body=b"0") + frames.request(2, 2, body=b"1500"))
    while worker.claim(2) != STARTED:  # its run is about to begin
        assert time.monotonic() < worker.deadline
    began = time.monotonic()
    worker.ring()
    assert worker.next().call == 1
    assert time.monotonic() - began < 1.2
    assert worker.next().call == 2


def test_broken_frames_end_the_worker(start):
    worker = start("exports.handle = () => ({});")
    worker.send(b"\xff" * 16)
    assert worker.exit_code() == 70
    assert "the connection to the server broke" in worker.output_text()


def test_children_of_user_code_inherit_no_descriptors(start):
    source = """
        const { execSync } = require("node:child_process");
        exports.handle = () => ({ body: execSync("ls -l /proc/self/fd").toString() });
    """
    others = [line.split() for line in start(source).call().body.decode().splitlines()[4:]]
    assert [each[-1].startswith("/proc/") for each in others] == [True]  # the folder that is listed


STORAGE = """
    const { AsyncLocalStorage } = require("node:async_hooks");
    const user = new AsyncLocalStorage();
    const seen = (req) => { const before = user.getStore() ?? null; user.enterWith(req.path); return before; };
"""


@pytest.mark.parametrize(
    "handle",
    [
        "(req) => ({ body: [seen(req), user.getStore()] })",
        "async (req) => { const before = seen(req); await new Promise(setImmediate); return { body: [before, user.getStore()] }; }",
        "async (req) => ({ body: (async function* () { yield JSON.stringify([seen(req), user.getStore()]); })() })",
    ],
    ids=["sync", "async", "stream"],
)
def test_what_a_call_stores_is_its_own(start, handle):
    worker = start(f"{STORAGE}\nexports.handle = {handle};", concurrency=2)
    for call in range(1, 21):
        worker.request(call, path=b"/%d" % call)
    for _ in range(20):
        before, path = seen(worker.outcome())
        assert before is None and path.startswith("/")


def test_what_a_listener_for_the_end_of_a_call_stores_is_its_own(start):
    source = STORAGE + """
        exports.handle = async (req) => {
          if (req.path === "/next") return { body: [user.getStore() ?? null] };
          console.log("began");
          await new Promise((resolve) => { req.signal.onabort = () => { user.enterWith("mine"); resolve(); }; });
          return {};
        };
    """
    worker = start(source, concurrency=2)
    worker.request(1)
    assert worker.next_frame().type == frames.LOG
    worker.send(frames.frame(frames.CANCEL, call=1, slot=1))
    worker.request(2, path=b"/next")
    outcomes = [worker.outcome(), worker.outcome()]
    assert [seen(each) for each in outcomes if not hasattr(each, "kind")] == [[None]]


def test_a_body_that_is_transferred_takes_no_other_along(start):
    source = """
        exports.handle = async (req) => {
          await null;
          if (req.path === "/take") { try { structuredClone(req.body, { transfer: [req.body.buffer] }); } catch {} return {}; }
          await new Promise(setImmediate);
          return { body: [req.path, req.text()] };
        };
    """
    worker = start(source, concurrency=10)
    requests = []
    for call in range(1, 11):
        worker.set_claim(call, QUEUED)
        path = b"/take" if call % 2 else b"/%d" % call
        requests.append(frames.request(call, path=path, body=b"%d" % call * 50))
    worker.send(b"".join(requests))
    got = [worker.outcome() for _ in range(10)]
    assert all(each.status == 200 for each in got)
    assert sorted(seen(each)[0] for each in got if each.body) == ["/10", "/2", "/4", "/6", "/8"]
    assert all(seen(each)[1] == seen(each)[0][1:] * 50 for each in got if each.body)


def test_who_writes_to_the_end_of_a_standard_stream_is_told(start):
    source = """
        const { pipeline } = require("node:stream/promises");
        const { Readable } = require("node:stream");
        exports.handle = async (req) => {
          await pipeline(Readable.from(["piped\\n"]), process.stdout);
          await pipeline(async function* () { yield "generated\\n"; }, process.stderr);
          await new Promise((resolve) => process.stdout.end("ended\\n", resolve));
          await new Promise((resolve) => process.stdout.end(resolve));
          console.log("open still");
          return {};
        };
    """
    worker = start(source)
    assert worker.call().status == 200
    assert worker.logs == [(1, 1, "piped\n"), (1, 2, "generated\n"), (1, 1, "ended\n"), (1, 1, "open still\n")]
