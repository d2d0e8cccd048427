"""Claims, cancellation, concurrency, forks, and the end of a worker. Most run for a sync handler, for
threads, and for async."""

import json
import os
import select
import signal
import time

import frames
import pytest
import worker as workers

MODES = [("def", 1), ("def", 2), ("async def", 4)]


@pytest.fixture(params=MODES, ids=["sync", "threads", "async"])
def mode(request, start):
    """Starts a worker with the given body of its handler; `before` is the text above."""
    keyword, concurrency = request.param

    def start_mode(body, before="", **options):
        options = {"concurrency": concurrency, **options}
        return start(f"{before}\n{keyword} handle(req):\n    {body}\n", **options)

    return start_mode


def test_a_call_is_claimed_before_it_runs(mode):
    worker = mode("return {'body': 'ok'}")
    worker.call(5)
    assert worker.claim(5) == workers.STARTED


@pytest.mark.parametrize("value", [workers.FREE, workers.STARTED, workers.TAKEN_BACK])
def test_a_call_that_was_taken_back_does_not_run(mode, value):
    worker = mode("print('ran', req.path); return {}")
    worker.request(5, queued=value)
    got = worker.next()
    assert (got.type, got.call, got.slot, got.payload) == (frames.RECALLED, 5, 5, b"")
    assert worker.claim(5) == value
    assert worker.call(6, path=b"/six").status == 200
    assert worker.logs == [(6, 1, "ran /six\n")]


def test_a_waiting_call_can_be_taken_back_while_another_runs(start):
    worker = start(
        """
        import os, time

        def handle(req):
            print("ran", req.path)
            while req.path == "/slow" and not os.path.exists("go"):
                time.sleep(0.005)
            return {}
    """
    )
    worker.request(1, path=b"/slow")
    worker.request(2, path=b"/next")
    assert worker.next_frame().type == frames.LOG
    assert (worker.claim(1), worker.claim(2)) == (workers.STARTED, workers.QUEUED)
    worker.set_claim(2, workers.TAKEN_BACK)
    (worker.bundle / "go").touch()
    assert worker.outcome().status == 200
    assert worker.next().type == frames.RECALLED
    assert worker.logs == []


def test_the_bell_sends_answers_that_wait_behind_a_long_run(start):
    worker = start(
        """
        import os, time

        def handle(req):
            while req.path == "/slow" and not os.path.exists("go"):
                time.sleep(0.005)
            return {"body": req.path}
    """
    )
    for slot in (1, 2, 3):
        worker.set_claim(slot, workers.QUEUED)
    quick = [frames.request(1, path=b"/one"), frames.request(2, path=b"/two")]
    worker.send(b"".join(quick) + frames.request(3, path=b"/slow"))
    while worker.claim(3) != workers.STARTED:
        assert time.monotonic() < worker.deadline
    worker.ring()
    assert [worker.outcome().body, worker.outcome().body] == [b"/one", b"/two"]
    (worker.bundle / "go").touch()
    assert worker.outcome().body == b"/slow"
    assert worker.call(4, path=b"/four").body == b"/four"
    assert worker.shut_down() == 0


def test_a_fork_of_a_worker_that_listens_to_the_bell_can_end(start):
    worker = start(
        """
        import os

        def handle(req):
            if req.path != "/fork":
                return {"body": req.path}
            child = os.fork()
            if child == 0:
                return {}
            return {"body": str(os.waitpid(child, 0)[1])}
    """
    )
    for slot in (1, 2):
        worker.set_claim(slot, workers.QUEUED)
    worker.send(frames.request(1, path=b"/one") + frames.request(2, path=b"/fork"))
    assert worker.outcome().body == b"/one"
    assert worker.outcome().body == b"0"


def test_cancel_of_a_call_whose_body_is_still_coming(mode):
    worker = mode("return {'body': 'ok'}")
    worker.request(1, more=True)
    worker.send(frames.frame(frames.CANCEL, b"", 1, 1))
    assert worker.outcome().kind == frames.CANCELLED
    worker.send(frames.frame(frames.BODY, b"late", 1, 1))
    assert worker.call(2).body == b"ok"


