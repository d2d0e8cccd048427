"""Synchronous invocation, row by row of the table in the contract, and what is handed both ways."""

import base64
import json
import re
import threading

import pytest

from handlers import ECHO, MIRROR, SLOW
from polling import eventually
from sterna import function_path, invoke_path, problem_of

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
MAX_BODY = 6 * 1024 * 1024


@pytest.fixture(scope="module")
def mirror(server):
    server.deploy("mirror", MIRROR)
    server.deploy("bytes", ECHO, limits={"memory_mb": 256})
    return server


def seen_by_function(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()


def raw_mirror(server, target, method="GET", headers=(), body=b""):
    with server.open() as client:
        answer = client.request(method, invoke_path("mirror") + target, headers, body).read(method)
    return answer


def header_of(seen, name):
    return [value for key, value in seen["headers"] if key.lower() == name.lower()]


# Methods


@pytest.mark.sanitizer
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_the_five_methods_reach_the_function(mirror, method):
    seen = seen_by_function(mirror.call("mirror", method=method, content=b"x" if method != "GET" else None))
    assert seen["method"] == method


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_refused_with_allow(mirror, method):
    answer = raw_mirror(mirror, "", method)
    assert answer.status == 405
    assert {each.strip() for each in answer.header("Allow").split(",")} == {
        "GET",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
    }
    assert answer.header("X-Sterna-Fault") == "platform"


# Path


@pytest.mark.sanitizer
@pytest.mark.parametrize(
    "target, path",
    [
        ("", "/"),
        ("/", "/"),
        ("/a", "/a"),
        ("/a/b/c", "/a/b/c"),
        ("/stock/market/today?company=Google", "/stock/market/today"),
        ("/a%20b/%C3%A9/c", "/a b/é/c"),
        ("/a%2Fb%2Fc%2Fd/e/f", "/a/b/c/d/e/f"),
        ("/a//b///c", "/a//b///c"),
        ("/a/b/c/", "/a/b/c/"),
        ("/+plus+", "/+plus+"),
        ("/%25", "/%"),
        ("/...", "/..."),
        ("/a:b@c!$&'()*,;=~", "/a:b@c!$&'()*,;=~"),
    ],
)
def test_path_is_decoded_once_and_counted_raw(mirror, target, path):
    answer = raw_mirror(mirror, target)
    assert answer.status == 200, answer.body
    assert json.loads(answer.body)["path"] == path


@pytest.mark.parametrize("target", ["/a/b/c/d", "/a//b/c/d", "/a/b/c/d/e/f/g?x=1"])
def test_a_fourth_level_is_too_deep(mirror, target):
    problem_of(mirror.call("mirror", target), 404, "path_too_deep", "platform")


@pytest.mark.parametrize(
    "target",
    ["/.", "/..", "/a/../b", "/a/./b", "/a/..", "/%2e%2e/x", "/%2E", "/.%2e/x", "/%zz", "/%4", "/a%"],
)
def test_dot_segments_and_broken_escapes_are_bad_paths(mirror, target):
    answer = raw_mirror(mirror, target)
    assert answer.status == 400, answer.body
    assert json.loads(answer.body)["reason"] == "bad_path"


def test_names_that_only_begin_like_invoke_are_no_routes(mirror):
    for suffix in ("/invoked", "/invoke-x", "/Invoke"):
        assert mirror.request("GET", function_path("mirror") + suffix).status_code == 404


# Query


@pytest.mark.sanitizer
def test_query_keeps_repeated_keys_in_order(mirror):
    answer = raw_mirror(mirror, "/?b=2&a=1&b=1&empty=&flag&plus=a+b&pct=%C3%A9%26&a=0&=nameless")
    assert json.loads(answer.body)["query"] == [
        ["b", ["2", "1"]],
        ["a", ["1", "0"]],
        ["empty", [""]],
        ["flag", [""]],
        ["plus", ["a b"]],
        ["pct", ["é&"]],
        ["", ["nameless"]],
    ]


def test_a_question_mark_in_the_query_and_no_query(mirror):
    assert json.loads(raw_mirror(mirror, "/?a=b?c/d&e").body)["query"] == [["a", ["b?c/d"]], ["e", [""]]]
    assert json.loads(raw_mirror(mirror, "/?").body)["query"] == []


def test_a_thousand_query_parameters(mirror):
    query = "&".join(f"k={number}" for number in range(1000))
    assert json.loads(raw_mirror(mirror, "/?" + query).body)["query"] == [
        ["k", [str(n) for n in range(1000)]]
    ]


# Request headers


@pytest.mark.sanitizer
def test_end_to_end_headers_reach_the_function_repeated_and_in_order(mirror):
    headers = [
        ("X-One", "1"),
        ("X-Two", "b"),
        ("x-one", "2"),
        ("X-Empty", ""),
        ("Cookie", "a=1; b=2"),
        ("Content-Type", "text/x"),
    ]
    seen = json.loads(raw_mirror(mirror, "", "POST", headers, b"hi").body)
    assert header_of(seen, "X-One") == ["1", "2"]
    assert header_of(seen, "X-Empty") == [""]
    assert header_of(seen, "Cookie") == ["a=1; b=2"]
    assert header_of(seen, "Content-Type") == ["text/x"]
    assert header_of(seen, "Content-Length") == ["2"]
    names = [name.lower() for name, _ in seen["headers"] if name.lower() in ("x-one", "x-two")]
    assert names == ["x-one", "x-two", "x-one"]


def test_hop_by_hop_headers_do_not_reach_the_function(mirror):
    headers = [
        ("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5"), ("TE", "trailers"),
        ("Proxy-Authorization", "Basic x"), ("Proxy-Connection", "keep-alive"), ("Upgrade", "websocket"), ("X-End", "1"),
    ]  # fmt: skip
    seen = json.loads(raw_mirror(mirror, "", headers=headers).body)
    names = {name.lower() for name, _ in seen["headers"]}
    assert "x-end" in names
    assert not names & {
        "connection",
        "x-hop",
        "keep-alive",
        "te",
        "proxy-authorization",
        "proxy-connection",
        "upgrade",
        "transfer-encoding",
    }


def test_the_call_id_of_the_client_is_kept_when_it_is_a_ulid(mirror):
    mine = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    answer = mirror.call("mirror", headers={"X-Call-Id": mine})
    assert answer.headers["X-Call-Id"] == mine
    assert header_of(answer.json(), "X-Call-Id") == [mine]


@pytest.mark.parametrize(
    "bad",
    ["x", "01ARZ3NDEKTSV4RRFFQ69G5FAU", "81ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAV1", ""],
)
def test_a_call_id_that_is_no_ulid_is_replaced(mirror, bad):
    answer = mirror.call("mirror", headers={"X-Call-Id": bad})
    assert ULID.fullmatch(answer.headers["X-Call-Id"])
    assert answer.headers["X-Call-Id"] != bad
    assert header_of(answer.json(), "X-Call-Id") == [answer.headers["X-Call-Id"]]


def test_call_ids_are_made_and_differ(mirror):
    ids = {mirror.call("mirror").headers["X-Call-Id"] for _ in range(20)}
    assert len(ids) == 20 and all(ULID.fullmatch(each) for each in ids)


def test_traceparent_is_made_when_absent_or_broken_and_its_trace_kept(mirror):
    form = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
    assert form.fullmatch(header_of(mirror.call("mirror").json(), "traceparent")[0])
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    seen = mirror.call(
        "mirror", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "tracestate": "a=b"}
    ).json()
    assert header_of(seen, "traceparent")[0].split("-")[1] == trace
    assert header_of(seen, "tracestate") == ["a=b"]
    for broken in (
        "zz",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{trace}-{'0' * 16}-01",
        f"ff-{trace}-00f067aa0ba902b7-01",
    ):
        made = header_of(mirror.call("mirror", headers={"traceparent": broken}).json(), "traceparent")
        assert len(made) == 1 and form.fullmatch(made[0]) and made[0] != broken


