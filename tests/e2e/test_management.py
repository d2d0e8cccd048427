"""Spaces and functions over the management API."""

import base64
import concurrent.futures
import io
import json
import re
import tarfile
import zipfile

import httpx
import pytest

from polling import eventually
from sterna import function_path, problem_of, to_base64

FINE = "def handle(req):\n    return {'body': 'fine'}\n"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def function_body(name, source=FINE, **fields):
    return {"name": name, "template": "python3-http", "source": {"code": to_base64(source)}, **fields}


def post_function(server, body, space="default"):
    return server.request("POST", f"/spaces/{space}/functions", json=body)


def refused_fields(answer):
    problem = problem_of(answer, 422, answer.json()["reason"])
    assert problem["errors"], problem
    return json.dumps(problem["errors"])


def names(answer):
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in answer.json()["data"]]


# Spaces


@pytest.mark.sanitizer
def test_the_default_space_is_there(server):
    assert "default" in names(server.request("GET", "/spaces"))
    space = server.request("GET", "/spaces/default").json()
    assert space["name"] == "default" and TIME.fullmatch(space["created_at"])


@pytest.mark.sanitizer
def test_a_space_from_making_to_removal(server):
    made = server.request("POST", "/spaces", json={"name": "lab"})
    assert made.status_code == 201 and made.headers["Location"] == "/spaces/lab"
    assert server.request("POST", "/spaces", json={"name": "lab"}).status_code == 409
    changed = server.request("PATCH", "/spaces/lab", json={"callback_allow": ["10.0.0.0/8"]},
                             headers={"Content-Type": "application/merge-patch+json"})  # fmt: skip
    assert changed.status_code == 200 and changed.json()["callback_allow"] == ["10.0.0.0/8"]
    assert server.request("GET", "/spaces/lab").json()["callback_allow"] == ["10.0.0.0/8"]
    assert server.request("DELETE", "/spaces/lab").status_code == 204
    problem_of(server.request("GET", "/spaces/lab"), 404, "space_not_found")


def test_a_space_with_functions_is_only_removed_by_force(server):
    server.request("POST", "/spaces", json={"name": "full"})
    server.deploy("inside", FINE, space="full")
    assert server.call("inside", space="full").text == "fine"
    assert server.request("DELETE", "/spaces/full").status_code == 409
    assert server.call("inside", space="full").text == "fine"
    assert server.request("DELETE", "/spaces/full?force=true").status_code == 204
    problem_of(server.call("inside", space="full"), 404, "space_not_found")


@pytest.mark.parametrize("name", ["", "Upper", "a_b", "-a", "a-", "a.b", "a b", "ä", "a" * 64, None, 7])
def test_names_that_are_none_are_refused(server, name):
    assert "name" in refused_fields(server.request("POST", "/spaces", json={"name": name}))
    assert "name" in refused_fields(post_function(server, function_body(name)))


@pytest.mark.parametrize("name", ["a", "0", "a-b", "a" * 63])
def test_the_longest_and_the_shortest_names(server, name):
    assert post_function(server, function_body(name)).status_code == 201
    server.wait_for_status(name, "Running")
    assert server.call(name).text == "fine"


def test_the_same_name_in_two_spaces(server):
    server.request("POST", "/spaces", json={"name": "other"})
    server.deploy("same", "def handle(req):\n    return {'body': 'default'}\n")
    server.deploy("same", "def handle(req):\n    return {'body': 'other'}\n", space="other")
    assert server.call("same").text == "default"
    assert server.call("same", space="other").text == "other"


# Functions


