"""What is imported: the function's own modules, packages that a build has put beside them, what the machine has."""

import json
import sys
import zipfile

import frames
import pytest

HANDLER = """
import ours, other, joined, werkzeug
def handle(req):
    return {"body": f"{ours.NAME} {other.NAME} {joined.NAME} {werkzeug.__version__} {type(req.headers).__name__}"}
"""
FILES = {
    "ours.py": "NAME = 'ours'\n",
    "python_packages/ours.py": "NAME = 'hidden'\n",
    "python_packages/other/__init__.py": "NAME = 'theirs'\n",
    "python_packages/more.pth": "added\n",
    "python_packages/added/joined.py": "NAME = 'joined'\n",
    "python_packages/werkzeug/__init__.py": "__version__ = 'mine'\n",
}


def test_packages_come_after_the_functions_modules_and_before_the_machines(start):
    worker = start(HANDLER, FILES)
    answer = worker.call()
    assert answer.body == b"ours theirs joined mine Headers"


def test_pythonpath_comes_before_packages_and_after_the_functions_modules(start):
    files = {
        **FILES,
        "lib/ours.py": "NAME = 'hidden'\n",
        "lib/other.py": "NAME = 'of lib'\n",
        "lib/werkzeug.py": "__version__ = 'of lib'\n",
        "vendor/other.py": "NAME = 'hidden'\n",
    }
    worker = start(HANDLER, files, env={"PYTHONPATH": "lib::./vendor:/not/there"})
    assert worker.call().body == b"ours of lib joined of lib Headers"


def test_a_package_gives_way_to_pythons_own_module_of_its_name(start):
    files = {
        "python_packages/uuid.py": "NAME = 'hidden'\n",
        "python_packages/wave.py": "NAME = 'hidden'\n",  # not in the zygote
    }
    handler = "import uuid, wave\ndef handle(req): return {'body': f'{uuid.NAMESPACE_URL} {wave.WAVE_FORMAT_PCM}'}"
    assert start(handler, files).call().body == b"6ba7b811-9dad-11d1-80b4-00c04fd430c8 1"


# Of all kinds: imported by the runtime, by the zygote, by what they import; modules, packages, and parts of packages.
TAKEN = "argparse asyncio calendar collections concurrent email json logging markupsafe queue random re secrets statistics string"
TAKEN += " threading token types werkzeug"


def own_modules(names, text="OWN = __name__\n"):
    return {f"{name}/__init__.py" if at % 2 else f"{name}.py": text for at, name in enumerate(names.split())}


def test_the_functions_modules_come_before_those_that_the_runtime_has_loaded(start):
    handler = f"""
        {"; ".join(f"import {name}" for name in TAKEN.split())}
        import asyncio.deep

        def handle(req):
            print("called")
            return {{"body": " ".join([asyncio.deep.OWN, {", ".join(f"{name}.OWN" for name in TAKEN.split())}, req.query["a"]])}}
    """
    files = {**own_modules(TAKEN), "asyncio/deep.py": "OWN = 'deep'\n"}
    assert "asyncio/__init__.py" in files
    worker = start(handler, files)
    assert worker.call(query=b"a=b").body.decode() == f"deep {TAKEN} b"
    assert worker.logs == [(1, 1, "called\n")]


def test_pythonpath_comes_before_python_itself(start):
    handler = "import queue, wave\ndef handle(req): return {'body': queue.OWN + wave.OWN}"
    files = {"lib/queue.py": "OWN = 'q'\n", "lib/wave.py": "OWN = 'w'\n"}
    assert start(handler, files, env={"PYTHONPATH": "lib"}).call().body == b"qw"


def test_an_archive_in_pythonpath_counts(start, tmp_path):
    with zipfile.ZipFile(tmp_path / "lib.zip", "w") as archive:
        archive.writestr("queue.py", "OWN = 'zipped'\n")
        archive.writestr("email/template.txt", "Dear")
    handler = "import email, queue\ndef handle(req): return {'body': queue.OWN + email.__name__}"
    worker = start(handler, env={"PYTHONPATH": str(tmp_path / "lib.zip")})
    assert worker.call().body == b"zippedemail"


def test_a_folder_that_is_no_package_hides_nothing(start):
    handler = """
        import html

        def handle(req):
            return {"body": html.escape("<") + html.__file__}
    """
    worker = start(handler, {"html/page.html": "<p>", "html/more/page.html": "<p>", "json/data.json": "{}"})
    answer = worker.call().body.decode()
    assert answer.startswith("&lt;/") and str(worker.bundle) not in answer


