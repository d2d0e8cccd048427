"""The python3-http template: forms of a handler, what it may print, raise, and do to its own process."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from polling import eventually
from sterna import function_path, invoke_path, problem_of


def texts(server, name, **params):
    return [record["text"] for record in server.logs(name, **params)]


# Forms


@pytest.mark.sanitizer
@pytest.mark.parametrize(
    "source",
    [
        "def handle(req):\n    return {'body': 'fine'}\n",
        "async def handle(req):\n    return {'body': 'fine'}\n",
        "async def handle_async(req):\n    return {'body': 'fine'}\n",
        "class Handler:\n    def __call__(self, req):\n        return {'body': 'fine'}\nhandle = Handler()\n",
        "handle = lambda req: {'body': 'fine'}\n",
    ],
    ids=["sync", "async", "handle_async", "callable object", "lambda"],
)
def test_forms_of_a_handler(server, source, request):
    name = request.node.callspec.id.replace("_", "-").replace(" ", "-") + "-form"
    server.deploy(name, source)
    assert server.call(name).text == "fine"


def test_the_older_template_name(server):
    server.deploy("alias", "def handle(req):\n    return {'body': 'fine'}\n", template="python3")
    assert server.call("alias").text == "fine"


@pytest.mark.parametrize("seconds", [0, 0.3], ids=["cold", "warm parent"])
def test_a_functions_own_modules_come_before_the_machines(server, seconds):
    """Also where the zygote has imported the machine's, and where workers are forked from one that has loaded all."""
    own = ["calendar", "queue", "random", "statistics", "string", "token", "types", "werkzeug"]
    handler = f"""
import time
import {", ".join(own)}
time.sleep({seconds})
async def handle(req):
    print("called")
    return {{"body": [req.query["a"], *({", ".join(f"{name}.OWN" for name in own)})]}}
"""
    files = {"handler.py": handler, "time.py": "", **{f"{name}.py": f"OWN = '{name}'\n" for name in own}}
    name = f"own-modules-{int(seconds * 10)}"
    server.deploy(name, files, limits={"max_replicas": 1})
    assert server.call(name, "?a=b").json() == ["b", *own]
    eventually(lambda: "called" in texts(server, name))
    told = [record["text"] for record in server.logs(name) if record["stream"] == "platform"]
    assert told == ["time.py is never imported: that module is part of the interpreter; rename it"]


@pytest.mark.parametrize(
    "name, source, words",
    [
        ("syntax", "def handle(req:\n", "SyntaxError"),
        ("import", "import no_such_module\ndef handle(req): pass\n", "no_such_module"),
        ("raising", "raise RuntimeError('at import')\n", "at import"),
        ("nameless", "def other(req): pass\n", "handle"),
        ("exiting", "import sys\nsys.exit(3)\n", ""),
    ],
)
def test_code_that_cannot_be_loaded_fails_with_its_reason(server, name, source, words):
    server.deploy("bad-" + name, source, wait_for=None)
    eventually(lambda: server.call("bad-" + name).status_code == 503, 20)
    function = server.wait_for_status("bad-" + name, "Failed")
    assert words in str(function["status_reason"])


@pytest.mark.sanitizer
def test_the_request_is_made_of_werkzeugs_types(server):
    server.deploy(
        "types",
        """
from werkzeug.datastructures import Headers, ImmutableMultiDict

def handle(req):
    assert type(req.method) is str and type(req.path) is str and type(req.body) is bytes
    assert isinstance(req.headers, Headers) and isinstance(req.query, ImmutableMultiDict)
    assert req.headers is req.headers and req.query is req.query
    assert req.headers["x-a"] == req.headers.get("X-A") == "1" and req.headers.getlist("X-A") == ["1", "2"]
    assert req.headers.get("absent") is None and req.headers.get("X-Number", type=int) == 5
    assert req.query["k"] == "1" and req.query.getlist("k") == ["1", "2"] and req.query.get("n", type=int) == 7
    assert list(req.query.keys()) == ["k", "n"]
    try:
        req.query["k"] = "3"
    except TypeError:
        return {"body": "fine"}
""",
    )
    headers = [("X-A", "1"), ("X-A", "2"), ("X-Number", "5")]
    answer = server.call("types", "?k=1&k=2&n=7", headers=headers)
    assert answer.text == "fine", (answer.text, texts(server, "types"))


