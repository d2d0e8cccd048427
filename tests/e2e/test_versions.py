"""Versions from outside: which one ran, what changed between two, how many are kept."""

import base64
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from polling import eventually
from sterna import function_path, problem_of

CODE = "def handle(req):\n    return {'body': 'one'}\n"


@pytest.mark.sanitizer
def test_answers_tell_the_version_that_ran(server):
    server.deploy("tells", CODE)
    assert server.call("tells").headers["X-Function-Version"] == "1"
    server.deploy("tells", CODE.replace("one", "two"))
    answer = eventually(lambda: (got := server.call("tells")).text == "two" and got)
    assert answer.headers["X-Function-Version"] == "2"
    server.deploy("tells", "def handle(req):\n    return {'headers': {'X-Function-Version': '99'}, 'body': 'three'}\n")
    answer = eventually(lambda: (got := server.call("tells")).text == "three" and got)
    assert answer.headers.get_list("X-Function-Version") == ["3"]
    server.deploy("tells", "def handle(req):\n    raise ValueError('no')\n")
    answer = eventually(lambda: (got := server.call("tells")).status_code == 500 and got)
    assert answer.headers["X-Function-Version"] == "4"


def test_an_invocation_records_the_version_that_ran_it(server):
    server.deploy("records", CODE)
    path = function_path("records")
    made = server.request("POST", path + "/async-invoke", headers={"X-Delay-Seconds": "1"})
    assert made.status_code == 202
    server.deploy("records", CODE.replace("one", "two"))
    eventually(lambda: server.call("records").text == "two")
    ended = server.request("GET", made.headers["Location"] + "?wait=20").json()
    assert ended["state"] == "succeeded" and ended["version"] == 2


@pytest.mark.sanitizer
def test_what_changed_between_two_versions(server, tmp_path):
    server.deploy("changes", {"handler.py": CODE, "notes.txt": "a\n", "logo.png": b"\x89PNG\xff"}, env={"MODE": "a"})
    server.deploy("changes", {"handler.py": CODE.replace("one", "two"), "more.txt": "new", "logo.png": b"\x89PNG\xfe"}, limits={"memory_mb": 64})  # fmt: skip
    versions = function_path("changes") + "/versions"
    diff = server.request("GET", versions + "/1/diff/2").json()
    assert diff["settings"] == [
        {"field": "env.MODE", "from": "a", "to": None},
        {"field": "limits.memory_mb", "from": 128, "to": 64},
    ]
    assert [(file["path"], file["change"]) for file in diff["files"]] == [
        ("handler.py", "changed"), ("logo.png", "changed"), ("more.txt", "added"), ("notes.txt", "removed"),
    ]  # fmt: skip
    assert diff["files"][1]["diff"] == "" and not diff["truncated"]
    # The text is a patch that patch(1) takes.
    (tmp_path / "handler.py").write_text(CODE)
    (tmp_path / "notes.txt").write_text("a\n")
    text = "".join(file["diff"] for file in diff["files"])
    subprocess.run(["patch", "-p1", "-E"], input=text, text=True, cwd=tmp_path, check=True, timeout=20)
    assert (tmp_path / "handler.py").read_text() == CODE.replace("one", "two")
    assert (tmp_path / "more.txt").read_text() == "new" and not (tmp_path / "notes.txt").exists()
    assert server.request("GET", versions + "/1").json()["spec"]["env"] == {"MODE": "a"}
    problem_of(server.request("GET", versions + "/1/diff/9"), 404, "version_not_found")


def test_as_many_versions_are_kept_as_the_server_is_told(start_server):
    server = start_server("--kept-versions", "3")
    for number in range(1, 6):
        server.deploy("kept", CODE.replace("one", str(number)))
        # The one that runs is kept too, so each has to run before the next comes.
        eventually(lambda number=number: server.get("kept")["active_version"] == number)
    listed = server.request("GET", function_path("kept") + "/versions").json()["data"]
    assert [version["version"] for version in listed] == [5, 4, 3]
    problem_of(server.request("GET", function_path("kept") + "/versions/2"), 404, "version_not_found")
    back = server.request("POST", function_path("kept") + "/rollback", json={"version": 3})
    assert back.status_code == 200 and back.json()["version"] == 6
    eventually(lambda: server.call("kept").text == "3")
    assert base64.b64decode(server.request("GET", function_path("kept") + "/code").json()["code"]).decode().count("'3'") == 1


LATE = """
import pathlib
import time

def handle(req):
    print("began")
    deadline = time.monotonic() + float(req.query.get("seconds", "0"))
    while time.monotonic() < deadline:
        time.sleep(0.01)
    import later
    return {"body": later.WORD + pathlib.Path(__file__).with_name("page.html").read_text()}
"""


def test_a_version_that_has_gone_keeps_its_code_while_its_calls_run(start_server):
    server = start_server("--kept-versions", "1")

    def deploy(number):
        server.deploy("long", {"handler.py": LATE, "later.py": f"WORD = 'v{number} '", "page.html": f"page {number}"})
        eventually(lambda: server.get("long")["active_version"] == number)

    def codes():
        return [path for path in (server.data_dir / "bundles").iterdir() if len(path.name) == 64]

    deploy(1)
    with ThreadPoolExecutor() as pool:
        call = pool.submit(server.call, "long", "?seconds=6")
        eventually(lambda: "began" in [line["text"] for line in server.logs("long")])
        deploy(2)
        deploy(3)
        problem_of(server.request("GET", function_path("long") + "/versions/1"), 404, "version_not_found")
        assert len(codes()) == 3
        answer = call.result()
    assert (answer.status_code, answer.text) == (200, "v1 page 1")
    eventually(lambda: len(codes()) == 2)