def test_cancel_of_ended_and_unknown_calls_is_ignored(mode):
    worker = mode("return {'body': 'ok'}")
    worker.call(1)
    for call in (1, 900):
        worker.send(frames.frame(frames.CANCEL, b"", call, call))
    assert worker.call(2).body == b"ok"


@pytest.mark.parametrize(
    "keyword,concurrency,wait",
    [
        ("def", 2, "while not os.path.exists('go'): time.sleep(0.005)"),
        ("async def", 2, "while not os.path.exists('go'): await asyncio.sleep(0.005)"),
    ],
)
def test_cancel_of_a_waiting_call(start, keyword, concurrency, wait):
    worker = start(
        f"import asyncio, os, time\n{keyword} handle(req):\n    print(req.path)\n    {wait}\n    return {{}}\n",
        concurrency=concurrency,
    )
    for call in (1, 2, 3):
        worker.request(call, path=b"/%d" % call)
    assert {worker.next_frame().call, worker.next_frame().call} == {1, 2}, "both run and print"
    worker.send(frames.frame(frames.CANCEL, b"", 3, 3))
    assert worker.outcome().kind == frames.CANCELLED
    (worker.bundle / "go").touch()
    assert [worker.outcome().status, worker.outcome().status] == [200, 200]
    assert worker.logs == []


def test_cancel_of_a_running_async_call(start):
    worker = start(
        """
        import asyncio

        async def handle(req):
            if req.path == "/quick":
                return {}
            try:
                print("waiting")
                await asyncio.sleep(60)
            finally:
                print("cleaned up")
    """,
        concurrency=4,
    )
    worker.request(1)
    assert worker.next_frame().type == frames.LOG
    worker.send(frames.frame(frames.CANCEL, b"", 1, 1))
    failed = worker.outcome()
    assert failed.kind == frames.CANCELLED and failed.logs == [(1, 1, "cleaned up\n")]
    assert worker.call(2, path=b"/quick").status == 200


def test_cancel_of_an_async_call_that_is_claimed_and_has_not_begun(start):
    worker = start(
        """
        import asyncio, os, time

        def wait_for(name):
            while not os.path.exists(name):
                time.sleep(0.001)

        async def handle(req):
            if req.path != "/first":
                return {"body": "ran"}
            wait_for("more came")
            await asyncio.sleep(0)
            open("last step", "w").close()
            wait_for("cancelled")
            return {}
    """
    )
    for slot in (1, 2):
        worker.set_claim(slot, workers.QUEUED)
    worker.send(frames.request(1, path=b"/first") + frames.request(2, path=b"/second"))
    while worker.claim(1) != workers.STARTED:
        assert time.monotonic() < worker.deadline
    worker.request(3)  # so that the socket is read in the turn in which the first one ends
    (worker.bundle / "more came").touch()
    while not (worker.bundle / "last step").exists():
        assert time.monotonic() < worker.deadline
    worker.send(frames.frame(frames.CANCEL, call=2, slot=2))
    (worker.bundle / "cancelled").touch()
    assert worker.outcome().status == 200
    # The loop may be just as far as to begin it; what never comes is no end.
    assert getattr(worker.outcome(), "kind", frames.CANCELLED) == frames.CANCELLED
    assert worker.claim(2) == workers.STARTED
    assert worker.outcome().body == b"ran"
    assert worker.shut_down() == 0


def test_cancellation_that_is_not_ours_counts_as_raised(start):
    worker = start(
        "import asyncio\nasync def handle(req):\n    raise asyncio.CancelledError('mine')\n"
    )
    failed = worker.call()
    assert failed.kind == frames.RAISED and "CancelledError: mine" in failed.text


