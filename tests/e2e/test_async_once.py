"""One request, one run: Idempotency-Key, and Prefer: respond-async on /invoke."""

import threading
import time

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
