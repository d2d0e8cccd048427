"""One request, one run: Idempotency-Key, and Prefer: respond-async on /invoke."""

import contextlib
import threading
import time

import httpx
import pytest

from async_calls import Call, accepted, call, invocation_path, submit
from handlers import SCRIPTED
from polling import eventually
from sterna import problem_of

# Answers with the number of its run in this worker, after the seconds that its query says.
COUNTER = """
import time

RUNS = []

def handle(req):
    print("run", flush=True)
    RUNS.append(1)
    time.sleep(float(req.query.get("seconds", "0")))
    return {"status_code": 201, "headers": [("X-Run", str(len(RUNS))), ("X-A", "1"), ("X-A", "2")],
            "body": b"\\x00run %d\\xff" % len(RUNS)}
"""


@pytest.fixture(scope="module")
def counting(async_server):
    async_server.deploy("counter", COUNTER, limits={"max_replicas": 1})
    async_server.deploy("other", COUNTER, limits={"max_replicas": 1})
    return async_server


def runs(server, name="counter"):
    return len([line for line in server.logs(name) if line["text"] == "run"])


# Idempotency-Key


@pytest.mark.sanitizer
def test_the_same_async_request_is_one_invocation(counting, receiver):
    headers = {"Idempotency-Key": "async-1"}
    made = [call(counting, "counter", callback=receiver.url("/once"), headers=headers, content=b"x") for _ in range(3)]
    assert len({each.id for each in made}) == 1
    receiver.one("/once")
    made[0].until_delivery("delivered")
    again = submit(counting, "counter", callback=receiver.url("/once"), headers=headers, content=b"x")
    assert again.status_code == 202 and again.json()["id"] == made[0].id
    eventually(lambda: made[0].runs() == 1)
    assert len(receiver.received("/once")) == 1 and len(made[0].get()["attempts"]) == 1


def test_another_body_with_the_same_key_is_refused(counting):
    headers = {"Idempotency-Key": "async-2"}
    made = call(counting, "counter", headers=headers, content=b"x")
    problem_of(submit(counting, "counter", headers=headers, content=b"y"), 422, "idempotency_key_reused", "platform")
    assert made.ended()["state"] == "succeeded"
    problem_of(submit(counting, "counter", headers=headers, content=b"y"), 422, "idempotency_key_reused")


def test_keys_belong_to_their_function(counting):
    headers = {"Idempotency-Key": "async-3"}
    one = call(counting, "counter", headers=headers, content=b"x")
    two = call(counting, "other", headers=headers, content=b"y")
    assert one.id != two.id and two.ended()["state"] == "succeeded"


def test_many_at_once_are_one(counting):
    ids, threads = [], []
    for _ in range(16):
        threads.append(threading.Thread(target=lambda: ids.append(
            submit(counting, "counter", headers={"Idempotency-Key": "async-4"}, content=b"x").json()["id"])))  # fmt: skip
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(ids) == 16 and len(set(ids)) == 1
    made = Call(counting, "counter", ids[0])
    made.ended()
    eventually(lambda: made.runs() == 1)


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_keys_outlive_a_restart(start_server, ending):
    running = start_server("--drain-seconds", "1")
    running.deploy("counter", COUNTER)
    headers = {"Idempotency-Key": "kept"}
    made = call(running, "counter", headers=headers, content=b"x")
    made.ended()
    sync = running.call("counter", method="POST", headers={"Idempotency-Key": "kept-sync"}, content=b"x")
    getattr(running, ending)()
    running.start()
    assert call(running, "counter", headers=headers, content=b"x").id == made.id
    problem_of(submit(running, "counter", headers=headers, content=b"y"), 422, "idempotency_key_reused")
    again = running.call("counter", method="POST", headers={"Idempotency-Key": "kept-sync"}, content=b"x")
    assert (again.status_code, again.content) == (sync.status_code, sync.content)