def test_async_calls_run_at_the_same_time(start):
    worker = start(
        """
        import asyncio
        seen = []

        async def handle(req):
            seen.append(req)
            while len(seen) < 50:
                await asyncio.sleep(0)
            return {"body": req.body}
    """,
        concurrency=1,
        async_concurrency=50,
    )
    for call in range(1, 51):
        worker.request(call, body=b"%d" % call)
    assert sorted(int(worker.outcome().body) for _ in range(50)) == list(range(1, 51))


@pytest.mark.parametrize(
    "keyword,pause", [("def", "time.sleep(0.002)"), ("async def", "await asyncio.sleep(0.002)")]
)
def test_never_more_calls_at_once_than_allowed(start, keyword, pause):
    worker = start(
        f"""
import asyncio, threading, time
running, most, lock = 0, 0, threading.Lock()

{keyword} handle(req):
    global running, most
    with lock:
        running += 1
        most = max(most, running)
    {pause}
    with lock:
        running -= 1
    return {{"body": str(most)}}
""",
        concurrency=3,
    )
    for call in range(1, 31):
        worker.request(call)
    assert max(int(worker.outcome().body) for _ in range(30)) == 3


def test_answers_of_one_read_leave_in_one_write(start):
    worker = start("def handle(req): return {'body': 'ok'}\n")
    data = b"".join(frames.request(call) for call in range(1, 101))
    for call in range(1, 101):
        worker.set_claim(call, workers.QUEUED)
    worker.send(data)
    worker._wait(worker.socket)
    got = worker.socket.recv(1 << 20)
    first, rest = frames.cut(got)
    assert len(got) == 100 * (len(got) - len(rest)), "all of them came with the first read"


def test_shutdown_finishes_what_came(mode):
    worker = mode(
        "time.sleep(0.01); return {'body': req.body}",
        "import atexit, time\natexit.register(print, 'exit hook')",
    )
    for call in range(1, 9):
        worker.request(call, body=b"%d" % call)
    worker.send(frames.frame(frames.SHUTDOWN))
    assert sorted(worker.outcome().body for _ in range(8)) == [b"%d" % n for n in range(1, 9)]
    assert worker.next() is None
    assert worker.logs == [(0, 1, "exit hook\n")]
    assert worker.exit_code() == 0


def test_exit_hooks_do_not_hold_a_worker_for_ever(start):
    worker = start(
        "import atexit, time\natexit.register(time.sleep, 600)\ndef handle(req): return {}\n"
    )
    assert worker.shut_down() == 0


def test_ends_with_its_server(mode):
    worker = mode("return {}")
    worker.call()
    worker.socket.close()
    assert worker.exit_code() == 0


def test_ends_when_the_server_goes_before_init(start):
    worker = start("def handle(req): return {}\n", ready=False)
    worker.socket.close()
    assert worker.exit_code() in (0, 1)


@pytest.mark.parametrize(
    "broken",
    [
        b"\xff" * 16,
        frames.frame(0),
        frames.frame(frames.RESPONSE),
        frames.frame(frames.INIT, b"{}"),
        frames.frame(frames.WINDOW, b"abc", 1, 1),
        frames.frame(frames.REQUEST, b"short", 1, 1),
        frames.frame(frames.CANCEL, b"", 1, 5000),
    ],
)
def test_a_broken_stream_ends_the_worker(mode, broken):
    worker = mode("return {}")
    worker.set_claim(1, workers.QUEUED)
    worker.send(broken)
    assert worker.next() is None
    assert worker.exit_code() == 70
    assert "the connection to the server broke" in worker.output_text()


def test_an_exit_in_the_handler_ends_the_worker(mode):
    worker = mode("import os; os._exit(9)")
    worker.request()
    assert worker.next() is None
    assert worker.exit_code() == 9


