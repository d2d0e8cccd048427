"""What user code prints, and where it ends up."""

import json

import frames
import pytest
import worker as workers

PRINTS = """
    import logging, sys, warnings

    def handle(req):
        {}
        return {{"body": "done"}}
"""


def logs_of(start, statement, call=5):
    return start(PRINTS.format(statement)).call(call).logs


def test_print_leaves_with_its_call_before_the_answer(start):
    assert logs_of(start, "print('one'); print('two', file=sys.stderr, flush=True)") == [
        (5, 1, "one\n"),
        (5, 2, "two\n"),
    ]


def test_rest_of_a_line_is_sent_at_the_end_of_the_call(start):
    assert logs_of(start, "print('a', end=''); print('b', end='')") == [(5, 1, "ab\n")]


def test_many_lines_at_once_are_one_frame(start):
    assert logs_of(start, "sys.stdout.write('a\\nb\\nc\\n')") == [(5, 1, "a\nb\nc\n")]


def test_long_lines_are_cut_but_complete(start):
    logs = logs_of(start, "print('é' * 100000)")
    lines = "".join(text for _, _, text in logs).splitlines()
    assert "".join(lines) == "é" * 100000
    assert max(len(line.encode()) for line in lines) <= 16384


def test_odd_text_and_bytes(start):
    logs = logs_of(
        start, "print('\\ud800é'); sys.stdout.buffer.write(b'\\xffraw\\n'); sys.stdout.write('')"
    )
    assert logs == [(5, 1, "\\ud800é\n"), (5, 1, "\ufffdraw\n")]


def test_logging_works_without_configuration(start):
    logs = logs_of(
        start,
        "logging.info('hello %d', 1); logging.getLogger('shop').debug('no'); logging.getLogger('shop').warning('low')",
    )
    assert logs == [(5, 2, "INFO root: hello 1\n"), (5, 2, "WARNING shop: low\n")]


def test_own_logging_configuration_wins(start):
    worker = start(
        """
        import logging, sys
        logging.basicConfig(level=logging.DEBUG, format="%(message)s!", stream=sys.stdout)

        def handle(req):
            logging.debug("mine")
            return {}
    """
    )
    assert worker.call().logs == [(1, 1, "mine!\n")]


def test_warnings_are_logged(start):
    ((call, stream, text),) = logs_of(start, "warnings.warn('careful')")
    assert (call, stream) == (5, 2) and "UserWarning: careful" in text


def test_stream_attributes_that_libraries_use(start):
    worker = start(
        """
        import sys

        def handle(req):
            out = sys.stdout
            out.reconfigure(line_buffering=True)
            try:
                out.write(b"bytes")
            except TypeError as error:
                refused = str(error)
            return {"body": [out.fileno(), sys.stderr.fileno(), out.isatty(), out.encoding, out.writable(), out.readable(),
                             sys.__stdout__ is out, sys.stdin.read(), refused]}
    """
    )
    assert json.loads(worker.call().body) == [
        1,
        2,
        False,
        "utf-8",
        True,
        False,
        True,
        "",
        "write() argument must be str, not bytes",
    ]


def test_raw_output_goes_to_the_pipe(start):
    worker = start(
        """
        import os, subprocess

        def handle(req):
            os.write(1, b"raw one\\n")
            os.write(2, b"raw two\\n")
            subprocess.run(["echo", "from a child"], check=True)
            return {}
    """
    )
    assert worker.call().logs == []
    assert worker.shut_down() == 0
    assert worker.output_text() == "raw one\nraw two\nfrom a child\n"


def test_output_at_import_belongs_to_no_call(start):
    worker = start("print('loading')\nimport logging\ndef handle(req): return {}\n")
    assert worker.logs == [(0, 1, "loading\n")]


def test_lines_leave_while_the_handler_still_runs(start):
    worker = start(
        """
        import os, time

        def handle(req):
            print("started")
            while not os.path.exists("go"):
                time.sleep(0.005)
            return {}
    """
    )
    worker.request(3)
    got = worker.next_frame()
    assert (got.type, got.call, got.payload) == (frames.LOG, 3, b"\x01started\n")
    (worker.bundle / "go").touch()
    assert worker.outcome().status == 200