@pytest.mark.sanitizer
def test_the_same_sync_request_has_the_first_answer(counting):
    def ask(body, key="sync-1", **more):
        return counting.call("counter", method="POST", headers={"Idempotency-Key": key}, content=body, **more)

    first = ask(b"x")
    assert first.status_code == 201
    before = runs(counting)
    again = ask(b"x")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["X-Run"] == first.headers["X-Run"] and again.headers.get_list("X-A") == ["1", "2"]
    assert again.headers["X-Call-Id"] == first.headers["X-Call-Id"]
    problem_of(ask(b"y"), 422, "idempotency_key_reused", "platform")
    assert ask(b"x", "sync-2").headers["X-Run"] != first.headers["X-Run"]
    eventually(lambda: runs(counting) == before + 1)


def test_the_same_sync_request_while_the_first_runs(counting):
    answers = []

    def ask():
        answers.append(counting.call("counter", "?seconds=1", "POST", headers={"Idempotency-Key": "sync-3"}, content=b"x"))

    before = runs(counting)
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    good = [each for each in answers if each.status_code == 201]
    assert good and len({each.content for each in good}) == 1
    assert all(each.status_code in (201, 409) for each in answers)
    eventually(lambda: runs(counting) == before + 1)


def keyed(server, key, path="", content=b"x"):
    return server.call("counter", path, "POST", headers={"Idempotency-Key": key}, content=content)


def test_a_sync_call_with_a_key_goes_before_the_backlog(counting):
    backlog = [call(counting, "counter", "?seconds=0.1") for _ in range(60)]
    assert keyed(counting, "sync-5").status_code == 201
    assert backlog[-1].get()["state"] == "queued"
    for each in backlog:
        each.cancel()


def test_a_key_is_answered_though_the_backlog_is_full(start_server):
    running = start_server("--function-backlog", "2")
    running.deploy("counter", COUNTER, limits={"max_replicas": 1})
    first = keyed(running, "ended")
    later = {"X-Delay-Seconds": "600"}
    waits = [call(running, "counter", headers={**later, "Idempotency-Key": f"waits-{i}"}) for i in range(2)]
    problem_of(submit(running, "counter", headers=later), 429, "backlog_full", "platform")
    again = keyed(running, "ended")
    assert (again.status_code, again.content) == (201, first.content)
    assert call(running, "counter", headers={**later, "Idempotency-Key": "waits-0"}).id == waits[0].id
    assert keyed(running, "new").status_code == 201  # a synchronous call needs no room there


def test_a_call_that_was_refused_lets_go_of_its_key(start_server):
    running = start_server("--queue-wait-seconds", "0.2")
    running.deploy("counter", COUNTER, limits={"max_replicas": 1})
    long = threading.Thread(target=running.call, args=("counter", "?seconds=3", "POST"))
    long.start()
    eventually(lambda: runs(running) == 1)
    refused = keyed(running, "busy")
    problem_of(refused, 429, "no_capacity", "platform")
    assert int(refused.headers["Retry-After"]) >= 1
    long.join()
    answer = keyed(running, "busy")
    assert answer.status_code == 201 and "Idempotency-Replayed" not in answer.headers
    assert keyed(running, "busy").headers["Idempotency-Replayed"] == "true"
    eventually(lambda: runs(running) == 2)