def test_a_function_of_several_files(server):
    files = {
        "handler.py": "import pathlib\nfrom lib.names import NAME\nimport helper\n\n"
        "def handle(req):\n"
        "    data = pathlib.Path(__file__).with_name('data.txt').read_text()\n"
        "    return {'body': f'{NAME} {helper.twice(2)} {data}'}\n",
        "helper.py": "def twice(x):\n    return 2 * x\n",
        "lib/__init__.py": "",
        "lib/names.py": "NAME = 'sterna'\n",
        "data.txt": "some data",
    }
    server.deploy("several", files)
    assert server.call("several").text == "sterna 4 some data"


def test_the_environment_is_what_was_declared(server):
    server.deploy(
        "environment",
        "import os\ndef handle(req):\n    return {'body': dict(os.environ)}\n",
        env={"MIN": "2", "TEXT": "é = x", "EMPTY": ""},
    )
    environment = server.call("environment").json()
    assert environment["MIN"] == "2" and environment["TEXT"] == "é = x" and environment["EMPTY"] == ""


def test_globals_stay_between_calls_of_one_worker(server):
    server.deploy(
        "counting",
        "count = 0\ndef handle(req):\n    global count\n    count += 1\n    return {'body': count}\n",
        limits={"max_replicas": 1},
    )
    assert [server.call("counting").json() for _ in range(5)] == [1, 2, 3, 4, 5]


# Running at the same time


@pytest.mark.sanitizer
def test_async_calls_of_one_worker_overlap(server):
    server.deploy(
        "overlap",
        """
import asyncio, os

running = most = 0

async def handle(req):
    global running, most
    running += 1
    most = max(most, running)
    await asyncio.sleep(0.3)
    running -= 1
    return {"body": {"most": most, "pid": os.getpid(), "id": req.query["id"]}}
""",
        limits={"concurrency": 20, "max_replicas": 1},
    )
    server.call("overlap", "?id=warm")

    async def all_at_once():
        async with httpx.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as client:
            return await asyncio.gather(*(client.get(invoke_path("overlap") + f"?id={n}") for n in range(20)))

    began = time.monotonic()
    answers = [answer.json() for answer in asyncio.run(all_at_once())]
    assert time.monotonic() - began < 3
    assert [each["id"] for each in answers] == [str(n) for n in range(20)]
    assert max(each["most"] for each in answers) == 20
    assert len({each["pid"] for each in answers}) == 1


def test_an_async_function_answers_from_a_cold_start(server):
    server.deploy(
        "cold-async",
        "async def handle(req):\n    return {'body': req.query['n']}\n",
        limits={"max_replicas": 1, "idle_seconds": 0.1},
    )
    for number in range(3):
        eventually(lambda: server.replicas("cold-async") == 0)
        answer = server.call("cold-async", f"?n={number}")
        assert answer.text == str(number) and "cold" in answer.headers["Server-Timing"]


def test_a_sync_worker_runs_one_call_at_a_time(server):
    server.deploy(
        "alone",
        """
import time

running = 0

def handle(req):
    global running
    running += 1
    time.sleep(0.05)
    seen, running = running, running - 1
    return {"body": seen}
""",
    )

    async def all_at_once():
        async with httpx.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as client:
            return await asyncio.gather(*(client.get(invoke_path("alone")) for _ in range(20)))

    assert {answer.json() for answer in asyncio.run(all_at_once())} == {1}


def test_context_variables_are_each_calls_own(server):
    server.deploy(
        "context",
        """
import asyncio, contextvars

mine = contextvars.ContextVar("mine", default="unset")

async def handle(req):
    before = mine.get()
    mine.set(req.query["id"])
    await asyncio.sleep(0.05)
    return {"body": [before, mine.get()]}
""",
        limits={"concurrency": 10, "max_replicas": 1},
    )

    async def all_at_once():
        async with httpx.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as client:
            return await asyncio.gather(*(client.get(invoke_path("context") + f"?id={n}") for n in range(10)))

    assert [answer.json() for answer in asyncio.run(all_at_once())] == [["unset", str(n)] for n in range(10)]


