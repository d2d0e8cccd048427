"""Packages that a build has put beside the function's code."""

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