def test_what_cannot_be_replaced_is_told(start):
    names = ["time.py", "os.py", "sys/__init__.py", "codecs.py", "sterna_worker.py", "lib/errno.py"]
    files = {**{name: "OWN = 1\n" for name in names}, "__main__.py": "", "site/page.html": ""}
    handler = "import time\nCLOCK = time.OWN\ndef handle(req): pass"
    worker = start(handler, files, ready=False, env={"PYTHONPATH": "lib"})
    assert "has no attribute 'OWN'" in worker.load_failed()["summary"]
    told = {text for _, stream, text in worker.logs if stream == frames.PLATFORM}
    interpreter = "is never imported: that module is part of the interpreter; rename it\n"
    assert told == {
        f"{name} {interpreter}" for name in names if name != "sterna_worker.py"
    } | {"sterna_worker.py is never imported: Sterna's runtime has a module of that name; rename it\n"}


# Whatever name a function's module has: what the runtime does after it has been loaded does not need that name.
TRAPS = {
    f"{name}.py": f"raise SystemError('{name} was imported')\n"
    for name in sorted(sys.stdlib_module_names | {"werkzeug", "markupsafe"})
    if name not in ("__main__", "this", "antigravity")
}
DEEDS = """
class Odd:
    def __iter__(self):
        raise ValueError("odd")

def parts():
    yield b"one"
    yield "two"

async def async_parts():
    yield b"one"
    yield "two"

def deep(count):
    return 1 / 0 + count if count == 0 else deep(count - 1)

def deed(req):
    print("in", req.path)
    if req.path == "/raise":
        return deep(2)
    if req.path == "/json":
        return {"body": {"a": [1, 2.5, None, "\\u00e9"]}, "headers": [("X-A", "1")]}
    if req.path == "/request":
        return {"body": [req.headers.get("X-A"), req.headers.getlist("x-a"), req.query.getlist("a"), req.body.decode()]}
    if req.path == "/parts":
        return {"body": parts()}
    if req.path == "/async-parts":
        return {"body": async_parts()}
    return {"status_code": "odd"} if req.path == "/bad" else Odd() if req.path == "/odd" else {"body": "plain"}

def after_fork():
    pass
"""


@pytest.mark.parametrize("keyword,concurrency", [("def", 1), ("def", 3), ("async def", 3)])
def test_the_runtime_needs_no_name_that_a_module_of_the_function_may_have(start, keyword, concurrency):
    source = f"{DEEDS}\n{keyword} handle(req: 'Event', more: 'int | None' = None):\n    return deed(req)\n"
    worker = start(source, TRAPS, concurrency=concurrency)
    worker.logs.clear()
    assert worker.call(path=b"/json").body == '{"a":[1,2.5,null,"é"]}'.encode()
    request = {"headers": [(b"X-A", b"1"), (b"X-A", b"2")], "query": b"a=%41&a=b", "body": b"body"}
    assert json.loads(worker.call(path=b"/request", **request).body) == ["1", ["1", "2"], ["A", "b"], "body"]
    assert worker.call(path=b"/parts").body == worker.call(path=b"/async-parts").body == b"onetwo"
    assert "status" in worker.call(path=b"/bad").text
    assert "dict" in worker.call(path=b"/odd").text
    raised = worker.call(path=b"/raise")
    assert raised.text == "ZeroDivisionError: division by zero"
    trace = "".join(text for _, _, text in raised.logs)
    assert "in /raise" in trace and trace.count("in deep") == 3 and "imported" not in trace
    assert worker.call().body == b"plain"
    assert worker.shut_down() == 0
    assert "imported" not in "".join(text for *_, text in worker.logs) + worker.output_text()


def test_the_classes_of_a_werkzeug_of_its_own(start):
    source = """
        from werkzeug.datastructures import Headers, ImmutableMultiDict
        def handle(req):
            return {"body": [type(req.headers) is Headers, type(req.query) is ImmutableMultiDict, req.query.pairs]}
    """
    own = "class Headers:\n    def __init__(self, pairs):\n        self.pairs = pairs\nclass ImmutableMultiDict(Headers): pass\n"
    files = {
        "python_packages/werkzeug/__init__.py": "",
        "python_packages/werkzeug/datastructures.py": own,
    }
    got = start(source, files).call(query=b"a=1&a=2")
    assert json.loads(got.body) == [True, True, [["a", "1"], ["a", "2"]]]
