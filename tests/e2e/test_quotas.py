"""What a space may use together: more is refused, or waits."""

import base64
import concurrent.futures
import re

import httpx
import pytest

from access import name_for, start_for_administrator
from command_line import Cli
from polling import eventually
from sterna import encode_source, function_path, invoke_path

QUICK = "def handle(req):\n    return {'body': 'quick'}\n"
BUSY = "import time\ndef handle(req):\n    time.sleep(float(req.query.get('seconds', 0)))\n    return {'body': 'busy'}\n"
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = start_for_administrator(tmp_path_factory.mktemp("server") / "data")
    yield server
    assert server.stop() == 0, server.log()[-4000:]


@pytest.fixture
def space(server, request):
    name = name_for(request)
    assert server.client.post("/spaces", json={"name": name}).status_code == 201
    yield name
    assert server.client.delete(f"/spaces/{name}?force=true").status_code == 204


def set_quota(server, space, **quota):
    answer = server.client.patch(f"/spaces/{space}", json={"quota": quota}, headers=MERGE)
    assert answer.status_code == 200, answer.text
    return answer.json()


def usage(server, space):
    return server.client.get(f"/spaces/{space}").json()["usage"]


def make(server, space, name, source=QUICK, **fields):
    body = {"name": name, "template": "python3-http", "source": encode_source(source), **fields}
    return server.client.post(f"/spaces/{space}/functions", json=body)


def check_exceeded(answer, *words):
    assert answer.status_code == 409, answer.text
    assert answer.json()["reason"] == "quota_exceeded"
    for word in words:
        assert word in answer.json()["detail"]


def test_things_that_are_counted(server, space):
    shown = set_quota(server, space, functions=1, secrets=1, apps=1)
    assert shown["quota"]["functions"] == 1
    assert shown["usage"]["functions"] == {"used": 0, "limit": 1}
    assert make(server, space, "one").status_code == 201
    check_exceeded(make(server, space, "two"), "quota.functions is 1", "it has 1 functions")
    assert server.client.get(function_path("two", space)).status_code == 404
    assert server.client.put(f"/spaces/{space}/secrets/ONE", json={"value": "x"}).status_code == 201
    assert server.client.put(f"/spaces/{space}/secrets/ONE", json={"value": "y"}).status_code == 200
    check_exceeded(server.client.put(f"/spaces/{space}/secrets/TWO", json={"value": "x"}), "quota.secrets")
    app = {"name": "one", "scopes": ["function"]}
    assert server.client.post(f"/spaces/{space}/apps", json=app).status_code == 201
    check_exceeded(server.client.post(f"/spaces/{space}/apps", json={**app, "name": "two"}), "quota.apps")
    assert [usage(server, space)[name]["used"] for name in ("functions", "secrets", "apps")] == [1, 1, 1]
    metrics = server.client.get("/metrics").text
    assert f'sterna_refused_total{{limit="quota",space="{space}"}} 3' in metrics
    assert server.client.delete(function_path("one", space)).status_code == 204
    assert make(server, space, "two").status_code == 201


def test_bytes_of_code(server, space):
    set_quota(server, space, code_bytes=4000)
    code = "#" * 2000 + "\n" + QUICK
    assert make(server, space, "one", code).status_code == 201
    assert make(server, space, "same", code).status_code == 201, "the same code is stored once"
    assert usage(server, space)["code_bytes"] == {"used": len(code), "limit": 4000}
    check_exceeded(make(server, space, "other", code + "#"), "quota.code_bytes is 4000")
    put = server.client.put(
        function_path("one", space) + "/code", json={"code": base64.b64encode((code + "#").encode()).decode()}
    )
    check_exceeded(put, "quota.code_bytes")
    assert server.get("one", space)["version"] == 1
    patched = server.client.patch(function_path("one", space), json={"description": "new"}, headers=MERGE)
    assert patched.status_code == 200, "no code comes"


def test_replicas_that_always_run(server, space):
    set_quota(server, space, replicas=2, memory_mb=400)
    server.deploy("one", QUICK, space=space, limits={"min_replicas": 2})
    eventually(lambda: server.replicas("one", space) == 2, 20)
    check_exceeded(make(server, space, "two", limits={"min_replicas": 1}), "quota.replicas is 2", "3 together")
    check_exceeded(make(server, space, "two", limits={"memory_mb": 401}), "quota.memory_mb is 400")
    grown = server.client.patch(function_path("one", space), json={"limits": {"min_replicas": 3}}, headers=MERGE)
    check_exceeded(grown, "quota.replicas")
    # All of the quota is in use, and the function can be changed nevertheless.
    server.deploy("one", QUICK.replace("quick", "changed"), space=space, limits={"min_replicas": 2})
    eventually(lambda: server.call("one", space=space).text == "changed", 20)
    eventually(lambda: usage(server, space)["replicas"]["used"] == 2, 20)
    set_quota(server, space, replicas=1)
    eventually(lambda: usage(server, space)["replicas"]["used"] == 1, 20)
    server.deploy("one", QUICK.replace("quick", "again"), space=space, limits={"min_replicas": 2})
    eventually(lambda: server.call("one", space=space).text == "again", 20)
    eventually(lambda: usage(server, space)["replicas"]["used"] == 1, 20)


def busy_calls(server, space, name, count, seconds):
    """Starts so many calls that take so long; the caller lets them end."""
    pool = concurrent.futures.ThreadPoolExecutor(count)
    url = server.url + invoke_path(name, f"?seconds={seconds}", space)
    headers = {"Authorization": f"Bearer {server.admin.token}"}
    return [pool.submit(httpx.get, url, headers=headers, trust_env=False, timeout=60) for _ in range(count)]