@pytest.mark.sanitizer
def test_a_function_from_making_to_removal(server):
    made = post_function(server, function_body("life", description="lives", env={"A": "1"}))
    assert made.status_code == 201
    assert made.headers["Location"] == function_path("life")
    function = made.json()
    assert function["status"] in ("Pending", "Building", "Running")
    assert ULID.fullmatch(function["id"]) and function["space"] == "default" and function["version"] == 1
    assert TIME.fullmatch(function["created_at"]) and TIME.fullmatch(function["updated_at"])
    assert set(function["metrics"]) >= {"invocations", "replicas", "available_replicas"}

    problem_of(post_function(server, function_body("life")), 409, "function_exists")
    running = server.wait_for_status("life", "Running")
    assert (
        running["description"] == "lives"
        and running["env"] == {"A": "1"}
        and running["template"] == "python3-http"
    )
    assert server.request("DELETE", function_path("life")).status_code == 204
    problem_of(server.request("GET", function_path("life")), 404, "function_not_found")
    problem_of(server.request("DELETE", function_path("life")), 404, "function_not_found")
    problem_of(server.call("life"), 404, "function_not_found")


def test_defaults_are_those_of_the_contract(server):
    assert post_function(server, {"name": "defaults", "source": {"code": to_base64(FINE)}}).status_code == 201
    function = server.wait_for_status("defaults", "Running")
    limits = function["limits"]
    assert limits["timeout_seconds"] == 30 and limits["memory_mb"] == 128 and limits["cpus"] == 1.0
    assert limits["max_pids"] == 64 and limits["min_replicas"] == 0 and limits["max_replicas"] == 4
    assert limits["idle_seconds"] == 300 and limits["network"] == "egress"
    assert function["access"] == "token"


def test_invocations_are_counted(server):
    server.deploy("counted", FINE)
    before = server.get("counted")["metrics"]["invocations"]
    for _ in range(7):
        server.call("counted")
    eventually(lambda: server.get("counted")["metrics"]["invocations"] == before + 7)
    assert server.get("counted")["metrics"]["replicas"] >= 1


def test_put_replaces_and_makes_a_version(server):
    server.deploy("put", FINE, description="first", env={"A": "1"})
    body = function_body("put", "def handle(req):\n    return {'body': 'second'}\n")
    answer = server.request("PUT", function_path("put"), json=body)
    assert answer.status_code == 200 and answer.json()["version"] == 2
    eventually(lambda: server.call("put").text == "second", 20)
    function = server.get("put")
    assert function["description"] == "" and function["env"] == {}


