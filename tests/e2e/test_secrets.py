"""Secrets from outside: set, read by the function that lists them, replaced while it runs, seen by nobody else."""

import base64
import json
import os
import re
import stat
import subprocess
import threading

import pytest

import processes
from load import NONCE, Load
from polling import eventually
from sterna import BINARY, function_path, problem_of

# Answers with the file of a secret, and what else there is to see of secrets.
READER = """
import json, os, pathlib

FOLDER = pathlib.Path("/run/secrets")

def handle(req):
    def facts(file):
        info = file.stat()
        return {"mode": oct(info.st_mode & 0o777), "uid": info.st_uid, "bytes": list(file.read_bytes()[:64])}
    try:
        (FOLDER / "X").write_text("x")
        writable = True
    except OSError:
        writable = False
    return {"body": {
        "files": {file.name: facts(file) for file in sorted(FOLDER.iterdir())},
        "variables": {name: os.environ[name] for name in os.environ if name.startswith(("DB_", "API_"))},
        "uid": os.getuid(), "writable": writable,
        "mount": [line for line in open("/proc/mounts") if " /run/secrets " in line],
        "environ": open("/proc/self/environ").read(),
    }}
"""
# The secret as it was when the worker began, and a worker's id.
SECRET_NONCE = NONCE.replace('os.environ.get("VERSION", "")', 'open("/run/secrets/KEY").read()')


def put(server, name, value, space="default", status=None):
    answer = server.request("PUT", f"/spaces/{space}/secrets/{name}", json={"value": value})
    assert answer.status_code in ((status,) if status else (200, 201)), answer.text
    return answer.json()


def text_of(file):
    return bytes(file["bytes"]).decode()


@pytest.mark.sanitizer
def test_a_secret_is_a_file_of_the_function_that_lists_it(server):
    put(server, "DB_PASSWORD", "p4ss", status=201)
    put(server, "API_KEY", "other", status=201)
    server.deploy("reads", READER, secrets=["DB_PASSWORD"])
    seen = server.call("reads").json()
    assert list(seen["files"]) == ["DB_PASSWORD"]
    file = seen["files"]["DB_PASSWORD"]
    assert text_of(file) == "p4ss" and file["mode"] == "0o400" and file["uid"] == seen["uid"]
    assert not seen["writable"] and seen["variables"] == {}
    (mount,) = seen["mount"]
    assert mount.startswith("tmpfs /run/secrets tmpfs ro,nosuid,nodev,noexec"), mount


@pytest.mark.sanitizer
def test_secrets_are_variables_when_the_function_asks_for_it(server):
    put(server, "DB_USER", "grün\nzwei")
    server.deploy("variables", READER, secrets=["DB_USER"], secrets_env=True, env={"DB_HOST": "plain"})
    seen = server.call("variables").json()
    assert seen["variables"] == {"DB_USER": "grün\nzwei", "DB_HOST": "plain"}
    assert text_of(seen["files"]["DB_USER"]) == "grün\nzwei"
    assert "grün" not in seen["environ"]


def test_bytes_come_through_as_they_are(server):
    value = bytes(range(64))
    answer = server.request("PUT", "/spaces/default/secrets/RAW", content=value, headers={"Content-Type": "application/octet-stream"})  # fmt: skip
    assert answer.status_code == 201
    server.deploy("bytes", READER, secrets=["RAW"])
    assert bytes(server.call("bytes").json()["files"]["RAW"]["bytes"]) == value
    encoded = base64.b64encode(value[::-1]).decode()
    assert server.request("PUT", "/spaces/default/secrets/RAW", json={"value_base64": encoded}).status_code == 200
    eventually(lambda: bytes(server.call("bytes").json()["files"]["RAW"]["bytes"]) == value[::-1])


def test_another_function_of_the_space_does_not_see_it(server):
    put(server, "DB_PASSWORD", "p4ss")
    server.deploy("without", READER)
    seen = server.call("without").json()
    assert seen["files"] == {} and seen["variables"] == {} and seen["mount"] == []