def test_no_worker_beyond_the_quota(server, space):
    limits = {"max_replicas": 4, "queue_wait_seconds": 1, "timeout_seconds": 30, "idle_seconds": 300}
    server.deploy("busy", BUSY, space=space, limits=limits)
    set_quota(server, space, replicas=2)
    calls = busy_calls(server, space, "busy", 4, 3)
    answers = [call.result() for call in calls]
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429]
    refused = next(answer for answer in answers if answer.status_code == 429)
    problem = refused.json()
    assert (problem["reason"], problem["component"]) == ("no_capacity", "pool")
    assert "quota of replicas or memory is used up" in problem["detail"]
    assert int(refused.headers["retry-after"]) >= 1
    assert usage(server, space)["replicas"] == {"used": 2, "limit": 2}
    assert usage(server, space)["memory_mb"]["used"] == 256
    assert re.search(
        rf'sterna_invocations_total{{function="busy",outcome="space_quota",space="{space}"}} 2', server.client.get("/metrics").text
    )


def test_what_waits_in_the_background_spends_no_attempt(server, space):
    limits = {"max_replicas": 1, "queue_wait_seconds": 0.2, "idle_seconds": 300}
    server.deploy("busy", BUSY, space=space, limits=limits)
    server.deploy("quick", QUICK, space=space, limits=limits)
    set_quota(server, space, replicas=1)
    (running,) = busy_calls(server, space, "busy", 1, 2)
    eventually(lambda: usage(server, space)["replicas"]["used"] == 1, 20)
    accepted = server.client.post(function_path("quick", space) + "/async-invoke")
    assert accepted.status_code == 202
    done = server.client.get(accepted.headers["location"] + "?wait=60").json()
    assert done["state"] == "succeeded"
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["answered"]
    assert running.result().status_code == 200


def test_idle_workers_give_way(server, space):
    set_quota(server, space, memory_mb=128)
    for name in ("one", "two"):
        server.deploy(name, QUICK, space=space)
    for name in ("one", "two", "one", "two"):
        assert server.call(name, space=space).text == "quick"
    eventually(lambda: usage(server, space)["replicas"]["used"] <= 1, 20)


def test_a_backlog_of_its_own(server, space):
    server.deploy("f", QUICK, space=space)
    set_quota(server, space, backlog=2)
    path = function_path("f", space) + "/async-invoke"
    later = {"X-Delay-Seconds": "3600"}
    assert [server.client.post(path, headers=later).status_code for _ in range(3)] == [202, 202, 429]
    answer = server.client.post(path, headers=later)
    assert (answer.json()["reason"], answer.headers["retry-after"]) == ("backlog_full", "1")
    assert usage(server, space)["backlog"] == {"used": 2, "limit": 2}
    set_quota(server, space, backlog=3)
    assert server.client.post(path, headers=later).status_code == 202


def test_a_backlog_that_many_come_to_at_once(server, space):
    server.deploy("f", QUICK, space=space)
    set_quota(server, space, backlog=3)
    clients = [server.open() for _ in range(60)]
    for client in clients:
        client.request("POST", function_path("f", space) + "/async-invoke",
                       [("X-Delay-Seconds", "3600"), ("Authorization", f"Bearer {server.admin.token}")])  # fmt: skip
    statuses = [client.read().status for client in clients]
    for client in clients:
        client.close()
    assert sorted(statuses) == [202] * 3 + [429] * 57
    assert usage(server, space)["backlog"] == {"used": 3, "limit": 3}


def test_only_apps_of_the_server_change_it(server, space):
    manager = server.admin.make_app("manager", ["space", "app"], space=space)
    answer = manager.request("PATCH", f"/spaces/{space}", json={"quota": {"functions": 5}}, headers=MERGE)
    assert (answer.status_code, answer.json()["reason"]) == (403, "administrator_only")
    assert "quota" in answer.json()["detail"]
    seen = manager.request("GET", f"/spaces/{space}")
    assert seen.json()["usage"]["apps"]["used"] == 1
    sent_back = manager.request("PATCH", f"/spaces/{space}", json=seen.json(), headers=MERGE)
    assert sent_back.status_code == 200, "what GET answers may be sent back"
    bad = server.client.patch(f"/spaces/{space}", json={"quota": {"functions": -1, "disk": 5}}, headers=MERGE)
    assert sorted(error["field"] for error in bad.json()["errors"]) == ["quota.disk", "quota.functions"]


def test_the_servers_quota_and_a_restart(start_server):
    server = start_server("--space-functions", "1", "--space-code-bytes", "100000")
    assert make(server, "default", "one").status_code == 201
    check_exceeded(make(server, "default", "two"), "quota.functions")
    set_quota(server, "default", functions=2)
    server.stop()
    server.start()
    assert make(server, "default", "two").status_code == 201
    check_exceeded(make(server, "default", "three"), "quota.functions is 2")
    assert usage(server, "default")["code_bytes"] == {"used": len(QUICK), "limit": 100000}


def test_command_line(server, space, tmp_path):
    cli = Cli(server.url, tmp_path, {"STERNA_TOKEN": server.admin.token})
    cli.ok("spaces", "limits", space, "replicas=4", "functions=none", "burst=7")
    assert cli.json("spaces", "limits", space)["quota"]["replicas"] == 4
    rows = {words[0]: words[1:] for words in map(str.split, cli.ok("spaces", "limits", space).splitlines())}
    assert rows["replicas"] == ["4", "0"]
    assert rows["functions"] == ["-", "0"]
    assert rows["burst"] == ["7"]
    assert cli.run("spaces", "limits", space, "disk=3").returncode != 0
