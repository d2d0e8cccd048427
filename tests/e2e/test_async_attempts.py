"""When a run is tried again, how often, and when not."""

import datetime
import json
import threading

import pytest

from async_calls import accepted, call, submit
from handlers import SCRIPTED, SLOW
from polling import eventually
from sterna import problem_of


@pytest.fixture(scope="module")
def scripted(async_server):
    async_server.deploy("scripted", SCRIPTED, limits={"timeout_seconds": 5, "max_replicas": 1})
    return async_server


def begin(server, expression, name="scripted", **more):
    return call(server, name, content=expression.encode(), **more)


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def outcomes(found):
    return [(each["number"], each["outcome"], each["reason"], each["status_code"]) for each in found["attempts"]]


def test_an_answer_in_retry_on_is_tried_again_and_others_are_not(scripted):
    retried = (408, 425, 429, 502, 503, 504)
    made = {
        status: begin(scripted, f"{{'status_code': {status} if count == 1 else 200, 'body': str(count)}}")
        for status in (*retried, 400, 404, 409, 500, 501, 505)
    }
    for status, each in made.items():
        found = each.ended()
        assert found["state"] == "succeeded"
        assert found["status_code"] == (200 if status in retried else status)
        assert len(found["attempts"]) == (2 if status in retried else 1), (status, found)
        assert each.response().text == ("2" if status in retried else "1")
        numbers = [one["number"] for one in found["attempts"]]
        assert numbers == list(range(1, len(numbers) + 1))


def test_out_of_attempts_it_has_failed_and_the_callback_carries_the_last_answer(scripted, receiver):
    made = begin(scripted, "{'status_code': 503, 'body': 'answer %d' % count, 'headers': {'X-Mine': str(count)}}",
                 callback=receiver.url("/failed"))  # fmt: skip
    came = receiver.one("/failed", 30)
    assert (came.header("X-Function-Status"), came.header("X-Attempt")) == ("503", "3")
    assert (came.body, came.header("X-Mine")) == (b"answer 3", "3")
    found = made.ended()
    assert (found["state"], found["status_code"], len(found["attempts"])) == ("failed", 503, 3)
    assert found["reason"] and [each["status_code"] for each in found["attempts"]] == [503] * 3
    eventually(lambda: made.runs() == 3)
    made.until_delivery("delivered")
    assert len(receiver.received("/failed")) == 1


@pytest.mark.parametrize(
    "expression, status, reason",
    [
        ("1 / 0", 500, "function_raised"),
        ("os._exit(7)", 502, "worker_died"),
        ("42", 502, "bad_function_response"),
        ("time.sleep(60)", 504, "function_timeout"),
    ],
)
def test_runs_without_an_answer_are_tried_again(scripted, receiver, expression, status, reason):
    name = "fails-" + reason.replace("_", "-")
    scripted.deploy(name, SCRIPTED, limits={"timeout_seconds": 0.4, "max_replicas": 1}, **{"async": {"max_attempts": 2}})
    made = begin(scripted, expression, name, callback=receiver.url(f"/{name}"))
    found = made.ended(30)
    assert (found["state"], found["reason"], found["status_code"]) == ("failed", reason, status)
    assert [(number, why, code) for number, _, why, code in outcomes(found)] == [(1, reason, status), (2, reason, status)]
    came = receiver.one(f"/{name}")
    assert (came.header("X-Function-Status"), came.header("X-Attempt")) == (str(status), "2")


def test_a_raised_exception_then_an_answer(scripted):
    made = begin(scripted, "1 / 0 if count < 3 else {'body': 'third'}")
    found = made.ended()
    assert (found["state"], found["reason"] or "") == ("succeeded", "") and len(found["attempts"]) == 3
    assert made.response().text == "third"


@pytest.mark.parametrize("attempts", [1, 2, 4])
def test_the_function_says_how_often(scripted, attempts):
    name = f"attempts-{attempts}"
    deployed = scripted.deploy(name, SCRIPTED, **{"async": {"max_attempts": attempts}})
    assert deployed["async"]["max_attempts"] == attempts
    assert len(begin(scripted, "1 / 0", name).ended(40)["attempts"]) == attempts


def test_the_function_says_on_which_statuses(scripted):
    scripted.deploy("choosy", SCRIPTED, **{"async": {"retry_on": [500, 418]}})
    assert len(begin(scripted, "{'status_code': 418 if count == 1 else 200}", "choosy").ended()["attempts"]) == 2
    assert len(begin(scripted, "{'status_code': 503}", "choosy").ended()["attempts"]) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"max_attempts": 0}, {"max_attempts": "3"}, {"max_attempts": -1}, {"retry_on": [99]}, {"retry_on": "503"},
        {"max_age_seconds": 0}, {"max_age_seconds": "1"}, {"unknown": 1},
    ],
)  # fmt: skip
def test_bad_settings_are_refused(scripted, settings):
    body = {"name": "bad-async", "template": "python3-http", "source": {"code": ""}, "async": settings}
    answer = scripted.request("POST", "/spaces/default/functions", json=body)
    assert answer.status_code == 422, answer.text
    assert any("async" in each.get("field", "") for each in answer.json()["errors"]), answer.text


def test_pauses_grow_but_stay_within_their_bounds(scripted):
    found = begin(scripted, "{'status_code': 503 if count < 3 else 200}").ended()
    first, second, third = found["attempts"]
    assert 0 <= (moment(second["started_at"]) - moment(first["ended_at"])).total_seconds() < 1.5
    assert 0 <= (moment(third["started_at"]) - moment(second["ended_at"])).total_seconds() < 2.5