def test_a_background_task_may_outlive_its_call(server):
    server.deploy(
        "background",
        """
import asyncio

done = []

async def later():
    await asyncio.sleep(0.1)
    done.append(1)

async def handle(req):
    if req.query:
        handle.task = asyncio.create_task(later())
    return {"body": len(done)}
""",
        limits={"max_replicas": 1},
    )
    assert server.call("background", "?start").json() == 0
    eventually(lambda: server.call("background").json() == 1)


# What it prints


@pytest.mark.sanitizer
def test_prints_logging_and_tracebacks_are_logged_with_the_call(server):
    server.deploy(
        "talks",
        """
import logging, os, sys, warnings

def handle(req):
    print("printed", "é")
    print("to stderr", file=sys.stderr)
    logging.warning("logged")
    sys.stdout.write("no newline")
    if req.query:
        raise ValueError("on purpose")
    return {}
""",
    )
    quiet = server.call("talks").headers["X-Call-Id"]
    loud = server.call("talks", "?raise").headers["X-Call-Id"]

    def complete():
        found = server.logs("talks", call_id=loud)
        assert any("ValueError: on purpose" in each["text"] for each in found), found
        return found

    records = eventually(complete)
    assert {each["call_id"] for each in records} == {loud}
    by_text = {each["text"]: each for each in records}
    assert by_text["printed é"]["stream"] == "stdout"
    assert by_text["to stderr"]["stream"] == "stderr"
    assert any("logged" in text and each["stream"] == "stderr" for text, each in by_text.items())
    assert by_text["no newline"]["stream"] == "stdout"
    assert any("handler.py" in text and "line 1" in text for text in by_text)
    assert not any("on purpose" in text for text in texts(server, "talks", call_id=quiet))


def test_prints_of_overlapping_async_calls_keep_their_own_call_id(server):
    server.deploy(
        "mixed",
        """
import asyncio

async def handle(req):
    for step in range(3):
        print(req.query["id"], step)
        await asyncio.sleep(0.02)
    return {"body": req.headers["X-Call-Id"]}
""",
        limits={"concurrency": 10, "max_replicas": 1},
    )

    async def all_at_once():
        async with httpx.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as client:
            return await asyncio.gather(*(client.get(invoke_path("mixed") + f"?id={n}") for n in range(10)))

    for number, answer in enumerate(asyncio.run(all_at_once())):
        assert answer.text == answer.headers["X-Call-Id"]
        expected = [f"{number} {step}" for step in range(3)]
        eventually(lambda: texts(server, "mixed", call_id=answer.text) == expected)


def test_output_of_native_code_and_of_children_is_logged(server):
    server.deploy(
        "native",
        "import os, subprocess\ndef handle(req):\n    os.write(1, b'from the descriptor\\n')\n"
        "    subprocess.run(['/bin/sh', '-c', 'echo from a child >&2'])\n    return {}\n",
    )
    assert server.call("native").status_code == 200
    eventually(lambda: {"from the descriptor", "from a child"} <= set(texts(server, "native")))


def test_prints_at_import_are_logged_without_a_call(server):
    server.deploy("importing", "print('at import')\ndef handle(req):\n    return {}\n")
    server.call("importing")

    def found():
        return [each for each in server.logs("importing") if each["text"] == "at import"]

    assert eventually(found)[0]["call_id"] == ""


# What it does to its process


@pytest.mark.sanitizer
@pytest.mark.parametrize(
    "how",
    [
        "os._exit(1)",
        "os._exit(0)",
        "os.kill(os.getpid(), 9)",
        "os.abort()",
        "ctypes.string_at(0)",
        "os.close(3) or os.closerange(0, 256)",
        "sys.setrecursionlimit(10**9) or deep(0)",
    ],
)
def test_a_worker_that_kills_itself_costs_only_its_own_call(server, how):
    server.deploy(
        "suicidal",
        "import ctypes, os, sys, time\n"
        "def deep(n):\n    return repr_of([]) if n < 0 else deep(n + 1)\n"
        "def handle(req):\n    if req.query:\n        eval(req.query['how'])\n        time.sleep(10)\n    return {'body': 'alive'}\n",
        limits={"max_replicas": 2, "timeout_seconds": 20},
    )
    answer = server.call("suicidal", params={"how": how})
    assert answer.status_code in (500, 502), answer.text
    assert answer.json()["reason"] in ("worker_died", "function_raised", "out_of_memory")
    eventually(lambda: server.call("suicidal").text == "alive")