def test_patch_merges_and_makes_a_version(server):
    server.deploy(
        "patched",
        "import os\ndef handle(req):\n    return {'body': dict(os.environ)}\n",
        env={"A": "1", "B": "2"},
    )
    patch = {"env": {"A": None, "C": "3"}, "limits": {"timeout_seconds": 5}}
    answer = server.request(
        "PATCH",
        function_path("patched"),
        json=patch,
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert answer.status_code == 200, answer.text
    function = answer.json()
    assert function["env"] == {"B": "2", "C": "3"} and function["version"] == 2
    assert function["limits"]["timeout_seconds"] == 5 and function["limits"]["memory_mb"] == 128

    def switched():
        environment = server.call("patched").json()
        return environment.get("C") == "3" and environment.get("B") == "2" and "A" not in environment

    eventually(switched, 20)


def test_a_change_that_is_wrong_changes_nothing(server):
    server.deploy("kept", FINE)
    assert (
        server.request("PATCH", function_path("kept"), json={"limits": {"memory_mb": -1}}).status_code == 422
    )
    assert server.request("PUT", function_path("kept"), json={"name": "kept"}).status_code in (200, 422)
    assert server.get("kept")["limits"]["memory_mb"] == 128


@pytest.mark.parametrize(
    "fields, named",
    [
        ({"template": "cobol"}, "template"),
        ({"description": 7}, "description"),
        ({"env": {"A": 1}}, "env"),
        ({"env": {"1A": "x"}}, "env"),
        ({"env": {"A=B": "x"}}, "env"),
        ({"env": {"A": "a\x00b"}}, "env"),
        ({"env": []}, "env"),
        ({"limits": {"timeout_seconds": 0}}, "timeout_seconds"),
        ({"limits": {"timeout_seconds": "30"}}, "timeout_seconds"),
        ({"limits": {"memory_mb": 1}}, "memory_mb"),
        ({"limits": {"memory_mb": 1e18}}, "memory_mb"),
        ({"limits": {"memory_mb": 128.5}}, "memory_mb"),
        ({"limits": {"cpus": 0}}, "cpus"),
        ({"limits": {"max_pids": 0}}, "max_pids"),
        ({"limits": {"concurrency": 0}}, "concurrency"),
        ({"limits": {"min_replicas": -1}}, "min_replicas"),
        ({"limits": {"max_replicas": 0}}, "max_replicas"),
        ({"limits": {"min_replicas": 5, "max_replicas": 2}}, "replicas"),
        ({"limits": {"idle_seconds": -1}}, "idle_seconds"),
        ({"limits": {"network": "all"}}, "network"),
        ({"limits": {"network": "host"}}, "--allow-network-host"),
        ({"limits": {"surprise": 1}}, "surprise"),
        ({"limits": []}, "limits"),
        ({"access": "everyone"}, "access"),
        ({"surprise": 1}, "surprise"),
        ({"source": {"code": "%%%"}}, "source"),
        ({"source": {}}, "source"),
        ({"source": {"files": {"../x.py": "eA=="}}}, "source"),
        ({"source": {"files": {"/etc/x.py": "eA=="}}}, "source"),
        ({"source": {"files": {"other.py": "eA=="}}}, "handler.py"),
    ],
)
def test_wrong_fields_are_named(server, fields, named):
    answer = post_function(server, {**function_body("wrong"), **fields})
    assert named in refused_fields(answer)
    problem_of(server.request("GET", function_path("wrong")), 404, "function_not_found")


def test_all_wrong_fields_are_listed_at_once(server):
    body = {**function_body("Wrong"), "access": "x", "limits": {"cpus": -1, "memory_mb": "much"}}
    listed = refused_fields(post_function(server, body))
    for named in ("name", "access", "cpus", "memory_mb"):
        assert named in listed


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"name": "a"} x', b"[" * 100_000])
def test_bodies_that_are_no_json_object_are_refused(server, body):
    answer = server.request(
        "POST", "/spaces/default/functions", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_methods_that_a_resource_has_not_are_405(server):
    for method, path in (
        ("PATCH", "/spaces"),
        ("POST", "/spaces/default"),
        ("PUT", "/spaces/default/functions"),
        ("POST", "/healthz"),
    ):
        answer = server.request(method, path)
        assert answer.status_code == 405 and answer.headers["Allow"], (method, path)


def test_unknown_paths_are_404(server):
    for path in ("/", "/nothing", "/spaces/default/nothing", "/spaces/default/functions/a/b/c", "//spaces"):
        assert server.request("GET", path).status_code in (404, 400), path


def test_functions_in_an_unknown_space(server):
    problem_of(post_function(server, function_body("x"), space="nowhere"), 404, "space_not_found")
    problem_of(server.request("GET", "/spaces/nowhere/functions"), 404, "space_not_found")


# Paging


def test_lists_come_in_pages(server):
    server.request("POST", "/spaces", json={"name": "paged"})
    wanted = [f"f{number:02}" for number in range(25)]
    for name in wanted:
        assert post_function(server, function_body(name), space="paged").status_code == 201
    found, cursor, pages = [], None, 0
    while True:
        params = {"limit": 10, **({"cursor": cursor} if cursor else {})}
        answer = server.request("GET", "/spaces/paged/functions", params=params)
        page = names(answer)
        assert len(page) <= 10
        found += page
        pages += 1
        cursor = answer.json()["paging"].get("next_cursor")
        if not cursor:
            break
    assert sorted(found) == wanted and pages == 3
    server.request("DELETE", "/spaces/paged?force=true")


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "limit=-1", "cursor=%00broken"])
def test_bad_pages_are_refused(server, query):
    assert server.request("GET", "/spaces/default/functions?" + query).status_code in (400, 422)


# Code