def test_forwarded_headers_tell_where_the_call_came_from(mirror):
    seen = json.loads(raw_mirror(mirror, "", headers=[("X-Forwarded-Proto", "https")]).body)
    assert header_of(seen, "X-Forwarded-For")[0].split(",")[-1].strip() == "127.0.0.1"
    assert len(header_of(seen, "X-Forwarded-Proto")) == 1
    assert header_of(seen, "X-Forwarded-Host") == ["sterna.localhost"]
    assert header_of(json.loads(raw_mirror(mirror, "").body), "X-Forwarded-Proto") == ["http"]


def test_the_clients_address_is_added_to_the_forwarded_ones(mirror):
    seen = mirror.call("mirror", headers={"X-Forwarded-For": "203.0.113.7"}).json()
    addresses = [each.strip() for value in header_of(seen, "X-Forwarded-For") for each in value.split(",")]
    assert addresses[-1] == "127.0.0.1"
    assert addresses in (["203.0.113.7", "127.0.0.1"], ["127.0.0.1"])


# Bodies


@pytest.mark.sanitizer
def test_binary_bodies_pass_untouched_both_ways(mirror):
    body = bytes(range(256)) * 7
    assert mirror.call("bytes", method="POST", content=body).content == body
    seen = mirror.call("mirror", method="PUT", content=body).json()
    assert base64.b64decode(seen["body"]) == body


