"""Invocations as a resource: state, list, answer, cancel, redrive."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from async_calls import RFC3339, call, invocation_path
from handlers import ECHO, SCRIPTED
from polling import eventually
from receiver import Answer
from sterna import function_path, problem_of

UNKNOWN = "01ARZ3NDEKTSV4RRFFQ69G5FZZ"
FIELDS = {
    "id", "space", "function", "version", "state", "reason", "status_code", "created_at", "not_before", "started_at",
    "ended_at", "attempts", "callback",
}  # fmt: skip

# Says every 50 ms that it still runs.
TICKING = """
import time

def handle(req):
    print("run", flush=True)
    for _ in range(600):
        print("tick", flush=True)
        time.sleep(0.05)
    return {"body": "done"}
"""


@pytest.fixture(scope="module")
def scripted(async_server):
    async_server.deploy("scripted", SCRIPTED, limits={"memory_mb": 256}, **{"async": {"max_attempts": 1}})
    async_server.deploy("ticking", TICKING, limits={"max_replicas": 1, "timeout_seconds": 60})
    return async_server


def delayed(server, name="scripted", seconds="600", **more):
    return call(server, name, headers={"X-Delay-Seconds": seconds}, content=b"{'body': 'late'}", **more)


# State


@pytest.mark.sanitizer
def test_the_resource_of_a_finished_call(scripted, receiver):
    made = call(scripted, "scripted", callback=receiver.url("/whole"), content=b"{'status_code': 201}")
    made.until_delivery("delivered")
    found = made.get()
    assert set(found) == FIELDS
    assert (found["id"], found["space"], found["function"]) == (made.id, "default", "scripted")
    assert (found["state"], found["status_code"]) == ("succeeded", 201) and not found["reason"]
    assert found["version"] == scripted.get("scripted")["version"]
    for field in ("created_at", "started_at", "ended_at"):
        assert RFC3339.fullmatch(found[field]), field
    assert set(found["callback"]) == {"url", "delivery", "deliveries"}
    assert set(found["callback"]["deliveries"][0]) == {"at", "outcome", "status_code", "detail"}
    one = found["attempts"][0]
    assert set(one) >= {"number", "started_at", "ended_at", "outcome", "reason", "status_code", "instance", "cold"}


def test_the_resource_before_and_during_the_run(scripted):
    made = delayed(scripted)
    found = made.get()
    assert set(found) == FIELDS and found["state"] == "queued" and found["attempts"] == []
    assert found["started_at"] is None and found["ended_at"] is None and found["status_code"] is None
    assert found["callback"]["delivery"] == "none"
    assert made.cancel().status_code == 202
    running = call(scripted, "ticking")
    found = running.until("running")
    assert found["started_at"] and found["ended_at"] is None
    assert running.cancel().status_code == 202


def test_unknown_invocations(scripted, receiver):
    made = call(scripted, "scripted", content=b"{}")
    scripted.deploy("other", ECHO)
    for method, path in [
        ("GET", invocation_path("scripted", UNKNOWN)), ("GET", invocation_path("scripted", UNKNOWN, "/response")),
        ("DELETE", invocation_path("scripted", UNKNOWN)), ("POST", invocation_path("scripted", UNKNOWN, "/redrive")),
        ("GET", invocation_path("scripted", "no-ulid")), ("GET", invocation_path("other", made.id)),
    ]:  # fmt: skip
        problem_of(scripted.request(method, path), 404, "invocation_not_found")
    problem_of(scripted.request("GET", invocation_path("nobody", made.id)), 404, "function_not_found")


@pytest.mark.parametrize(
    "method, suffix, allowed",
    [
        ("PUT", "", {"GET", "HEAD", "DELETE"}),
        ("POST", "/response", {"GET", "HEAD"}),
        ("GET", "/redrive", {"POST"}),
        ("DELETE", "/redeliver", {"POST"}),
    ],
)
def test_other_methods_are_refused_with_allow(scripted, method, suffix, allowed):
    made = call(scripted, "scripted", content=b"{}")
    answer = scripted.request(method, made.path + suffix)
    assert answer.status_code == 405
    assert {each.strip() for each in answer.headers["Allow"].split(",")} == allowed


def test_head_is_get_without_the_body(scripted):
    answer = "{'body': 'x' * %s, 'headers': {'X-Own': '1', 'X-Function-Status': '7'}}"
    for size in ("3", "100000"):  # a large one is read piece by piece
        made = call(scripted, "scripted", content=(answer % size).encode())
        assert made.get(wait=30)["state"] == "succeeded"
        whole, head = made.response(), scripted.request("HEAD", made.path + "/response")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["Content-Length"] == whole.headers["Content-Length"] == size
        for each in (whole, head):
            assert each.headers["X-Own"] == "1" and each.headers.get_list("X-Function-Status") == ["200"]
    for path in (made.path, made.path + "?wait=1", made.path.rpartition("/")[0]):
        head = scripted.request("HEAD", path)
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["Content-Length"]) == len(scripted.request("GET", path).content)
    assert scripted.request("HEAD", invocation_path("scripted", UNKNOWN)).status_code == 404


def test_waiting_for_the_end(scripted):
    made = call(scripted, "scripted", content=b"time.sleep(1) or {'body': 'x'}")
    began = time.monotonic()
    found = made.get(wait=30)
    assert found["state"] == "succeeded" and 0.5 < time.monotonic() - began < 10
    began = time.monotonic()
    assert made.get(wait=30)["state"] == "succeeded" and time.monotonic() - began < 2


def test_a_call_that_ends_while_it_is_looked_up_is_ended(scripted):
    def states(_):
        return [call(scripted, "scripted", content=b"{}").get(wait=30)["state"] for _ in range(150)]

    with ThreadPoolExecutor(6) as pool:
        assert {state for found in pool.map(states, range(6)) for state in found} == {"succeeded"}


def test_waiting_ends_before_the_run(scripted):
    made = delayed(scripted)
    began = time.monotonic()
    assert made.get(wait=1)["state"] == "queued"
    assert 0.9 < time.monotonic() - began < 5
    ended = []
    waiter = threading.Thread(target=lambda: ended.append(scripted.request("GET", made.path, params={"wait": 30})))
    waiter.start()
    assert made.cancel().status_code == 202
    waiter.join(10)
    assert ended[0].json()["state"] == "cancelled"


@pytest.mark.parametrize("wait", ["soon", "-1", ""])
def test_a_bad_wait_is_refused(scripted, wait):
    made = call(scripted, "scripted", content=b"{}")
    assert scripted.request("GET", made.path, params={"wait": wait}).status_code == 400


# The list


@pytest.fixture(scope="module")
def listed(async_server, receiver):
    """A function with invocations of all kinds, oldest first."""
    async_server.deploy("listed", SCRIPTED, **{"async": {"max_attempts": 1}})
    receiver.script("/refused", Answer(404))
    kinds = [
        (b"{}", receiver.url("/taken")), (b"1 / 0", None), (b"{}", receiver.url("/refused")), (b"1 / 0", receiver.url("/taken")),
        (b"{}", None),
    ]  # fmt: skip
    made = []
    for expression, callback in kinds:
        made.append(call(async_server, "listed", callback=callback, content=expression))
        made[-1].ended()
    made.append(delayed(async_server, "listed"))
    made[0].until_delivery("delivered")
    made[2].until_delivery("undeliverable")
    made[3].until_delivery("delivered")
    return [each.id for each in made]


def ids(server, **params):
    answer = server.request("GET", function_path("listed") + "/invocations", params=params)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["data"]], answer.json()["paging"]["next_cursor"]


def test_the_list_is_newest_first(async_server, listed):
    assert ids(async_server) == (listed[::-1], None)


@pytest.mark.parametrize(
    "filters, wanted",
    [
        ({"state": "succeeded"}, [4, 2, 0]), ({"state": "failed"}, [3, 1]), ({"state": "queued"}, [5]),
        ({"state": "cancelled"}, []), ({"delivery": "delivered"}, [3, 0]), ({"delivery": "undeliverable"}, [2]),
        ({"delivery": "none"}, [5, 4, 1]), ({"state": "failed", "delivery": "delivered"}, [3]),
        ({"state": "succeeded", "delivery": "pending"}, []),
    ],
)  # fmt: skip
def test_filters(async_server, listed, filters, wanted):
    assert ids(async_server, **filters)[0] == [listed[number] for number in wanted]


@pytest.mark.parametrize("limit", [1, 2, 4, 6])
@pytest.mark.parametrize("filters", [{}, {"state": "succeeded"}])
def test_cursors_show_everything_once(async_server, listed, limit, filters):
    seen, cursor = [], None
    for _ in range(20):
        page, cursor = ids(async_server, limit=limit, **filters, **({"cursor": cursor} if cursor else {}))
        assert len(page) <= limit
        seen += page
        if cursor is None:
            break
    assert seen == ids(async_server, **filters)[0]


@pytest.mark.parametrize(
    "params", [{"state": "lost"}, {"delivery": "x"}, {"limit": 0}, {"limit": 501}, {"limit": "x"}, {"cursor": "%%%"}]
)
def test_bad_parameters_are_refused(async_server, listed, params):
    answer = async_server.request("GET", function_path("listed") + "/invocations", params=params)
    problem_of(answer, 400, answer.json()["reason"])


def test_the_list_of_an_unknown_function(async_server):
    answer = async_server.request("GET", function_path("nobody") + "/invocations")
    problem_of(answer, 404, "function_not_found")


# The answer


@pytest.mark.sanitizer
def test_the_answer_is_kept_whole(scripted):
    made = call(scripted, "scripted", content=b"{'status_code': 418, 'body': bytes(range(256)) * 9,"
                b" 'headers': [('X-A', '1'), ('X-A', '2'), ('Content-Type', 'text/x')]}")  # fmt: skip
    made.ended()
    answer = made.response()
    assert answer.status_code == 200 and answer.headers["X-Function-Status"] == "418"
    assert answer.content == bytes(range(256)) * 9
    assert answer.headers.get_list("X-A") == ["1", "2"] and answer.headers.get_list("Content-Type") == ["text/x"]
    assert answer.headers["X-Call-Id"] == made.id


def test_a_large_answer_is_kept_whole(scripted):
    made = call(scripted, "scripted", content=b"{'body': (bytes([n]) * 1000000 for n in range(12))}")
    made.ended()
    assert made.response().content == b"".join(bytes([n]) * 1_000_000 for n in range(12))


def test_the_answer_of_a_failed_call_is_its_problem(scripted):
    made = call(scripted, "scripted", content=b"1 / 0")
    made.ended()
    answer = made.response()
    assert answer.headers["X-Function-Status"] == "500"
    assert answer.json()["reason"] == "function_raised"


def test_an_answer_that_is_not_there_yet(scripted):
    made = delayed(scripted)
    problem_of(made.response(), 409, "not_ended")
    made.cancel()
    problem_of(made.response(), 404, "no_answer")


def test_an_answer_over_the_limit_fails_once_and_for_all(start_server, receiver):
    running = start_server("--callback-allow", "127.0.0.0/8", "--max-result-bytes", "100000")
    running.deploy("scripted", SCRIPTED)
    fits = call(running, "scripted", content=b"{'body': b'x' * 100000}")
    assert fits.ended()["state"] == "succeeded" and fits.response().content == b"x" * 100_000
    made = call(running, "scripted", callback=receiver.url("/over"), content=b"{'body': (b'x' * 30000 for n in range(5))}")
    found = made.ended()
    assert (found["state"], found["reason"], len(found["attempts"])) == ("failed", "result_too_large", 1)
    assert receiver.one("/over").header("X-Function-Status") == "502"


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_large_bodies_outlive_a_restart(start_server, receiver, ending):
    running = start_server("--callback-allow", "127.0.0.0/8")
    running.deploy("echo", ECHO, limits={"memory_mb": 256})
    body = os.urandom(6 * 1024 * 1024)
    path = f"/large/{ending}"
    made = call(running, "echo", callback=receiver.url(path), headers={"X-Delay-Seconds": "2"}, content=body)
    getattr(running, ending)()
    running.start()
    assert receiver.one(path, 30).body == body
    assert made.response().content == body
    getattr(running, ending)()
    running.start()
    assert made.response().content == body


# Cancel


@pytest.mark.sanitizer
def test_a_queued_call_that_is_cancelled_never_runs(scripted, receiver):
    made = delayed(scripted, seconds="1", callback=receiver.url("/cancelled"))
    answer = made.cancel()
    assert answer.status_code == 202, answer.text
    assert made.get()["state"] == "cancelled"
    problem_of(made.cancel(), 409, "already_ended")
    beside = delayed(scripted, seconds="1.2")
    beside.ended()
    assert made.runs() == 0 and made.get()["state"] == "cancelled"


def test_a_running_call_that_is_cancelled_is_really_stopped(scripted):
    made = call(scripted, "ticking")
    eventually(lambda: made.runs() == 1)
    answer = made.cancel()
    assert answer.status_code == 202
    found = made.until("cancelled", 10)
    assert found["ended_at"] and found["started_at"] and found["version"] == 1
    assert [(each["number"], each["outcome"], each["reason"]) for each in found["attempts"]] == [(1, "cancelled", "cancelled")]
    assert found["attempts"][0]["instance"] and found["attempts"][0]["status_code"] is None
    problem_of(made.cancel(), 409, "already_ended")

    def ticks():
        return len(scripted.logs("ticking", call_id=made.id))

    # The one worker is free for others, and the cancelled run says no more.
    other = call(scripted, "ticking")
    eventually(lambda: other.runs() == 1)
    before = ticks()
    eventually(lambda: len(scripted.logs("ticking", call_id=other.id)) > 10)
    assert ticks() == before and made.runs() == 1
    other.cancel()


def test_an_ended_call_cannot_be_cancelled(scripted):
    made = call(scripted, "scripted", content=b"{}")
    made.ended()
    problem_of(made.cancel(), 409, "already_ended")
    assert made.get()["state"] == "succeeded"


def test_who_waits_is_told_when_the_function_is_deleted(scripted):
    scripted.deploy("passing", TICKING)
    made = call(scripted, "passing")
    eventually(lambda: made.runs() == 1)
    answers = []
    waiting = [
        threading.Thread(target=lambda path=path, more=more: answers.append(scripted.request("GET", path, **more)))
        for path, more in [
            (made.path, {"params": {"wait": 120}}),
            (function_path("passing") + "/invoke", {"headers": {"Prefer": "respond-async, wait=120"}}),
        ]
    ]
    for thread in waiting:
        thread.start()
    eventually(lambda: len(scripted.request("GET", function_path("passing") + "/invocations").json()["data"]) == 2)
    assert scripted.request("DELETE", function_path("passing")).status_code == 204
    for thread in waiting:
        thread.join(60)
    assert len(answers) == 2  # long before the two minutes that they would wait
    for answer in answers:
        problem_of(answer, 404, "function_not_found")


# Redrive


def test_a_failed_call_is_run_again(scripted, receiver):
    scripted.deploy("mended", SCRIPTED.replace("eval(req.body)", "1 / 0"), **{"async": {"max_attempts": 2}})
    made = call(scripted, "mended", callback=receiver.url("/mended"), content=b"{'body': 'the same body'}")
    assert made.ended()["state"] == "failed"
    receiver.wait("/mended", 1)
    scripted.deploy("mended", SCRIPTED, **{"async": {"max_attempts": 2}})
    eventually(lambda: scripted.get("mended")["active_version"] == 2)
    answer = made.redrive()
    assert answer.status_code == 202, answer.text
    found = made.until("succeeded")
    assert made.response().text == "the same body"
    assert len(found["attempts"]) == 3 and found["version"] == 2
    last = receiver.wait("/mended", 2)[-1]
    assert last.body == b"the same body" and last.header("X-Function-Status") == "200"
    problem_of(made.redrive(), 409, "not_failed")


def test_a_redriven_call_has_fresh_attempts(scripted):
    scripted.deploy("still-broken", SCRIPTED, **{"async": {"max_attempts": 2}})
    made = call(scripted, "still-broken", content=b"1 / 0")
    assert len(made.ended()["attempts"]) == 2
    assert made.redrive().status_code == 202
    eventually(lambda: len(made.get()["attempts"]) == 4)
    assert made.until("failed")["reason"] == "function_raised"


def test_only_failed_calls_are_redriven(scripted):
    made = call(scripted, "scripted", content=b"{}")
    made.ended()
    problem_of(made.redrive(), 409, "not_failed")
    waiting = delayed(scripted)
    problem_of(waiting.redrive(), 409, "not_failed")
    waiting.cancel()


# Across restarts


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_everything_is_there_after_a_restart(start_server, receiver, ending):
    running = start_server("--callback-allow", "127.0.0.0/8", "--drain-seconds", "1")
    running.deploy("scripted", SCRIPTED, **{"async": {"max_attempts": 1}})
    done = call(running, "scripted", callback=receiver.url(f"/kept/{ending}"), content=b"{'body': 'kept'}")
    failed = call(running, "scripted", content=b"1 / 0")
    waiting = delayed(running, seconds="3", callback=receiver.url(f"/waited/{ending}"))
    cancelled = delayed(running)
    cancelled.cancel()
    done.until_delivery("delivered")
    failed.ended()
    before = [done.get(), failed.get(), cancelled.get()]
    getattr(running, ending)()
    running.start()
    assert [done.get(), failed.get(), cancelled.get()] == before
    assert done.response().text == "kept"
    assert receiver.one(f"/waited/{ending}").body == b"late"
    assert waiting.ended()["state"] == "succeeded"
    problem_of(cancelled.cancel(), 409, "already_ended")
    assert len(receiver.received(f"/kept/{ending}")) == 1