def zip_of(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def tar_of(files, entries=()):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
        for entry in entries:
            archive.addfile(entry)
    return buffer.getvalue()


def put_code(server, name, content, kind):
    return server.request(
        "PUT", function_path(name) + "/code", content=content, headers={"Content-Type": kind}
    )


FILES = {
    "handler.py": "from part.inner import TEXT\ndef handle(req):\n    return {'body': TEXT}\n",
    "part/inner.py": "TEXT = '%s'\n",
}


def files_with(text):
    return {path: code.replace("%s", text) for path, code in FILES.items()}


def test_the_largest_code_is_what_the_setting_says(start_server):
    server = start_server("--max-code-bytes", "100000")
    for size, status in ((100_000 - len(FINE), 200), (100_001 - len(FINE), 413)):
        files = {"handler.py": FINE, "a": "x" * size}
        encoded = {"files": {name: to_base64(text) for name, text in files.items()}}
        server.deploy("large", FINE, wait_for=None)
        for answer in (
            put_code(server, "large", zip_of(files), "application/zip"),
            put_code(server, "large", tar_of(files), "application/gzip"),
            put_code(server, "large", json.dumps(encoded).encode(), "application/json"),
            server.request("PATCH", function_path("large"), json={"source": encoded}),
        ):
            assert answer.status_code == status, answer.text
            if status == 413:
                assert "limits.max_code_bytes (100000)" in problem_of(answer, 413, "bundle_too_large")["detail"]
    answer = put_code(server, "large", b" " * 5_000_000, "application/json")
    assert "limits.max_code_bytes (100000)" in problem_of(answer, 413, "body_too_large")["detail"]


def test_code_as_zip_and_as_tar(server):
    server.deploy("archived", FINE)
    assert put_code(server, "archived", zip_of(files_with("zipped")), "application/zip").status_code == 200
    eventually(lambda: server.call("archived").text == "zipped", 20)
    assert put_code(server, "archived", tar_of(files_with("tarred")), "application/gzip").status_code == 200
    eventually(lambda: server.call("archived").text == "tarred", 20)
    assert server.get("archived")["version"] == 3


def test_code_in_one_folder_inside_the_archive_or_with_dot_slash(server):
    server.deploy("dotted", FINE)
    dotted = {"./" + path: code for path, code in files_with("dotted").items()}
    assert put_code(server, "dotted", tar_of(dotted), "application/gzip").status_code == 200
    eventually(lambda: server.call("dotted").text == "dotted", 20)


def test_code_can_be_read_back(server):
    server.deploy("read-back", {"handler.py": FINE, "data/x.bin": b"\x00\xff"})
    answer = server.request("GET", function_path("read-back") + "/code")
    assert answer.status_code == 200
    if answer.headers["content-type"].startswith("application/json"):
        files = {path: base64.b64decode(text) for path, text in answer.json()["files"].items()}
    elif answer.headers["content-type"].startswith("application/zip"):
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            files = {
                entry.filename: archive.read(entry) for entry in archive.infolist() if not entry.is_dir()
            }
    else:
        with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
            files = {
                entry.name.removeprefix("./"): archive.extractfile(entry).read()
                for entry in archive
                if entry.isfile()
            }
    assert files == {"handler.py": FINE.encode(), "data/x.bin": b"\x00\xff"}


def link(name, target, kind):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


BAD_ARCHIVES = {
    "not a zip": (b"PK nonsense", "application/zip"),
    "not a tar": (b"\x1f\x8bnonsense", "application/gzip"),
    "empty": (b"", "application/zip"),
    "no handler": (zip_of({"other.py": "x = 1\n"}), "application/zip"),
    "leaves the folder": (zip_of({"handler.py": FINE, "../out.py": "x"}), "application/zip"),
    "leaves it deeply": (tar_of({"handler.py": FINE, "a/../../out.py": "x"}), "application/gzip"),
    "absolute": (tar_of({"handler.py": FINE, "/tmp/sterna-escaped.py": "x"}), "application/gzip"),
    "symbolic link": (
        tar_of({"handler.py": FINE}, [link("passwd", "/etc/passwd", tarfile.SYMTYPE)]),
        "application/gzip",
    ),
    "hard link": (
        tar_of({"handler.py": FINE}, [link("passwd", "/etc/passwd", tarfile.LNKTYPE)]),
        "application/gzip",
    ),
    "device": (tar_of({"handler.py": FINE}, [link("null", "", tarfile.CHRTYPE)]), "application/gzip"),
    "fifo": (tar_of({"handler.py": FINE}, [link("pipe", "", tarfile.FIFOTYPE)]), "application/gzip"),
    "bomb": (zip_of({"handler.py": FINE, "zeros": b"\0" * (200 << 20)}), "application/zip"),
    "cut off": (zip_of({"handler.py": FINE * 100, "x": "y" * 10_000})[:-200], "application/zip"),
}


@pytest.mark.parametrize("case", BAD_ARCHIVES)
def test_bad_archives_are_refused_and_the_function_stays(server, case):
    server.deploy("stays", FINE)
    version = server.get("stays")["version"]
    answer = put_code(server, "stays", *BAD_ARCHIVES[case])
    assert answer.status_code in (400, 413, 422), answer.text
    assert server.get("stays")["version"] == version
    assert server.call("stays").text == "fine"


def test_code_of_an_unknown_kind_is_415(server):
    server.deploy("kinds", FINE)
    assert put_code(server, "kinds", b"x", "image/png").status_code == 415


# Stop and start


def test_stop_and_start(server):
    server.deploy("switch", FINE)
    for _ in range(2):  # stopping what is stopped is fine
        assert server.request("POST", function_path("switch") + "/stop").status_code in (200, 202, 204)
    server.wait_for_status("switch", "Stopped")
    eventually(lambda: server.replicas("switch") == 0)
    problem_of(server.call("switch"), 503, "function_not_running")
    for _ in range(2):
        assert server.request("POST", function_path("switch") + "/start").status_code in (200, 202, 204)
    server.wait_for_status("switch", "Running")
    assert server.call("switch").text == "fine"


def test_a_stopped_function_stays_stopped_across_a_restart(start_server):
    server = start_server()
    server.deploy("stopped", FINE)
    server.deploy("running", FINE)
    server.request("POST", function_path("stopped") + "/stop")
    server.wait_for_status("stopped", "Stopped")
    assert server.stop() == 0
    server.start()
    assert server.get("stopped")["status"] == "Stopped"
    server.wait_for_status("running", "Running")
    assert server.call("running").text == "fine"


def test_network_host_needs_a_server_that_allows_it(start_server):
    trusting = start_server("--allow-network-host")
    trusting.deploy("host", FINE, limits={"network": "host"})
    assert trusting.call("host").text == "fine"
    assert trusting.stop() == 0

    strict = start_server(data_dir=trusting.data_dir)
    failed = strict.wait_for_status("host", "Failed")
    assert "--allow-network-host" in failed["status_reason"]
    problem_of(strict.call("host"), 503, "function_not_running", "platform")
    patched = strict.request("PATCH", function_path("host"), json={"description": "the same network"})
    assert "limits.network" in refused_fields(patched)
    assert strict.stop() == 0

    trusting.start()
    trusting.wait_for_status("host", "Running")
    assert trusting.call("host").text == "fine"


def test_deployments_that_wait_for_their_turn_take_no_memory(start_server):
    server = start_server()
    size = 20 << 20
    body = json.dumps(function_body("Bad Name", "#" * (size * 3 // 4)))

    def deploy():
        assert httpx.post(f"{server.url}/spaces/default/functions", content=body, trust_env=False, timeout=120).status_code == 422

    def peak():
        return server.status_kib("VmHWM") << 10

    deploy()
    one = peak()
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(deploy) for _ in range(8)]:
            done.result()
    assert peak() - one < 3 * size
