"""The callback to the letter: method, body, every header, and the signature."""

import json
import time

import pytest

from async_calls import RFC3339, call, signature, signatures_of
from handlers import SCRIPTED
from polling import eventually
from receiver import Answer
from sterna import function_path

PLATFORM = {
    "x-function-status", "x-function-name", "x-function-space", "x-call-id", "x-duration-seconds", "x-start-time",
    "x-attempt", "webhook-id", "webhook-timestamp", "webhook-signature",
}  # fmt: skip
# What every HTTP client sends.
TRANSPORT = {"host", "content-length", "transfer-encoding", "user-agent", "accept", "accept-encoding", "connection"}


@pytest.fixture(scope="module")
def scripted(async_server):
    async_server.deploy("scripted", SCRIPTED, limits={"memory_mb": 256}, **{"async": {"max_attempts": 1}})
    return async_server


@pytest.fixture
def answer(scripted, receiver):
    """The callback of a call whose function answers this expression."""

    def answered(expression, **headers):
        made = call(scripted, "scripted", "/a/b", receiver.url("/callback?a=1&b"), headers=headers,
                    content=expression.encode())  # fmt: skip
        return receiver.one(call_id=made.id)

    return answered


@pytest.mark.sanitizer
def test_every_header_of_a_callback(answer, scripted):
    before = time.time()
    came = answer(
        "{'status_code': 201, 'headers': [('Content-Type', 'text/x-mine; charset=utf-8'), ('X-A', '1'), ('X-a', '2'),"
        " ('Set-Cookie', 'a=1'), ('Set-Cookie', 'b=2'), ('X-Empty', ''), ('Authorization', 'Bearer mine'),"
        " ('ETag', '\"x\"'), ('Location', '/elsewhere'), ('Retry-After', '7'), ('X-Utf8', 'caf\\u00e9')],"
        " 'body': 'output'}"
    )
    assert (came.method, came.target, came.body) == ("POST", "/callback?a=1&b", b"output")
    own = [
        (name.lower(), value) for name, value in came.headers if name.lower() not in PLATFORM | TRANSPORT
    ]
    assert own[:-1] == [
        ("content-type", "text/x-mine; charset=utf-8"), ("x-a", "1"), ("x-a", "2"), ("set-cookie", "a=1"),
        ("set-cookie", "b=2"), ("x-empty", ""), ("authorization", "Bearer mine"), ("etag", '"x"'),
        ("location", "/elsewhere"), ("retry-after", "7"),
    ]  # fmt: skip
    assert own[-1][0] == "x-utf8"
    assert came.header("X-Function-Status") == "201"
    assert came.header("X-Function-Name") == "scripted" and came.header("X-Function-Space") == "default"
    assert came.header("X-Attempt") == "1"
    assert 0 <= float(came.header("X-Duration-Seconds")) < 20
    assert RFC3339.fullmatch(came.header("X-Start-Time"))
    assert came.header("Content-Length") == "6"
    assert came.header("Host") == f"127.0.0.1:{came.header('Host').rpartition(':')[2]}"
    assert before - 2 <= int(came.header("webhook-timestamp")) <= time.time() + 2
    assert scripted.request("GET", function_path("scripted")).status_code == 200


def test_the_platforms_headers_cannot_be_set_by_the_function(answer):
    came = answer(
        "{'headers': {'X-Function-Status': '999', 'X-Function-Name': 'other', 'X-Function-Space': 'other',"
        " 'X-Call-Id': 'other', 'X-Attempt': '99', 'X-Start-Time': 'other', 'X-Duration-Seconds': '-1',"
        " 'Webhook-Id': 'other', 'Webhook-Timestamp': '1', 'Webhook-Signature': 'v1,other',"
        " 'Content-Length': '999', 'Host': 'other.example', 'Connection': 'close, X-Hop', 'X-Hop': '1',"
        " 'Transfer-Encoding': 'gzip', 'Keep-Alive': 'x', 'Upgrade': 'h2c', 'Expect': '100-continue', 'X-End': '1'},"
        " 'body': 'four'}"
    )
    assert came.body == b"four" and came.header("X-End") == "1"
    for name in PLATFORM:
        assert "other" not in came.header(name)
    assert came.header("X-Function-Status") == "200" and came.header("X-Attempt") == "1"
    assert came.header("Host").startswith("127.0.0.1:") and came.header("Content-Length") == "4"
    assert not came.names() & {"x-hop", "keep-alive", "upgrade", "transfer-encoding"}


@pytest.mark.parametrize("status", [200, 201, 204, 301, 304, 400, 404, 418, 500, 501, 599])
def test_a_returned_status_is_final_and_told(answer, scripted, status):
    came = answer(f"{{'status_code': {status}, 'body': 'x'}}")
    assert came.header("X-Function-Status") == str(status)
    found = call(scripted, "scripted", content=f"{{'status_code': {status}}}".encode()).ended()
    assert (found["state"], found["status_code"]) == ("succeeded", status)


