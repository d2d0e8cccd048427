"""Nobody waits for somebody else's backlog; what is measured about it; limits of a backlog."""

import time

import pytest

from async_calls import call, submit
from handlers import ECHO, SCRIPTED, SLOW
from polling import eventually
from sterna import problem_of


@pytest.fixture(scope="module")
def slow(async_server):
    async_server.deploy("flood", SLOW, limits={"max_replicas": 1})
    async_server.deploy("single", ECHO)
    async_server.request("POST", "/spaces", json={"name": "elsewhere"})
    async_server.deploy("single", ECHO, space="elsewhere")
    return async_server


@pytest.fixture
def flood(slow):
    """150 calls of one function wait, 7 seconds of work."""
    made = [call(slow, "flood", "?seconds=0.05") for _ in range(150)]
    yield made
    for each in made:
        each.cancel()


@pytest.mark.parametrize("space", ["default", "elsewhere"])
def test_a_backlog_does_not_delay_another_function(slow, receiver, flood, space):
    path = f"/single/{space}"
    began = time.monotonic()
    made = call(slow, "single", callback=receiver.url(path), space=space, content=b"x")
    receiver.one(path)
    assert time.monotonic() - began < 3
    assert flood[-1].get()["state"] == "queued"
    made.until_delivery("delivered")


def test_the_oldest_of_a_function_is_first(slow, flood):
    began = [each.ended()["started_at"] for each in flood[:20]]
    assert began == sorted(began)


def test_a_synchronous_call_goes_before_a_backlog(slow, flood):
    for _ in range(5):
        began = time.monotonic()
        answer = slow.call("flood", "?seconds=0.01")
        assert answer.status_code == 200
        assert time.monotonic() - began < 1
    assert flood[-1].get()["state"] == "queued"


def test_a_backlog_has_a_limit(start_server):
    running = start_server("--function-backlog", "10")
    running.deploy("flood", SLOW, limits={"max_replicas": 1})
    running.deploy("beside", ECHO)
    answers = [submit(running, "flood", "?seconds=1") for _ in range(15)]
    refused = [each for each in answers if each.status_code != 202]
    assert 3 <= len(refused) <= 5
    problem_of(refused[0], 429, "backlog_full", "platform")
    assert int(refused[0].headers["Retry-After"]) >= 1
    assert call(running, "beside").ended()["state"] == "succeeded"


def gauge(server, name, function, space):
    sample = f'{name}{{function="{function}",space="{space}"}} '
    return next(float(line.split(" ")[1]) for line in server.request("GET", "/metrics").text.splitlines() if line.startswith(sample))


def test_what_waits_for_a_worker_is_not_called_running(start_server):
    """Its space may have one worker, which another function holds: every attempt to run it is given up and made again."""
    running = start_server("--queue-wait-seconds", "0.5")
    running.request("POST", "/spaces", json={"name": "narrow", "quota": {"replicas": 1}})
    running.deploy("holds", SLOW, space="narrow")
    running.deploy("waits", ECHO, space="narrow", limits={"idle_seconds": 1})
    eventually(lambda: running.replicas("waits", "narrow") == 0, within=20)
    held = call(running, "holds", "?seconds=8", space="narrow")
    held.until("running")
    made = call(running, "waits", space="narrow", content=b"x")
    states, ages = set(), []

    def has_waited():
        states.add((made.get()["state"], gauge(running, "sterna_queue_running", "waits", "narrow")))
        ages.append(gauge(running, "sterna_queue_oldest_seconds", "waits", "narrow"))
        return ages[-1] > 3

    eventually(has_waited, within=7)
    assert states == {("queued", 0.0)} and ages == sorted(ages), (states, ages)
    assert gauge(running, "sterna_queue_running", "holds", "narrow") == 1
    assert made.ended(within=40)["state"] == "succeeded"


def test_metrics(slow, receiver):
    call(slow, "single", callback=receiver.url("/metrics"), content=b"x").until_delivery("delivered")
    slow.deploy("failing", SCRIPTED, **{"async": {"max_attempts": 2}})
    assert call(slow, "failing", content=b"1 / 0").ended()["state"] == "failed"

    def names():
        lines = slow.request("GET", "/metrics").text.splitlines()
        found = {line.split("{")[0].split(" ")[0] for line in lines if line and not line.startswith("#")}
        wanted = {
            "sterna_async_accepted_total", "sterna_async_settled_total", "sterna_async_retries_total",
            "sterna_callback_deliveries_total", "sterna_async_dead_letters_total", "sterna_queue_depth",
            "sterna_queue_oldest_seconds", "sterna_callbacks_pending",
        }  # fmt: skip
        assert wanted <= found, wanted - found
        return True

    eventually(names)