def test_retry_after_of_the_function_is_honoured(scripted):
    found = begin(scripted, "{'status_code': 429 if count == 1 else 200, 'headers': {'Retry-After': '2'}}").ended()
    first, second = found["attempts"]
    assert 2 <= (moment(second["started_at"]) - moment(first["ended_at"])).total_seconds() < 4


def test_attempts_are_told_whole(scripted):
    found = begin(scripted, "{'status_code': 503 if count == 1 else 200}").ended()
    for each in found["attempts"]:
        assert set(each) >= {"number", "started_at", "ended_at", "outcome", "reason", "status_code", "instance", "cold"}
        assert moment(each["started_at"]) <= moment(each["ended_at"])
        assert each["instance"] and isinstance(each["cold"], bool)
    assert moment(found["created_at"]) <= moment(found["started_at"]) <= moment(found["ended_at"])
    assert found["attempts"][1]["cold"] is False


# Faults of the platform spend no attempts


def test_waiting_for_a_worker_spends_no_attempt(start_server):
    running = start_server("--queue-wait-seconds", "0.1")
    running.deploy("crowded", SLOW, limits={"max_replicas": 1, "queue_wait_seconds": 0.1},
                   **{"async": {"max_attempts": 1}})  # fmt: skip
    blocker = threading.Thread(target=running.call, args=("crowded", "?seconds=1.5"))
    blocker.start()
    try:
        made = [call(running, "crowded", "?seconds=0.1") for _ in range(5)]
        for each in made:
            found = each.ended(30)
            assert found["state"] == "succeeded" and len(found["attempts"]) == 1
    finally:
        blocker.join()


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_a_restart_spends_no_attempt_and_loses_nothing(start_server, receiver, ending):
    running = start_server("--callback-allow", "127.0.0.0/8", "--drain-seconds", "0")
    running.deploy("restarted", SLOW, limits={"max_replicas": 1}, **{"async": {"max_attempts": 1}})
    path = f"/restarted-{ending}"
    made = [call(running, "restarted", "?seconds=0.7", receiver.url(path)) for _ in range(3)]
    eventually(lambda: made[0].get()["state"] == "running")
    getattr(running, ending)()
    running.start()
    receiver.wait(path, 3, 30)
    for each in made:
        found = each.ended()
        assert (found["state"], len(found["attempts"])) == ("succeeded", 1), found
        assert {came.header("X-Attempt") for came in receiver.received(path, each.id)} == {"1"}


# Age


def test_what_was_not_run_in_time_has_expired(scripted, receiver):
    scripted.deploy("aging", SLOW, limits={"max_replicas": 1}, **{"async": {"max_age_seconds": 1}})
    blocker = call(scripted, "aging", "?seconds=2.5")
    eventually(lambda: blocker.get()["state"] == "running")
    late = call(scripted, "aging", "?seconds=0", receiver.url("/aging"))
    found = late.until("expired")
    assert found["attempts"] == [] and found["ended_at"] and found["reason"]
    came = receiver.one("/aging")  # whoever waits for the callback is told
    assert came.header("X-Function-Status") == "504" and json.loads(came.body)["call_id"] == late.id
    assert came.header("X-Sterna-Fault") == late.response().headers["X-Sterna-Fault"] == "platform"
    assert blocker.ended()["state"] == "succeeded"  # a run that has begun may end


def test_retries_end_with_the_age(scripted):
    scripted.deploy("aging-retries", SCRIPTED, **{"async": {"max_age_seconds": 2, "max_attempts": 20}})
    found = begin(scripted, "{'status_code': 503, 'headers': {'Retry-After': '1'}}", "aging-retries").ended()
    assert found["state"] in ("failed", "expired") and 1 <= len(found["attempts"]) <= 3


# Delays


def test_a_delayed_call_waits(scripted):
    made = begin(scripted, "{'body': 'x'}", headers={"X-Delay-Seconds": "1"})
    found = made.ended()
    assert (moment(found["not_before"]) - moment(found["created_at"])).total_seconds() == pytest.approx(1, abs=0.2)
    assert moment(found["started_at"]) >= moment(found["not_before"])


def test_not_before_names_the_time(scripted):
    at = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=2))) + datetime.timedelta(seconds=1.5)
    made = begin(scripted, "{'body': 'x'}", headers={"X-Not-Before": at.isoformat(timespec="milliseconds")})
    assert made.get()["state"] == "queued"
    found = made.ended()
    assert abs((moment(found["not_before"]) - at).total_seconds()) < 0.01
    assert moment(found["started_at"]) >= moment(found["not_before"])


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Delay-Seconds": "soon"}, {"X-Delay-Seconds": "-1"}, {"X-Delay-Seconds": ""}, {"X-Delay-Seconds": "1e99"},
        {"X-Not-Before": "tomorrow"}, {"X-Not-Before": "2026-13-01T00:00:00Z"},
        {"X-Delay-Seconds": "1", "X-Not-Before": "2026-01-01T00:00:00Z"},
    ],
)  # fmt: skip
def test_a_bad_delay_is_refused(scripted, headers):
    answer = submit(scripted, "scripted", headers=headers, content=b"{}")
    assert answer.status_code == 400, answer.text
    problem_of(answer, 400, answer.json()["reason"], "platform")


def test_a_time_that_is_over_delays_nothing(scripted):
    answer = submit(scripted, "scripted", headers={"X-Not-Before": "2020-01-01T00:00:00Z"}, content=b"{}")
    assert accepted(scripted, answer, "scripted").ended()["state"] == "succeeded"