@pytest.mark.parametrize(
    "how", ["sys.exit(3)", "raise_(SystemExit)", "raise_(KeyboardInterrupt)", "raise_(BaseException('x'))"]
)
def test_exceptions_that_are_no_exceptions_fail_the_call(server, how):
    server.deploy(
        "exits",
        "import sys\ndef raise_(e): raise e\n"
        "def handle(req):\n    if req.query: eval(req.query['how'])\n    return {'body': 'alive'}\n",
    )
    answer = server.call("exits", params={"how": how})
    assert answer.status_code in (500, 502) and answer.json()["reason"] in ("function_raised", "worker_died")
    eventually(lambda: server.call("exits").text == "alive")


@pytest.mark.sanitizer
def test_a_handler_may_fork(server):
    server.deploy(
        "forks",
        "import os\ndef handle(req):\n    child = os.fork()\n    if child == 0:\n        os._exit(7)\n"
        "    return {'body': os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n",
    )
    assert [server.call("forks").json() for _ in range(5)] == [7] * 5


def test_a_fork_that_returns_from_the_handler_does_not_answer_twice(server):
    server.deploy(
        "twice",
        "import os\ndef handle(req):\n    child = os.fork()\n    if child:\n        os.waitpid(child, 0)\n"
        "    return {'body': req.query['id'] + (' parent' if child else ' child')}\n",
        limits={"max_replicas": 1, "timeout_seconds": 5},
    )
    # Whatever becomes of such a call, no answer may go to another caller.
    for number in range(5):
        answer = server.call("twice", f"?id={number}")
        assert answer.status_code != 200 or answer.text.split()[0] == str(number)


def test_a_handler_may_use_threads_and_processes(server):
    server.deploy(
        "pools",
        "from concurrent.futures import ThreadPoolExecutor\nimport subprocess, sys\n"
        "def handle(req):\n"
        "    with ThreadPoolExecutor(4) as pool:\n        squares = list(pool.map(lambda n: n * n, range(10)))\n"
        "    out = subprocess.run([sys.executable, '-c', 'print(6 * 7)'], capture_output=True, text=True).stdout\n"
        "    return {'body': [squares, out.strip()]}\n",
    )
    assert server.call("pools").json() == [[n * n for n in range(10)], "42"]


def test_reading_stdin_finds_it_empty(server):
    server.deploy(
        "reads",
        "import sys\ndef handle(req):\n    return {'body': repr(sys.stdin.read() if sys.stdin else '')}\n",
    )
    assert server.call("reads").text == "''"


def test_a_blocked_async_worker_is_stopped_at_the_timeout(server):
    server.deploy(
        "blocks",
        "import time\nasync def handle(req):\n    time.sleep(float(req.query.get('s', '0')))\n    return {'body': 'fine'}\n",
        limits={"timeout_seconds": 0.5, "max_replicas": 1},
    )
    problem_of(server.call("blocks", "?s=30"), 504, "function_timeout", "function")
    assert server.call("blocks").text == "fine"


def test_an_async_call_over_its_time_does_not_end_its_neighbours(server):
    server.deploy(
        "neighbours",
        "import asyncio\nasync def handle(req):\n    print('began')\n    await asyncio.sleep(float(req.query['s']))\n"
        "    return {'body': 'fine'}\n",
        limits={"timeout_seconds": 1, "max_replicas": 1, "concurrency": 10},
    )
    with ThreadPoolExecutor(2) as pool:
        late = pool.submit(server.call, "neighbours", "?s=30")
        eventually(lambda: "began" in texts(server, "neighbours"))
        neighbour = pool.submit(server.call, "neighbours", "?s=0.9")
        assert late.result().status_code == 504
        assert (neighbour.result().status_code, neighbour.result().text) == (200, "fine")


def test_status_reason_of_a_running_function_is_empty(server):
    server.deploy("plain", "def handle(req):\n    return {}\n")
    assert not server.request("GET", function_path("plain")).json()["status_reason"]