def test_secrets_belong_to_one_space(server):
    assert server.request("POST", "/spaces", json={"name": "secretive"}).status_code == 201
    put(server, "SHARED_NAME", "default's")
    put(server, "SHARED_NAME", "its own", space="secretive")
    for space, value in (("default", "default's"), ("secretive", "its own")):
        server.deploy("which", READER, space=space, secrets=["SHARED_NAME"])
        assert text_of(server.call("which", space=space).json()["files"]["SHARED_NAME"]) == value


def test_unknown_secrets_are_named_by_field(server):
    body = {"name": "unknown", "secrets": ["NO_SUCH", "ONE_HERE"], "source": {"code": "eA=="}}
    put(server, "ONE_HERE", "v")
    problem = problem_of(server.request("POST", "/spaces/default/functions", json=body), 422, "invalid_fields")
    assert [error["field"] for error in problem["errors"]] == ["secrets[0]"]
    assert "NO_SUCH" in problem["errors"][0]["message"]


def test_a_value_that_cannot_be_a_variable_fails_the_version_and_says_why(server):
    answer = server.request("PUT", "/spaces/default/secrets/BINARY", content=b"\xff\x00", headers={"Content-Type": "application/octet-stream"})  # fmt: skip
    assert answer.status_code == 201
    server.deploy("no-variable", READER, secrets=["BINARY"], secrets_env=True, wait_for="Failed")
    assert "BINARY" in server.get("no-variable")["status_reason"]
    server.deploy("no-variable", READER, secrets=["BINARY"])


@pytest.mark.parametrize("concurrency", [1, 16])
def test_a_new_value_reaches_running_workers_without_a_failed_call(server, concurrency):
    put(server, "KEY", "value-0")
    name = f"rotates-{concurrency}"
    code = SECRET_NONCE if concurrency == 1 else SECRET_NONCE.replace("def handle", "async def handle")
    server.deploy(name, code, secrets=["KEY"], limits={"max_replicas": 3, "concurrency": concurrency})
    with Load(server.address, name, threads=8) as load:
        for number in range(1, 6):
            before = load.done()
            put(server, "KEY", f"value-{number}")
            eventually(lambda number=number: load.outcomes[200, f"value-{number}"] > 20, 20)
            assert load.done() > before
        # The last value is the only one from now on.
        settled = eventually(lambda: dict(load.outcomes), 5)
        eventually(lambda: load.outcomes[200, "value-5"] > settled[200, "value-5"] + 100, 20)
    assert {status for status, _ in load.outcomes} == {200}, load.outcomes
    assert not load.lost and not load.mistakes


def test_a_value_that_the_function_does_not_take_leaves_the_old_workers(server):
    put(server, "STRICT", "good")
    code = """
import pathlib
VALUE = pathlib.Path("/run/secrets/STRICT").read_text()
assert VALUE != "bad", "no such password"
def handle(req):
    return {"body": VALUE}
"""
    server.deploy("strict", code, secrets=["STRICT"], limits={"min_replicas": 1})
    assert server.call("strict").text == "good"
    put(server, "STRICT", "bad")
    eventually(lambda: [line for line in server.logs("strict") if "changed secrets" in line["text"]], 20)
    assert server.call("strict").text == "good"
    assert server.get("strict")["status"] == "Running"
    put(server, "STRICT", "better")
    eventually(lambda: server.call("strict").text == "better", 20)


