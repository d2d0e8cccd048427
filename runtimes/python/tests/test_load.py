"""From INIT to READY or LOAD_FAILED."""

import json
import os

import pytest

FAILURES = [
    (
        None,
        "handler.py is missing: put a file handler.py with `def handle(req)` into the function's folder",
    ),
    ("def handle(req):\n    return {\n", "handler.py, line 2: SyntaxError: '{' was never closed"),
    (
        "x = 1\n",
        "handler.py has no function `handle`: define `def handle(req)` or `async def handle(req)`",
    ),
    ("handle = 5\n", "handler.py: `handle` is int, not a function: define `def handle(req)`"),
    (
        "\ndef handle():\n    pass\n",
        "handler.py, line 2: `handle()` cannot be called with one argument: define `def handle(req)`",
    ),
    (
        "def handle(a, b): pass\n",
        "handler.py, line 1: `handle(a, b)` cannot be called with one argument",
    ),
    ("def handle(req):\n    yield {}\n", "handler.py, line 1: `handle` is a generator itself"),
    (
        "async def handle(req):\n    yield {}\n",
        "handler.py, line 1: `handle` is a generator itself",
    ),
    ("def handle_async(req): pass\n", "handler.py, line 1: `handle_async` is not async"),
    ("import os\n\nraise ValueError('no config')\n", "handler.py, line 3: ValueError: no config"),
    (
        "import nothing_like_it\n",
        "handler.py, line 1: ModuleNotFoundError: No module named 'nothing_like_it': name what it belongs to in requirements.txt",
    ),
    (
        "import sys\nsys.exit('bye')\n",
        "handler.py, line 2: the file ends the interpreter (exit code bye) while it is imported",
    ),
    ("def f():\n    1 / 0\nf()\n", "handler.py, line 2: ZeroDivisionError: division by zero"),
    ("x = '\xff\n", "handler.py, line 1: SyntaxError"),
    (
        "error = ValueError('no config')\nerror.__notes__ = ['a note']\nraise error\n",
        "handler.py, line 3: ValueError: no config",
    ),
]


@pytest.mark.parametrize("source,summary", FAILURES)
def test_failures_name_file_line_and_what_to_do(start, source, summary):
    failed = start(source, ready=False).load_failed()
    assert failed["summary"].startswith(summary)
    assert "sterna_worker" not in failed["detail"] and "importlib" not in failed["detail"]


def test_failure_in_another_file_names_that_file(start):
    failed = start("import helper\n", {"helper.py": "\n\nfoo()\n"}, ready=False).load_failed()
    assert failed["summary"] == "helper.py, line 3: NameError: name 'foo' is not defined"
    assert 'helper.py", line 3' in failed["detail"] and 'handler.py", line 1' in failed["detail"]
    failed = start("import helper\n", {"helper.py": "def :\n"}, ready=False).load_failed()
    assert failed["summary"].startswith("helper.py, line 1: SyntaxError")


def test_output_of_a_failed_load_is_kept(start):
    worker = start("print('before')\nprint('partial', end='')\nraise ValueError\n", ready=False)
    worker.load_failed()
    assert "".join(text for _, _, text in worker.logs) == "before\npartial\n"


GOOD = [
    ("def handle(req): return {'body': 'ok'}", False),
    ("async def handle(req): return {'body': 'ok'}", True),
    ("async def handle_async(req): return {'body': 'ok'}", True),
    (
        "def handle(req): return {'body': 'ok'}\nasync def handle_async(req): return {'body': 'old'}",
        False,
    ),
    ("def handle(req, more=1, *rest, key=2): return {'body': 'ok'}", False),
    ("class App:\n    def __call__(self, req): return {'body': 'ok'}\nhandle = App()", False),
    ("class App:\n    async def __call__(self, req): return {'body': 'ok'}\nhandle = App()", True),
    (
        "import functools\ndef f(a, req): return {'body': a}\nhandle = functools.partial(f, 'ok')",
        False,
    ),
    (
        "class App:\n    async def handle(self, req): return {'body': 'ok'}\nhandle = App().handle",
        True,
    ),
    ("handle = lambda req: {'body': 'ok'}", False),
]


@pytest.mark.parametrize("source,is_async", GOOD)
def test_forms_of_handlers(start, source, is_async):
    worker = start(source + "\n")
    assert worker.ready_info["async"] is is_async
    assert worker.ready_info["runtime"].startswith("python 3.")
    assert worker.call().body == b"ok"
    assert worker.shut_down() == 0


def test_environment_is_exactly_the_functions(start):
    worker = start(
        "import os\ndef handle(req): return {'body': dict(os.environ)}\n",
        env={"MIN": "2", "HOME": "/data", "STERNA_SPACE": "forged", "ÜMLAUT": "ä"},
    )
    assert json.loads(worker.call().body) == {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/data",
        "LANG": "C.UTF-8",
        "MIN": "2",
        "ÜMLAUT": "ä",
        "STERNA_SPACE": "default",
        "STERNA_FUNCTION": "hello",
        "STERNA_VERSION": "3",
        "STERNA_INSTANCE": "hello-1",
    }


def test_time_zone_of_the_function_is_used(start):
    worker = start(
        "import time\ndef handle(req): return {'body': time.tzname[0]}\n", env={"TZ": "XYZ3"}
    )
    assert worker.call().body == b"XYZ"


def test_bundle_is_first_in_the_path_and_the_working_directory(start):
    worker = start(
        "import os, sys\nimport helper\nfrom package import inner\n"
        "def handle(req): return {'body': [os.getcwd(), sys.path[0], helper.X, inner.Y, open('data.txt').read(), __file__, __name__]}\n",
        {
            "helper.py": "X = 1\n",
            "package/__init__.py": "",
            "package/inner.py": "Y = 2\n",
            "data.txt": "data",
        },
    )
    bundle = str(worker.bundle)
    assert json.loads(worker.call().body) == [
        bundle,
        bundle,
        1,
        2,
        "data",
        f"{bundle}/handler.py",
        "handler",
    ]


def test_no_bytecode_is_written(start):
    worker = start("import helper\ndef handle(req): return {}\n", {"helper.py": ""})
    worker.call()
    assert sorted(os.listdir(worker.bundle)) == ["handler.py", "helper.py"]


def test_another_file_name(start):
    worker = start(
        files={"main.py": "def handle(req): return {'body': __name__}\n"}, handler="main.py"
    )
    assert worker.call().body == b"main"


def test_gc_collects_what_user_code_leaves(start):
    worker = start(
        """
        import gc, weakref

        class Node: pass

        def handle(req):
            node = Node()
            node.me = node
            probe = weakref.ref(node)
            del node
            gc.collect()
            return {"body": [gc.isenabled(), probe() is None]}
    """
    )
    assert json.loads(worker.call().body) == [True, True]
