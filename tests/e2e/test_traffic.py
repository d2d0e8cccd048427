"""Two versions that share a function's calls."""

from collections import Counter

import pytest

from load import NONCE, Load
from polling import eventually
from sterna import encode_source, function_path, problem_of

ONE = "def handle(req):\n    return {'body': 'one'}\n"
TWO = ONE.replace("one", "two")


def share_out(server, name, **percents):
    """`v1=90, v2=10`: what each version gets."""
    versions = [{"version": int(key[1:]), "percent": percent} for key, percent in percents.items()]
    return server.request("PUT", function_path(name) + "/traffic", json={"versions": versions})


def deploy_canary(server, name, source, percent, **fields):
    """Makes the next version, and waits until it gets its part of the calls."""
    body = {"source": encode_source(source), **fields}
    saved = server.request("PATCH", f"{function_path(name)}?traffic_percent={percent}", json=body)
    assert saved.status_code == 200, saved.text
    number = saved.json()["version"]
    eventually(lambda: {"version": number, "percent": percent} in server.get(name)["traffic"])


def bodies(server, name, calls):
    """Who answered how many of the calls; none may fail."""
    counts = Counter()
    for _ in range(calls):
        answer = server.call(name)
        assert answer.status_code == 200, answer.text
        assert answer.headers["X-Function-Version"] == {"one": "1", "two": "2"}[answer.text]
        counts[answer.text] += 1
    return counts


@pytest.mark.sanitizer
def test_calls_are_shared_between_two_versions(server):
    server.deploy("shares", ONE)
    deploy_canary(server, "shares", TWO, 30)
    assert 65 <= bodies(server, "shares", 400)["two"] <= 175  # 120, and six standard deviations
    changed = share_out(server, "shares", v1=20, v2=80).json()
    assert changed == {"versions": [{"version": 1, "percent": 20}, {"version": 2, "percent": 80}]}
    assert bodies(server, "shares", 200)["two"] > 100
    assert share_out(server, "shares", v2=100).status_code == 200
    eventually(lambda: bodies(server, "shares", 20) == {"two": 20})
    versions = server.request("GET", function_path("shares") + "/versions").json()["data"]
    assert [version["state"] for version in versions] == ["active", "retired"]
    assert share_out(server, "shares", v1=100).status_code == 200  # and back, without a new version
    eventually(lambda: bodies(server, "shares", 20) == {"one": 20})


def test_asynchronous_calls_are_shared_too(server):
    server.deploy("later", ONE)
    deploy_canary(server, "later", TWO, 50)
    made = [server.request("POST", function_path("later") + "/async-invoke") for _ in range(60)]
    ended = [server.request("GET", answer.headers["Location"] + "?wait=20").json() for answer in made]
    assert {run["state"] for run in ended} == {"succeeded"}
    assert {run["version"] for run in ended} == {1, 2}


def test_shares_change_without_a_failed_call(server):
    server.deploy("moves", NONCE, env={"VERSION": "1"})
    deploy_canary(server, "moves", NONCE, 50, env={"VERSION": "2"})
    with Load(server.address, "moves", threads=4) as load:
        for canary in (10, 90, 50):
            assert share_out(server, "moves", v1=100 - canary, v2=canary).status_code == 200
            goal = {version: load.outcomes[200, version] + 50 for version in "12"}
            eventually(lambda: all(load.outcomes[200, version] > goal[version] for version in "12"), 30)
        assert share_out(server, "moves", v2=100).status_code == 200
        done = load.done()
        eventually(lambda: load.done() > done + 200, 30)
    assert not load.lost and not load.mistakes
    assert {status for status, _ in load.outcomes} == {200}, load.outcomes


def test_a_canary_whose_workers_do_not_start_any_more_is_taken_out(server):
    def put_secret(value):
        assert server.request("PUT", "/spaces/default/secrets/MOOD", json={"value": value}).status_code in (200, 201)

    put_secret("good")
    server.deploy("falls", ONE)
    deploy_canary(server, "falls", "assert open('/run/secrets/MOOD').read() == 'good', 'bad mood'\n" + TWO, 50, secrets=["MOOD"])
    assert bodies(server, "falls", 40).keys() == {"one", "two"}
    put_secret("bad")
    eventually(lambda: server.call("falls") and "version 2 failed" in server.get("falls")["status_reason"], 30)
    assert "bad mood" in server.get("falls")["status_reason"]
    assert server.get("falls")["traffic"] == [{"version": 1, "percent": 100}]
    assert bodies(server, "falls", 20) == {"one": 20}


def test_shares_survive_a_restart(start_server):
    server = start_server()
    server.deploy("lasts", ONE)
    deploy_canary(server, "lasts", TWO, 50)
    server.kill()
    server.start()
    server.wait_for_status("lasts", "Running")
    assert bodies(server, "lasts", 60).keys() == {"one", "two"}


def test_what_cannot_be_shared_is_refused(server):
    server.deploy("refuses", ONE)
    problem_of(share_out(server, "refuses", v1=50), 422, "invalid_fields")
    problem_of(share_out(server, "refuses", v2=100), 404, "version_not_found")
    server.deploy("refuses", "raise RuntimeError('no')\n", wait_for=None)
    eventually(lambda: "version 2 failed" in server.get("refuses")["status_reason"])
    problem_of(share_out(server, "refuses", v1=90, v2=10), 409, "version_not_loaded")
    assert bodies(server, "refuses", 5) == {"one": 5}