def test_a_call_that_was_cancelled_before_it_ran_lets_go_of_its_key(counting):
    busy = call(counting, "counter", "?seconds=3")
    busy.until("running")
    answers = []
    made = Call(counting, "counter", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    headers = {"Idempotency-Key": "cancelled-1", "X-Call-Id": made.id}
    waits = threading.Thread(target=lambda: answers.append(
        counting.call("counter", method="POST", headers=headers, content=b"x")))  # fmt: skip
    waits.start()
    made.until("queued")
    assert made.cancel().status_code == 202
    waits.join()
    problem_of(answers[0], 409, "cancelled", "platform")
    busy.ended()
    answer = keyed(counting, "cancelled-1")
    assert answer.status_code == 201 and "Idempotency-Replayed" not in answer.headers


def test_a_call_that_was_cancelled_while_it_ran_keeps_its_key(counting):
    made = Call(counting, "counter", "01ARZ3NDEKTSV4RRFFQ69G5FAW")
    headers = {"Idempotency-Key": "cancelled-2", "X-Call-Id": made.id}
    runs_on = threading.Thread(target=counting.call, args=("counter", "?seconds=30", "POST"),
                               kwargs={"headers": headers, "content": b"x"})  # fmt: skip
    runs_on.start()
    eventually(lambda: made.runs() == 1)
    assert made.cancel().status_code == 202
    runs_on.join()
    again = keyed(counting, "cancelled-2", "?seconds=30")
    problem_of(again, 409, "cancelled", "platform")
    assert again.headers["Idempotency-Replayed"] == "true" and again.headers["X-Call-Id"] == made.id


def test_a_call_that_was_accepted_keeps_its_key_when_it_is_cancelled(counting):
    headers = {"Idempotency-Key": "cancelled-3", "X-Delay-Seconds": "600"}
    made = call(counting, "counter", headers=headers, content=b"x")
    made.cancel()
    made.until("cancelled")
    again = submit(counting, "counter", headers=headers, content=b"x")
    assert (again.status_code, again.json()["id"], again.json()["state"]) == (202, made.id, "cancelled")


def test_a_call_that_the_server_died_with_runs_after_its_waiting_time(start_server):
    running = start_server("--queue-wait-seconds", "1")
    running.deploy("counter", COUNTER)

    def cut_off():
        with contextlib.suppress(httpx.HTTPError):
            keyed(running, "cut", "?seconds=3")

    began = time.monotonic()
    first = threading.Thread(target=cut_off)
    first.start()
    eventually(lambda: runs(running) == 1)
    eventually(lambda: time.monotonic() - began > 1.5)
    running.kill()
    first.join()
    running.start()
    answer = keyed(running, "cut", "?seconds=3")
    assert answer.status_code == 201 and answer.headers["Idempotency-Replayed"] == "true"
    found = Call(running, "counter", answer.headers["X-Call-Id"]).get()
    assert (found["state"], len(found["attempts"])) == ("succeeded", 1)


def test_a_cold_start_is_told_with_a_key_as_without(counting):
    counting.deploy("chilly", "import time\ntime.sleep(0.5)\n" + COUNTER, limits={"idle_seconds": 1})

    def timing(key):
        answer = counting.call("chilly", method="POST", headers={"Idempotency-Key": key}, content=b"x")
        return dict(part.strip().split(";dur=") for part in answer.headers["Server-Timing"].split(","))

    eventually(lambda: counting.replicas("chilly") == 0, within=20)
    cold = timing("cold")
    assert float(cold["run"]) < float(cold["cold"]), cold
    assert "cold" not in timing("warm")


@pytest.mark.parametrize("key", ["", "k" * 300])
def test_an_unusable_key_is_refused(counting, key):
    answer = submit(counting, "counter", headers={"Idempotency-Key": key}, content=b"x")
    assert answer.status_code == 400, answer.text


# Prefer: respond-async


def prefer(server, preference, path="", **more):
    return server.call("counter", path, method="POST", headers={"Prefer": preference, **more.pop("headers", {})}, **more)


def run_of(server, answer):
    """The Call of a 202 to /invoke."""
    assert answer.status_code == 202, (answer.status_code, answer.text)
    made = Call(server, "counter", answer.headers["X-Call-Id"])
    assert answer.headers["Location"] == made.path == invocation_path("counter", made.id)
    assert answer.json()["id"] == made.id and answer.json()["state"] in ("queued", "running")
    return made


@pytest.mark.sanitizer
def test_respond_async_answers_at_once(counting):
    began = time.monotonic()
    made = run_of(counting, prefer(counting, "respond-async", "?seconds=1"))
    assert time.monotonic() - began < 0.9
    found = made.ended()
    assert (found["state"], found["status_code"]) == ("succeeded", 201)
    assert b"run" in made.response().content
    eventually(lambda: made.runs() == 1)


def test_a_quick_run_is_answered_as_if_nothing_was_preferred(counting):
    before = runs(counting)
    answer = prefer(counting, "respond-async, wait=10")
    assert answer.status_code == 201 and answer.headers.get_list("X-A") == ["1", "2"]
    assert answer.content == b"\x00run %d\xff" % int(answer.headers["X-Run"])
    eventually(lambda: runs(counting) == before + 1)


@pytest.mark.parametrize("preference", ["respond-async, wait=1", "wait=1, respond-async", "Respond-Async; x=1,wait=1"])
def test_a_long_run_goes_on_in_the_background(counting, preference):
    began = time.monotonic()
    answer = prefer(counting, preference, "?seconds=2.5")
    took = time.monotonic() - began
    made = run_of(counting, answer)
    assert 0.9 < took < 2.4
    assert made.get()["state"] == "running"
    found = made.ended()
    assert (found["state"], found["status_code"], len(found["attempts"])) == ("succeeded", 201, 1)
    assert made.response().headers["X-Function-Status"] == "201"
    eventually(lambda: made.runs() == 1)


def test_a_call_in_the_backlog_is_not_called_running(counting):
    busy = call(counting, "counter", "?seconds=3", headers={"Idempotency-Key": "busy"})
    busy.until("running")
    made = run_of(counting, answer := prefer(counting, "respond-async, wait=1"))
    assert answer.json()["state"] == made.get()["state"] == "queued"
    again = submit(counting, "counter", "?seconds=3", headers={"Idempotency-Key": "busy"})
    assert again.json() == {"id": busy.id, "state": "running"}
    assert made.ended()["state"] == busy.ended()["state"] == "succeeded"


def test_a_run_in_the_background_may_have_a_callback(counting, receiver):
    answer = prefer(counting, "respond-async, wait=1", "?seconds=2",
                    headers={"X-Callback-Url": receiver.url("/preferred")})  # fmt: skip
    made = run_of(counting, answer)
    assert receiver.one("/preferred").header("X-Call-Id") == made.id
    made.until_delivery("delivered")
    eventually(lambda: made.runs() == 1)


def test_a_run_in_the_background_outlives_its_client(counting):
    with counting.open() as client:
        client.request("POST", "/spaces/default/functions/counter/invoke?seconds=2",
                       [("Prefer", "respond-async, wait=1")], b"x")  # fmt: skip
        answer = client.read()
    assert answer.status == 202
    made = Call(counting, "counter", answer.header("X-Call-Id"))
    assert made.ended()["state"] == "succeeded"
    eventually(lambda: made.runs() == 1)


@pytest.mark.parametrize("preference", ["wait=1", "return=minimal", "respond-asyncx", ""])
def test_other_preferences_change_nothing(counting, preference):
    assert prefer(counting, preference, "?seconds=1.2").status_code == 201


def test_a_run_in_the_background_can_be_cancelled(counting):
    made = run_of(counting, prefer(counting, "respond-async", "?seconds=30"))
    eventually(lambda: made.runs() == 1)
    assert made.cancel().status_code == 202
    made.until("cancelled")
    assert counting.call("counter", method="POST").status_code == 201


def test_async_invoke_takes_preferences_as_they_come(counting):
    answer = submit(counting, "counter", headers={"Prefer": "respond-async, wait=5"}, content=b"x")
    assert accepted(counting, answer, "counter").ended()["state"] == "succeeded"


def test_a_get_may_be_preferred_async(counting):
    answer = counting.call("counter", "/a?b=1", headers={"Prefer": "respond-async"})
    assert run_of(counting, answer).ended()["state"] == "succeeded"


def test_scripted_handlers_see_no_second_run(counting):
    counting.deploy("scripted", SCRIPTED)
    answer = counting.call("scripted", method="POST", headers={"Prefer": "respond-async, wait=1"},
                           content=b"time.sleep(1.5) or {'body': str(count)}")  # fmt: skip
    assert answer.status_code == 202
    made = Call(counting, "scripted", answer.headers["X-Call-Id"])
    made.ended()
    assert made.response().text == "1"