@pytest.mark.parametrize(
    "expression, body",
    [
        ("{}", b""),
        ("{'status_code': 204}", b""),
        ("{'body': 'é'}", "é".encode()),
        ("{'body': b'\\x00\\xff\\r\\n\\r\\n0\\r\\n'}", b"\x00\xff\r\n\r\n0\r\n"),
        ("{'body': bytes(range(256)) * 20000}", bytes(range(256)) * 20_000),
        ("{'body': (b'part %d ' % n for n in range(5))}", b"".join(b"part %d " % n for n in range(5))),
        ("{'body': (b'x' * 100000 for n in range(60))}", b"x" * 6_000_000),
    ],
)
def test_outputs_of_every_kind(answer, expression, body):
    assert answer(expression).body == body


def test_json_outputs_keep_their_type(answer):
    came = answer("{'body': {'a': [1, None, 'é']}}")
    assert json.loads(came.body) == {"a": [1, None, "é"]}
    assert came.header("Content-Type").startswith("application/json")


@pytest.mark.parametrize(
    "expression, status, reason",
    [
        ("1 / 0", 500, "function_raised"),
        ("42", 502, "bad_function_response"),
        ("{'headers': {'X-A': 'a\\r\\nX-B: b'}}", 502, "bad_function_response"),
        ("os._exit(1)", 502, "worker_died"),
    ],
)
def test_a_failed_run_is_told_by_a_problem_document(answer, expression, status, reason):
    came = answer(expression)
    assert came.header("X-Function-Status") == str(status)
    assert came.header("Content-Type").startswith("application/problem+json")
    problem = json.loads(came.body)
    assert problem["reason"] == reason and problem["call_id"] == came.header("X-Call-Id")
    assert "ZeroDivision" not in came.body.decode() and "x-b" not in came.names()
    assert came.names() >= PLATFORM


def test_a_stream_that_breaks_is_a_failed_attempt(answer):
    came = answer("{'body': (1 / (3 - n) and b'part' for n in range(5))}")
    assert came.header("X-Function-Status") in ("500", "502")
    assert json.loads(came.body)["reason"] in ("function_raised", "worker_died", "bad_function_response")


# Signatures


def secrets_of(server, space):
    answer = server.request("GET", f"/spaces/{space}/signing-secret")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.sanitizer
def test_signatures_and_their_rotation(scripted, receiver):
    scripted.request("POST", "/spaces", json={"name": "signing"})
    scripted.deploy("signed", SCRIPTED, space="signing")

    def callback():
        made = call(scripted, "signed", callback=receiver.url("/signed"), space="signing",
                    content=b"{'body': b'\\x00binary\\xff'}")  # fmt: skip
        came = receiver.one(call_id=made.id)
        assert came.header("webhook-id") == made.id
        return came

    first = secrets_of(scripted, "signing")
    assert first["current"].startswith("whsec_") and first["previous"] is None
    came = callback()
    assert signatures_of(came) == [signature(first["current"], came)]

    answer = scripted.request("POST", "/spaces/signing/signing-secret/rotate")
    assert answer.status_code == 200
    second = secrets_of(scripted, "signing")
    assert second["current"] != first["current"]
    previous = second["previous"]
    assert first["current"] in (previous if isinstance(previous, str) else json.dumps(previous))
    came = callback()
    assert set(signatures_of(came)) == {
        signature(second["current"], came),
        signature(first["current"], came),
    }

    scripted.request("POST", "/spaces/signing/signing-secret/rotate")
    came = callback()
    third = secrets_of(scripted, "signing")["current"]
    assert signatures_of(came)[0] == signature(third, came)
    assert signature(first["current"], came) not in signatures_of(came)


def test_every_space_has_a_secret_of_its_own(scripted):
    scripted.request("POST", "/spaces", json={"name": "another"})
    assert secrets_of(scripted, "another")["current"] != secrets_of(scripted, "default")["current"]
    assert scripted.request("GET", "/spaces/nowhere/signing-secret").status_code == 404
    assert scripted.request("POST", "/spaces/nowhere/signing-secret/rotate").status_code == 404


def test_a_space_that_is_made_again_sends_no_callbacks_of_the_one_before(start_server, receiver):
    running = start_server("--callback-allow", "127.0.0.0/8")
    running.request("POST", "/spaces", json={"name": "twice"})
    running.deploy("scripted", SCRIPTED, space="twice")
    url = receiver.script("/twice", Answer(503, (("Retry-After", "1"),)), Answer(200))
    call(running, "scripted", callback=url, space="twice", content=b"{'body': 'of the first space'}")
    receiver.wait("/twice", 1)
    assert running.request("DELETE", "/spaces/twice", params={"force": "true"}).is_success
    assert running.request("POST", "/spaces", json={"name": "twice"}).is_success
    eventually(lambda: "\nsterna_callbacks_pending 0\n" in running.request("GET", "/metrics").text)
    assert len(receiver.received("/twice")) == 1


def test_a_repeated_delivery_has_the_same_id_and_body(scripted, receiver):
    url = receiver.script("/again", Answer(503, (("Retry-After", "0"),)), Answer(200))
    made = call(scripted, "scripted", callback=url, content=b"{'body': 'same'}")
    first, second = receiver.wait("/again", 2)
    secret = secrets_of(scripted, "default")["current"]
    for came in (first, second):
        assert (came.body, came.header("webhook-id")) == (b"same", made.id)
        assert signature(secret, came) in signatures_of(came)
    changing = {"webhook-timestamp", "webhook-signature"}
    assert [pair for pair in first.headers if pair[0].lower() not in changing] == [
        pair for pair in second.headers if pair[0].lower() not in changing
    ]