@pytest.mark.parametrize(
    "size", [0, 1, 65_535, 65_536, 262_144, 262_145, 1_048_576, 1_048_577, MAX_BODY - 1, MAX_BODY]
)
def test_bodies_of_every_size_up_to_the_limit(mirror, size):
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    answer = mirror.call("bytes", method="POST", content=body)
    assert answer.status_code == 200 and answer.content == body


def test_a_body_over_the_limit_is_refused(mirror):
    problem_of(
        mirror.call("mirror", method="POST", content=bytes(MAX_BODY + 1)), 413, "body_too_large", "platform"
    )


@pytest.mark.sanitizer
def test_chunked_uploads(mirror):
    parts = [b"one", b"", b"two" * 30_000, b"end"]
    answer = mirror.call("bytes", method="POST", content=(part for part in parts))
    assert answer.content == b"".join(parts)


def test_a_chunked_upload_over_the_limit_is_refused(mirror):
    with mirror.open() as client:
        client.request("POST", invoke_path("mirror"), [("Transfer-Encoding", "chunked")])
        part = b"10000\r\n" + bytes(65536) + b"\r\n"
        try:
            for _ in range(MAX_BODY // 65536 + 1):
                client.send(part)
        except ConnectionError:
            pass  # it may close before all is sent; the answer is there all the same
        answer = client.read()
    assert answer.status == 413
    assert json.loads(answer.body)["reason"] == "body_too_large"


def test_a_function_may_have_a_smaller_limit(mirror):
    mirror.deploy("small", ECHO, limits={"max_body_bytes": 10})
    assert mirror.call("small", method="POST", content=b"0123456789").content == b"0123456789"
    problem_of(mirror.call("small", method="POST", content=b"0123456789a"), 413, "body_too_large", "platform")


def test_the_servers_limit_holds_for_all_functions(start_server):
    server = start_server()
    server.deploy("large", ECHO, limits={"max_body_bytes": 2_000_000})
    assert server.stop() == 0
    server.options = ("--max-body-bytes", "1000")
    server.start()
    server.wait_for_status("large", "Running")
    assert server.call("large", method="POST", content=bytes(1000)).status_code == 200
    problem_of(server.call("large", method="POST", content=bytes(1001)), 413, "body_too_large", "platform")
    assert server.request("PATCH", function_path("large"), json={"description": "as before"}).status_code == 200
    body = {"name": "other", "limits": {"max_body_bytes": 1001}}
    answer = server.request("POST", "/spaces/default/functions", json=body)
    assert "limits.max_body_bytes" in problem_of(answer, 422, "invalid_fields")["errors"][0]["message"]


# The function's answer

ANSWERS = """
import json

def handle(req):
    return eval(req.body)
"""


@pytest.fixture(scope="module")
def answers(server):
    server.deploy("answers", ANSWERS)

    def answer(expression):
        return server.call("answers", method="POST", content=expression.encode())

    return answer


@pytest.mark.sanitizer
@pytest.mark.parametrize("status", [200, 201, 202, 299, 301, 400, 404, 418, 429, 500, 503, 599])
def test_the_functions_status_is_the_answers(answers, status):
    for key in ("status_code", "statusCode"):
        answer = answers(f"{{'{key}': {status}, 'body': 'text'}}")
        assert answer.status_code == status and answer.text == "text"
        # An error of its own is told apart from one of the platform.
        assert answer.headers.get("X-Sterna-Fault") == ("function" if status >= 400 else None)


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body_have_none(server, answers, status):
    assert answers(f"{{'status_code': {status}}}").status_code == status
    with server.open() as client:
        for _ in range(2):  # a body would be taken for the second answer
            client.request(
                "POST", invoke_path("answers"), body=f"{{'status_code': {status}, 'body': 'text'}}".encode()
            )
            answer = client.read_head()
            assert answer.status == status
            assert answer.header("Transfer-Encoding") is None


def test_all_forms_of_a_body(answers):
    assert answers("{}").status_code == 200
    assert answers("{}").content == b""
    assert answers("{'body': 'é'}").content == "é".encode()
    assert answers("{'body': b'\\x00\\xff'}").content == b"\x00\xff"
    for value in ({"a": [1, None, "é"]}, [1, 2], [], {}, 12, 1.5, True):
        answer = answers(f"{{'body': {value!r}}}")
        assert answer.json() == value
        assert answer.headers["Content-Type"].split(";")[0] == "application/json"


def test_headers_as_a_dict_or_as_pairs(answers):
    answer = answers("{'headers': {'X-A': '1', 'Content-Type': 'text/x-mine'}, 'body': {'a': 1}}")
    assert answer.headers["X-A"] == "1"
    assert answer.headers.get_list("Content-Type") == ["text/x-mine"]
    answer = answers("{'headers': [('Set-Cookie', 'a=1'), ('Set-Cookie', 'b=2'), ('X-A', 'x')]}")
    assert answer.headers.get_list("Set-Cookie") == ["a=1", "b=2"]


def test_the_platforms_headers_cannot_be_overridden(answers):
    answer = answers(
        "{'headers': {'X-Call-Id': 'mine', 'X-Duration-Seconds': '-1', 'Server-Timing': 'mine;dur=1'}}"
    )
    assert ULID.fullmatch(answer.headers["X-Call-Id"])
    assert float(answer.headers["X-Duration-Seconds"]) >= 0
    assert "mine" not in ", ".join(answer.headers.get_list("Server-Timing"))


def test_hop_by_hop_headers_of_the_function_are_dropped(answers):
    answer = answers(
        "{'headers': {'Connection': 'close, X-Hop', 'X-Hop': '1', 'Keep-Alive': 'x', 'Transfer-Encoding': 'gzip',"
        " 'Upgrade': 'h2c', 'Proxy-Authenticate': 'x', 'Content-Length': '999', 'X-End': '1'}, 'body': 'four'}"
    )
    assert answer.text == "four" and answer.headers["X-End"] == "1"
    for name in ("X-Hop", "Keep-Alive", "Upgrade", "Proxy-Authenticate"):
        assert name not in answer.headers
    assert answer.headers.get("Content-Length", "4") == "4"


@pytest.mark.sanitizer
@pytest.mark.parametrize(
    "expression",
    [
        "42",
        "None",
        "{'status_code': 99}",
        "{'status_code': 100}",
        "{'status_code': 600}",
        "{'status_code': 'abc'}",
        "{'status_code': None}",
        "{'body': object()}",
        "{'body': {'a': {1, 2}}}",
        "{'body': float('nan')}",
        "{'headers': 7}",
        "{'headers': {'X-A': 'a\\r\\nSet-Cookie: stolen=1'}}",
        "{'headers': {'X-A': 'a\\nb'}}",
        "{'headers': {'X-A': 'a\\x00b'}}",
        "{'headers': {'X-A\\r\\nX-B': 'a'}}",
        "{'headers': {'X A': 'a'}}",
        "{'headers': {'': 'a'}}",
        "{'headers': [('only one',)]}",
    ],
)
def test_an_unusable_answer_is_a_bad_function_response(answers, expression):
    answer = answers(expression)
    problem_of(answer, 502, "bad_function_response", "function")
    assert "Set-Cookie" not in answer.headers and "X-B" not in answer.headers


def test_the_functions_next_call_works_after_an_unusable_answer(answers):
    answers("42")
    assert answers("{'body': 'fine'}").text == "fine"


# Timing headers


def test_timing_headers(server):
    server.deploy("timed", SLOW)
    first = server.call("timed", "?seconds=0.05")
    second = server.call("timed", "?seconds=0.05")
    for answer in (first, second):
        assert float(answer.headers["X-Duration-Seconds"]) >= 0.05
        timing = answer.headers["Server-Timing"]
        assert re.search(r"\bqueue;dur=\d", timing)
        run = re.search(r"\brun;dur=([\d.]+)", timing)
        assert 50 <= float(run[1]) < 5_000
    assert re.search(r"\bcold;dur=\d", first.headers["Server-Timing"]) or server.replicas("timed")
    assert "cold" not in second.headers["Server-Timing"]


# Errors


@pytest.mark.sanitizer
def test_unknown_spaces_and_functions(server):
    problem_of(server.call("nobody"), 404, "function_not_found", "platform")
    problem_of(server.call("mirror", space="nowhere"), 404, "space_not_found", "platform")


@pytest.mark.sanitizer
def test_a_raised_exception_is_a_500_that_tells_nothing_of_it(server):
    server.deploy("raises", "def handle(req):\n    raise ValueError('my secret words')\n")
    answer = server.call("raises")
    problem_of(answer, 500, "function_raised", "function")
    for leaked in ("my secret words", "ValueError", "Traceback", "handler.py", "/function"):
        assert leaked not in answer.text


@pytest.mark.sanitizer
def test_a_worker_that_dies_is_replaced(server):
    server.deploy(
        "dies", "import os\ndef handle(req):\n    if req.query: os._exit(3)\n    return {'body': 'alive'}\n"
    )
    for _ in range(2):
        problem_of(server.call("dies", "?now"), 502, "worker_died", "function")
        assert server.call("dies").text == "alive"


@pytest.mark.sanitizer
def test_over_the_timeout_the_worker_is_stopped(server):
    server.deploy("late", SLOW, limits={"timeout_seconds": 0.3, "max_replicas": 1})
    problem_of(server.call("late", "?seconds=30"), 504, "function_timeout", "function")
    assert server.call("late", "?seconds=0").text == "done"


def test_stopped_and_failed_functions_are_not_running(server):
    server.deploy("stopped", ECHO)
    assert server.request("POST", function_path("stopped") + "/stop").status_code in (200, 202, 204)
    server.wait_for_status("stopped", "Stopped")
    problem_of(server.call("stopped"), 503, "function_not_running", "platform")
    assert server.request("POST", function_path("stopped") + "/start").status_code in (200, 202, 204)
    server.wait_for_status("stopped", "Running")
    assert server.call("stopped", method="POST", content=b"x").content == b"x"

    server.deploy("broken", "def handle(req:\n", wait_for=None)
    eventually(lambda: server.call("broken").status_code == 503, 20)
    server.wait_for_status("broken", "Failed")
    problem_of(server.call("broken"), 503, "function_not_running", "platform")


def test_a_function_without_code_says_when_to_come_again(server):
    body = {"name": "no-code", "template": "python3-http"}
    assert server.request("POST", "/spaces/default/functions", json=body).status_code == 201
    answer = server.call("no-code")
    problem_of(answer, 503, "function_not_running", "platform")
    assert answer.headers["retry-after"] == "5"


def test_no_free_worker_in_time_is_429(server):
    server.deploy("busy", SLOW, limits={"max_replicas": 1, "concurrency": 1, "queue_wait_seconds": 0.3})
    assert server.call("busy", "?seconds=0").status_code == 200
    blocker = threading.Thread(target=server.call, args=("busy", "?seconds=3"))
    blocker.start()
    try:
        answer = eventually(lambda: (got := server.call("busy", "?seconds=0")).status_code != 200 and got)
        problem_of(answer, 429, "no_capacity", "platform")
        assert int(answer.headers["Retry-After"]) >= 1
    finally:
        blocker.join()


def test_error_answers_tell_no_internals(server):
    for answer in (
        server.call("nobody"),
        server.call("mirror", "/a/b/c/d"),
        server.request("GET", "/nothing/here"),
    ):
        assert str(server.data_dir) not in answer.text
        assert ".cc" not in answer.text
