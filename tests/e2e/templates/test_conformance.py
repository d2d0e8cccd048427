"""The same cases against every template: see table.py."""

import base64
import os
import threading
import time

import httpx
import pytest

from polling import eventually
from sterna import invoke_path, problem_of
from table import TEMPLATES


@pytest.fixture(scope="module", params=TEMPLATES, ids=lambda template: template.name)
def template(request):
    return request.param


@pytest.fixture(scope="module")
def name(server, template):
    name = f"same-{template.folder}"
    template.deploy(server, name, limits={"memory_mb": 256})
    return name


def mirror(server, name, path="/mirror", **options):
    answer = server.call(name, path, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def headers_of(seen, name):
    return [value for key, value in seen["headers"] if key == name]


def wait_until_the_window_is_shut():
    """Long enough for every buffer on the way to fill; nothing outside shows it."""
    time.sleep(0.2)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_method_and_path(server, name, method):
    seen = mirror(server, name, method=method)
    assert (seen["method"], seen["path"]) == (method, "/mirror")


def test_query_keeps_order_and_repeats(server, name):
    seen = mirror(server, name, "/mirror?b=2&a=1&a=%C3%A9+x&empty=")
    assert sorted(map(tuple, seen["query"])) == [("a", "1"), ("a", "é x"), ("b", "2"), ("empty", "")]
    assert [value for key, value in seen["query"] if key == "a"] == ["1", "é x"]


def test_headers_and_call_id(server, name, template):
    sent = [
        ("X-One", "1"),
        ("X-One", "2"),
        ("X-Empty", ""),
        ("Content-Type", "text/x-y"),
        ("Connection", "close"),
    ]
    answer = server.call(name, "/mirror", method="POST", headers=sent, content=b"x")
    seen = answer.json()
    ones = headers_of(seen, "x-one")
    assert ones == ["1", "2"] if template.repeats_headers else ones in (["1, 2"], ["1,2"])
    assert headers_of(seen, "x-empty") == [""]
    assert headers_of(seen, "content-type") == ["text/x-y"]
    assert headers_of(seen, "x-call-id") == [answer.headers["x-call-id"]]
    assert "close" not in headers_of(seen, "connection")


def test_binary_body_both_ways(server, name):
    body = bytes(range(256)) * 3
    assert base64.b64decode(mirror(server, name, method="POST", content=body)["body"]) == body
    answer = server.call(name, "/echo", method="POST", content=body)
    assert answer.content == body
    assert answer.headers["content-type"] == "application/octet-stream"


def test_no_body(server, name):
    assert mirror(server, name, method="POST")["body"] == ""


def test_body_of_six_mebibytes_both_ways(server, name):
    body = os.urandom(6 * 1024 * 1024)
    answer = server.call(name, "/echo", method="PUT", content=body)
    assert answer.status_code == 200, answer.text
    assert answer.content == body


def test_status_and_headers_of_the_answer(server, name, template):
    if not template.sets_status:
        pytest.skip("answers are 200 by contract")
    answer = server.call(name, "/answer")
    assert (answer.status_code, answer.text) == (418, "tea")
    assert answer.headers.get_list("x-tea") == ["green", "black"]
    assert answer.headers.get("connection", "") != "close"


def test_large_answer_to_a_slow_reader(server, name):
    size = 20_000_000
    got = 0
    with server.client.stream("GET", invoke_path(name, f"/large?bytes={size}")) as answer:
        assert answer.status_code == 200
        for part in answer.iter_raw(65536):
            if not got:
                wait_until_the_window_is_shut()
            got += len(part)
    assert got == size


def test_an_answer_streams(server, name):
    arrived = []
    with server.client.stream("GET", invoke_path(name, "/stream")) as answer:
        text = ""
        for part in answer.iter_text():
            text += part
            arrived.append(time.monotonic())
    assert text == "part 0\npart 1\npart 2\n"
    assert arrived[-1] - arrived[0] > 0.3


def test_a_reader_that_leaves_a_stream_does_no_harm(server, name):
    with server.client.stream("GET", invoke_path(name, "/large?bytes=50000000")) as answer:
        next(answer.iter_raw(1000))
    assert server.call(name, "/echo", method="POST", content=b"still there").content == b"still there"


def test_logs_carry_the_call_id(server, name):
    answer = server.call(name, "/log?word=hello")
    assert answer.text.strip() == "logged"
    call_id = answer.headers["x-call-id"]

    def logged():
        texts = [line["text"] for line in server.logs(name, call_id=call_id)]
        return {"to stdout hello", "to stderr hello"} <= set(texts)

    eventually(logged)


def test_environment(server, name):
    assert mirror(server, name, "/environment") == {"COLOUR": "blue", "STERNA_FUNCTION": name}


def test_a_failure_is_a_500_and_its_text_is_in_the_log(server, name, template):
    if not template.reports_failures:
        pytest.skip("the function's own server answers for its failures")
    answer = server.call(name, "/fail")
    problem = problem_of(answer, 500, "function_raised", "function")
    assert "on purpose" not in str(problem)
    call_id = answer.headers["x-call-id"]
    eventually(lambda: [line for line in server.logs(name, call_id=call_id) if "on purpose" in line["text"]])
    assert server.call(name, "/echo", method="POST", content=b"next").content == b"next"


@pytest.mark.parametrize(
    "path, own, worker",
    [
        ("/leave", "exited with status 3", "the worker exited with code 3"),
        ("/crash", "was ended by signal 6 (Aborted)", "the worker was killed by signal 6 (Aborted)"),
        ("/kill", "was ended by signal 9 (Killed)", "the worker was killed by signal 9 (Killed)"),
    ],
)
def test_a_process_that_ends_fails_its_call_and_the_log_says_how(server, name, template, path, own, worker):
    wanted = own if template.ends_by_itself else worker
    before = len([line for line in server.logs(name) if wanted in line["text"]])
    failure = (500, "function_raised") if template.stays else (502, "worker_died")
    problem_of(server.call(name, path), *failure, "function")
    eventually(lambda: len([line for line in server.logs(name) if wanted in line["text"]]) > before)
    answer = eventually(lambda: server.call(name, "/echo", method="POST", content=b"again"))
    assert answer.content == b"again"
    assert not template.stays or not [line for line in server.logs(name) if "the worker " in line["text"]]


def test_a_run_over_its_time_is_stopped(server, template):
    name = f"late-{template.folder}"
    template.deploy(server, name, limits={"timeout_seconds": 1})
    problem_of(server.call(name, "/sleep?seconds=30"), 504, "function_timeout", "function")
    assert server.call(name, "/sleep?seconds=0").text == "slept"
    server.request("DELETE", f"/spaces/default/functions/{name}")


def test_what_a_call_logs_after_its_time_carries_its_id(server, template):
    if not template.cleans_up:
        pytest.skip("the function's own process hears of it in another way")
    name = f"clean-{template.folder}"
    template.deploy(server, name, limits={"timeout_seconds": 1, "concurrency": 4, "memory_mb": 256})
    with server.client.stream("GET", invoke_path(name, "/until-cancelled")) as answer:
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()
    lines = eventually(lambda: [line for line in server.logs(name) if line["text"] == "cleaned up"])
    assert [line["call_id"] for line in lines] == [answer.headers["x-call-id"]]
    server.request("DELETE", f"/spaces/default/functions/{name}")


def test_calls_run_side_by_side(server, template):
    name = f"many-{template.folder}"
    template.deploy(server, name, limits={"max_replicas": 1, "concurrency": 4, "memory_mb": 256})
    server.call(name, "/sleep?seconds=0")
    texts = []
    began = time.monotonic()
    threads = [
        threading.Thread(target=lambda: texts.append(server.call(name, "/sleep?seconds=1").text))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["slept"] * 4
    assert time.monotonic() - began < 3
    server.request("DELETE", f"/spaces/default/functions/{name}")


def test_the_concurrency_in_force_is_shown(server, name, template):
    assert server.get(name)["limits"]["concurrency"] == template.concurrency