@pytest.mark.skipif(workers.UNDER_SANITIZER, reason="the sanitizer takes the signal")
def test_segfault_leaves_lines_and_a_trace(start):
    worker = start(
        """
        import ctypes

        def handle(req):
            print("about to crash")
            ctypes.string_at(0)
    """
    )
    worker.request(3)
    assert worker.next() is None
    assert worker.logs == [(3, 1, "about to crash\n")]
    assert worker.exit_code() == -11
    assert "Segmentation fault" in (text := worker.output_text()) and "handler.py" in text


def test_calls_of_threads_are_kept_apart(start):
    worker = start(
        """
        import threading
        barrier = threading.Barrier(2, timeout=10)

        def handle(req):
            print("begin", req.path, end=" ")
            barrier.wait()
            print("end", req.path)
            return {}
    """,
        concurrency=2,
    )
    worker.request(1, path=b"/one")
    worker.request(2, path=b"/two")
    worker.outcome(), worker.outcome()
    assert sorted(worker.logs) == [(1, 1, "begin /one end /one\n"), (2, 1, "begin /two end /two\n")]


def test_calls_of_tasks_are_kept_apart(start):
    worker = start(
        """
        import asyncio
        both = []

        async def nested(req):
            print("nested", req.path)

        async def handle(req):
            both.append(req)
            while len(both) < 2:
                await asyncio.sleep(0)
            await asyncio.gather(nested(req))
            await asyncio.to_thread(print, "thread", req.path)
            return {}
    """,
        concurrency=2,
    )
    worker.request(1, path=b"/one")
    worker.request(2, path=b"/two")
    worker.outcome(), worker.outcome()
    assert {call: sorted(t for c, _, t in worker.logs if c == call) for call in (1, 2)} == {
        1: ["nested /one\n", "thread /one\n"],
        2: ["nested /two\n", "thread /two\n"],
    }


def test_a_flood_of_lines_arrives_whole(start):
    worker = start("def handle(req):\n    for n in range(20000): print(n)\n    return {}\n")
    outcome = worker.call()
    assert "".join(text for _, _, text in outcome.logs).split() == [str(n) for n in range(20000)]


@pytest.mark.parametrize("concurrency", [1, 2])
def test_background_thread_after_the_call(start, concurrency):
    worker = start(
        """
        import os, threading, time

        def later():
            while not os.path.exists("go"):
                time.sleep(0.005)
            print("late")

        def handle(req):
            threading.Thread(target=later, daemon=True).start()
            return {}
    """,
        concurrency=concurrency,
    )
    assert worker.call(4).status == 200
    (worker.bundle / "go").touch()
    got = worker.next_frame()
    assert (got.type, got.call, got.payload) == (frames.LOG, 0, b"\x01late\n")


ENDS_BADLY = {
    "a crash": "import ctypes\ndef handle(req):\n    ctypes.string_at(0)\n",
    "a crash in a thread": "import ctypes\ndef handle(req):\n    ctypes.string_at(0)\n",
    "a loop that is stopped": "import asyncio\nasync def handle(req):\n    asyncio.get_running_loop().stop()\n    await asyncio.sleep(9)\n",
    "a task that exits": """
        import asyncio, sys

        async def leave():
            sys.exit(3)

        async def handle(req):
            asyncio.create_task(leave())
            await asyncio.sleep(9)
    """,
}


@pytest.mark.parametrize("how", ENDS_BADLY)
def test_how_a_worker_ended_tells_nothing_of_the_servers_folders(start, how):
    worker = start(ENDS_BADLY[how], concurrency=2 if "thread" in how else 1)
    worker.request(1)
    assert worker.next() is None
    assert worker.exit_code() != 0
    text = worker.output_text() + "".join(text for _, _, text in worker.logs)
    assert text and ("handler.py" in text or "stopped" in how), text
    assert workers.RUNTIME not in text and "sterna_worker" not in text


def test_threads_of_an_earlier_call_are_not_logged_as_the_running_one(start):
    worker = start("""
        import threading

        first = threading.Event()

        def later():
            first.wait()
            print("of nobody")

        def handle(req):
            if req.path == "/first":
                threading.Thread(target=later, name="later", daemon=True).start()
                return {}
            helper = threading.Thread(target=print, args=["of a helper"])
            helper.start()
            helper.join()
            first.set()
            for thread in threading.enumerate():
                if thread.name == "later":
                    thread.join()
            print("of the call")
            return {}
    """)
    assert worker.call(1, path=b"/first").logs == []
    logs = worker.call(2).logs
    assert logs == [(2, 1, "of a helper\n"), (0, 1, "of nobody\n"), (2, 1, "of the call\n")]