def test_a_fork_that_returns_neither_answers_nor_reads(mode):
    worker = mode(
        "pid = os.fork(); print('pid'); return {'body': 'parent' if pid else 'child'}",
        "import os, signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    )
    for call in range(1, 4):
        outcome = worker.call(call)
        assert outcome.body == b"parent"
        assert outcome.logs == [(call, 1, "pid\n")]
    assert worker.shut_down() == 0
    assert worker.output_text() == "pid\n" * 3


def test_a_fork_does_not_run_the_calls_that_its_worker_has_read(start):
    worker = start(
        "import os\ndef handle(req):\n    print(req.path)\n    return {'body': 'parent' if os.fork() else 'child'}\n"
    )
    for call in (1, 2, 3):
        worker.set_claim(call, workers.QUEUED)
    worker.send(b"".join(frames.request(call, path=b"/%d" % call) for call in (1, 2, 3)))
    assert [worker.outcome().body for _ in range(3)] == [b"parent"] * 3
    assert worker.logs == [(n, 1, f"/{n}\n") for n in (1, 2, 3)]
    assert worker.shut_down() == 0
    assert worker.output_text() == ""


def test_multiprocessing_and_its_output(start):
    worker = start(
        """
        import multiprocessing

        def work(queue):
            print("in the child")
            queue.put(6 * 7)

        def handle(req):
            context = multiprocessing.get_context("fork")
            queue = context.Queue()
            child = context.Process(target=work, args=(queue,))
            child.start()
            result = queue.get(timeout=10)
            child.join()
            return {"body": [result, child.exitcode]}
    """
    )
    assert json.loads(worker.call().body) == [42, 0]
    assert worker.call(2).status == 200
    assert worker.shut_down() == 0
    assert worker.output_text() == "in the child\n" * 2


@pytest.mark.parametrize("concurrency", [1, 2])
def test_signals_are_handled_while_a_worker_waits(start, concurrency):
    worker = start(
        """
        import signal

        def hear(number, frame):
            print("heard", number)
            if number == signal.SIGUSR2:
                raise ValueError("of a signal")

        signal.signal(signal.SIGUSR1, hear)
        signal.signal(signal.SIGUSR2, hear)

        def handle(req):
            return {}
    """,
        concurrency=concurrency,
    )
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        text = b""
        while f"heard {int(number)}\n".encode() not in text:
            assert time.monotonic() < worker.deadline, text
            os.kill(worker.process.pid, number)
            select.select([worker.socket], [], [], 0.1)
            while (frame := worker.next_frame_if_any()) is not None:
                text += frame.payload[1:]
    while b"ValueError: of a signal" not in text:
        text += worker.next_frame().payload[1:]
    assert worker.call().status == 200


def test_descriptors_of_ours_are_not_inherited(start):
    worker = start(
        """
        import subprocess

        def handle(req):
            text = subprocess.run(["/bin/sh", "-c", "for f in /proc/self/fd/*; do readlink $f; done"],
                                  close_fds=False, capture_output=True, text=True).stdout
            return {"body": text}
    """
    )
    seen = worker.call().body.decode()
    assert "socket:" not in seen and "memfd:" not in seen


@pytest.mark.skipif(workers.UNDER_SANITIZER, reason="a sanitizer keeps freed memory")
def test_memory_of_a_steady_worker_does_not_grow(start):
    worker = start(
        """
        kept = {}

        def handle(req):
            kept["req"] = req
            req.headers, req.query, req.path
            return {"body": {"n": len(req.body)}, "headers": {"X-A": "b"}} if req.body else {"body": None}
    """
    )

    def run(rounds):
        for _ in range(rounds):
            calls = range(1, 201)
            data = b""
            for call in calls:
                worker.set_claim(call, workers.QUEUED)
                data += frames.request(
                    call, headers=[(b"A", b"b")], query=b"a=b", body=b"x" * (call % 3)
                )
            worker.send(data)
            for _ in calls:
                assert worker.outcome().status == 200

    def resident_kib():
        with open(f"/proc/{worker.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    run(20)
    before = resident_kib()
    run(40)
    assert resident_kib() - before < 512


def test_sigterm_ends_it(start):
    worker = start("def handle(req): return {}\n")
    os.kill(worker.process.pid, signal.SIGTERM)
    assert worker.exit_code() == -signal.SIGTERM


# `limits.max_pids` allows a handler this many threads of the platform's.
FEW_THREADS = """
    import threading, time

    start = threading.Thread.start
    left = {left}

    def start_if_allowed(thread):
        global left
        if left == 0:
            raise RuntimeError("can't start new thread")
        left -= 1
        start(thread)

    threading.Thread.start = start_if_allowed
    together = threading.Barrier({left} or 1)

    def handle(req):
        together.wait(10)
        return {{"body": threading.current_thread().name}}
"""


def test_threads_are_started_when_calls_need_them(start):
    worker = start(
        """
        import threading

        def handle(req):
            return {"body": str(threading.active_count())}
    """,
        concurrency=1000,
    )
    assert [worker.call(number).body for number in (1, 2, 3)] == [b"2", b"2", b"2"]
    assert worker.shut_down() == 0


def test_where_threads_run_out_those_that_are_there_serve(start):
    worker = start(FEW_THREADS.format(left=2), concurrency=64)
    for number in range(1, 9):
        worker.set_claim(number, workers.QUEUED)
    worker.send(b"".join(frames.request(number) for number in range(1, 9)))
    bodies = {worker.outcome().body for _ in range(8)}
    assert bodies == {b"call-0", b"call-1"}
    assert len(worker.logs) == 1 and "raise limits.max_pids" in worker.logs[0][2]
    assert worker.shut_down() == 0


def test_without_a_thread_the_function_does_not_load(start):
    worker = start(FEW_THREADS.format(left=0), concurrency=2, ready=False)
    assert "raise limits.max_pids" in worker.load_failed()["summary"]


def test_the_summary_of_an_exception_is_not_its_notes(start):
    source = "def handle(req):\n    error = ValueError('the real one')\n    error.__notes__ = ['a note']\n    raise error\n"
    assert start(source).call().text == "ValueError: the real one"


SET = """
import asyncio, contextvars, json

AT_IMPORT = contextvars.ContextVar("at_import")
AT_IMPORT.set("imported")
USER = contextvars.ContextVar("user", default=None)

def seen(req):
    before = USER.get()
    USER.set(req.path)
    return json.dumps([AT_IMPORT.get(), before, USER.get()])
"""


def check_seen(worker):
    for call in range(1, 21):
        worker.request(call, path=b"/%d" % call)
    got = [json.loads(worker.outcome().body) for _ in range(20)]
    assert {(imported, before) for imported, before, _ in got} == {("imported", None)}
    assert {path for *_, path in got} == {f"/{call}" for call in range(1, 21)}


def test_what_a_call_sets_in_its_context_is_its_own(mode):
    check_seen(mode("return {'body': seen(req)}", SET))


def test_what_a_stream_sets_in_its_context_is_its_calls(start):
    stream = "\ndef parts(req):\n    assert USER.get() == 'set'\n    USER.set(None)\n    yield seen(req)\n"
    handle = "\ndef handle(req):\n    assert USER.get() is None\n    USER.set('set')\n    return {'body': parts(req)}\n"
    check_seen(start(SET + stream + handle))


def test_a_task_factory_of_user_code_leaves_calls_alone(start):
    worker = start(
        """
import asyncio

class Ended(asyncio.Future):
    def set_name(self, name):
        pass

def eager(loop, coroutine, **options):  # as asyncio.eager_task_factory of Python 3.12, for what does not wait
    done = Ended(loop=loop)
    try:
        coroutine.send(None)
    except StopIteration as end:
        done.set_result(end.value)
    except BaseException as error:
        done.set_exception(error)
    return done

async def at_once():
    return "eager"

async def handle(req):
    asyncio.get_running_loop().set_task_factory(eager)
    return {"body": await asyncio.create_task(at_once())}
""",
        concurrency=2,
    )
    for call in range(1, 9):
        assert worker.call(call).body == b"eager"