def test_deleting_one_that_is_used_needs_force(server):
    put(server, "DOOMED", "v")
    server.deploy("uses", READER, secrets=["DOOMED"])
    assert "DOOMED" in server.call("uses").json()["files"]
    problem = problem_of(server.request("DELETE", "/spaces/default/secrets/DOOMED"), 409, "secret_in_use")
    assert "uses" in problem["detail"]
    assert server.request("GET", "/spaces/default/secrets/DOOMED").json()["used_by"] == ["uses"]
    assert server.request("DELETE", "/spaces/default/secrets/DOOMED?force=true").status_code == 204
    eventually(lambda: server.call("uses").json()["files"] == {}, 20)
    problem_of(server.request("GET", "/spaces/default/secrets/DOOMED"), 404, "secret_not_found")


def files_with(folder, needle):
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and needle in path.read_bytes():
            found.append(path)
    return found


def test_the_value_is_nowhere_but_in_the_sandbox(start_server):
    server = start_server("--log-level", "debug")
    value = "correct-horse-battery-staple-7391"
    put(server, "HIDDEN", value)
    server.request("PUT", "/spaces/default/secrets/HIDDEN", content=f'{{"value": "{value}'.encode(), headers={"Content-Type": "application/json"})  # fmt: skip
    function = server.deploy("hides", READER, secrets=["HIDDEN"], secrets_env=True)
    assert text_of(server.call("hides").json()["files"]["HIDDEN"]) == value
    put(server, "HIDDEN", value + "-again")
    eventually(lambda: text_of(server.call("hides").json()["files"]["HIDDEN"]) == value + "-again", 20)
    pages = ["/metrics", "/spaces/default/secrets", "/spaces/default/secrets/HIDDEN", "/openapi.json"]
    pages += [function_path("hides") + tail for tail in ("", "/versions", "/code", "/logs")]
    for page in pages:
        assert value not in server.request("GET", page).text, page
    assert value not in json.dumps(function)
    for each in server.processes():
        for file in ("environ", "cmdline"):
            assert value not in processes.read(f"/proc/{each.pid}/{file}"), each
    server.stop()
    assert value not in server.log()
    assert files_with(server.data_dir, value.encode()) == []


def test_the_key_file_is_guarded(start_server, tmp_path):
    key = tmp_path / "keys" / "sterna.key"
    key.parent.mkdir()
    server = start_server("--secrets-key-file", str(key))
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert re.fullmatch(r"sterna-secrets-key-1:[A-Za-z0-9+/]{43}=\n", key.read_text())
    assert not (server.data_dir / "secrets.key").exists()
    put(server, "KEPT", "v1")
    server.deploy("kept", READER, secrets=["KEPT"])
    server.stop()

    def refused():
        ran = subprocess.run(
            [str(BINARY), "serve", "--listen", "127.0.0.1:0", "--auth", "none", "--data-dir", server.data_dir,
             "--secrets-key-file", key], capture_output=True, text=True, timeout=30,
            env={name: value for name, value in os.environ.items() if not name.startswith("STERNA_")},
        )  # fmt: skip
        assert ran.returncode != 0
        return ran.stderr

    right = key.read_text()
    key.chmod(0o644)
    assert "chmod 600" in refused()
    key.chmod(0o600)
    key.write_text("sterna-secrets-key-1:" + base64.b64encode(bytes(32)).decode() + "\n")
    assert "does not open the secrets" in refused()
    key.write_text("rubbish")
    assert "holds no key" in refused()
    key.unlink()
    assert "is missing" in refused() and not key.exists()
    key.write_text(right)
    key.chmod(0o600)
    server.start()
    assert text_of(server.call("kept").json()["files"]["KEPT"]) == "v1"


def test_many_changes_at_once_end_with_one_of_the_values(server):
    put(server, "CONTENDED", "start")
    server.deploy("contended", READER, secrets=["CONTENDED"])
    threads = [
        threading.Thread(target=lambda i=i: [put(server, "CONTENDED", f"{i}-{k}") for k in range(10)])
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        assert server.call("contended").status_code == 200
        thread.join()
    last = {f"{i}-9" for i in range(4)}
    eventually(lambda: text_of(server.call("contended").json()["files"]["CONTENDED"]) in last, 20)
