"""SIGTERM: who waits for what need not come does not keep the server, and who waits for a call is told how it ended."""

import json
import os
import signal

import pytest

import raw_http2 as h2
from async_calls import async_path, invocation_path
from handlers import ECHO, SLOW
from polling import eventually
from raw_http2 import Http2Client
from sterna import function_path, invoke_path, problem_of

# Longer than any test waits for a server to end: only who is quick about it passes.
PATIENT = ("--drain-seconds", "600")
LOGS = function_path("echo") + "/logs?follow=true"
SAYS_MUCH = """
def handle(req):
    for number in range(100):
        print("x" * 16000)
    return {}
"""


@pytest.fixture
def patient(start_server):
    server = start_server(*PATIENT)
    server.deploy("echo", ECHO)
    return server


def known(server, **options):
    """A connection that the server has accepted."""
    client = server.open(**options)
    assert client.request("GET", "/healthz").read().status == 200
    return client


def delayed_call(server):
    answer = server.request("POST", async_path("echo"), headers={"X-Delay-Seconds": "300"})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


@pytest.mark.sanitizer
def test_who_follows_a_log_gets_the_end_of_the_answer(patient):
    with known(patient) as client:
        client.request("GET", LOGS)
        assert patient.stop() == 0, patient.log()[-4000:]
        answer = client.read()  # to the last chunk
        assert answer.status == 200 and answer.header("Transfer-Encoding") == "chunked"
        assert client.is_closed()


def test_a_follower_that_does_not_read_does_not_keep_the_server(start_server):
    server = start_server(*PATIENT, "--function-log-bytes", "100000000")
    server.deploy("much", SAYS_MUCH, limits={"timeout_seconds": 60})

    def kept():
        assert server.call("much").status_code == 200
        return len(server.logs("much", tail=800)) == 800  # 13 MB: more than the kernel takes

    eventually(kept, 60)
    with known(server, receive_buffer=4096) as client:
        client.request("GET", function_path("much") + "/logs?follow=true&tail=1000")
        assert client.read_head().status == 200
        assert server.stop() == 0, server.log()[-4000:]


def test_who_waits_for_an_invocation_is_told_its_state(patient):
    call_id = delayed_call(patient)
    with known(patient) as client:
        client.request("GET", invocation_path("echo", call_id) + "?wait=300")
        assert patient.stop() == 0, patient.log()[-4000:]
        answer = client.read()
    assert answer.status == 200 and json.loads(answer.body)["state"] == "queued"


def test_who_prefers_to_wait_is_told_that_it_is_accepted(patient):
    headers = [("Prefer", "respond-async, wait=300"), ("X-Delay-Seconds", "300")]
    with known(patient) as client:
        client.request("POST", invoke_path("echo"), headers, b"x")
        assert patient.stop() == 0, patient.log()[-4000:]
        answer = client.read()
    assert answer.status == 202 and json.loads(answer.body)["id"]


def test_half_a_head_is_closed(patient):
    with known(patient) as client:
        client.send("GET /hea")
        assert patient.stop() == 0, patient.log()[-4000:]
        assert client.read_to_end() == b""


@pytest.mark.parametrize("path", [invoke_path("echo"), function_path("echo") + "/code"])
def test_half_a_body_is_told_that_nothing_ran(patient, path):
    with known(patient) as client:
        client.send(f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        assert patient.stop() == 0, patient.log()[-4000:]
        answer = client.read()
        assert client.is_closed()
    assert answer.status == 503 and json.loads(answer.body)["reason"] == "draining"
    assert answer.header("Retry-After") and answer.header("Connection") == "close"


def test_http2_is_told_the_same(patient):
    call_id = delayed_call(patient)
    no_table = [(1, 0)]  # so that heads can be skipped
    with Http2Client(patient.address, no_table) as client:
        following = client.request("GET", LOGS)
        client.read_until(lambda frame: frame.type == h2.HEADERS and frame.stream == following)
        waiting = client.request("GET", invocation_path("echo", call_id) + "?wait=300")
        sending = client.request("POST", invoke_path("echo"), body=b"abc", end=False)
        client.send(h2.PING, 0, 0, b"12345678")
        client.read_until(lambda frame: frame.type == h2.PING and frame.flags & h2.ACK)
        assert patient.stop() == 0, patient.log()[-4000:]
        assert client.goaway() == h2.NO_ERROR
        assert client.response(waiting)[0] == 200
        assert client.response(sending)[0] == 503
    assert any(frame.type == h2.DATA and frame.stream == following and frame.flags & h2.END_STREAM for frame in client.frames)


def test_half_a_head_of_http2_is_closed(patient):
    with Http2Client(patient.address) as client:
        client.send(h2.HEADERS, 0, 1, client.head("GET", "/healthz"))
        assert patient.stop() == 0, patient.log()[-4000:]
        assert client.goaway() == h2.NO_ERROR
        assert client.is_closed()


def test_a_request_that_has_come_is_answered(patient):
    """Whichever of both is seen first."""
    with known(patient) as client:
        os.kill(patient.pid(), signal.SIGSTOP)
        client.request("GET", "/healthz")
        os.kill(patient.pid(), signal.SIGTERM)
        os.kill(patient.pid(), signal.SIGCONT)
        answer = client.read()
        assert patient.process.wait(30) == 0
    assert answer.status == 200


@pytest.mark.sanitizer
@pytest.mark.parametrize("headers", [[], [("Idempotency-Key", "key")]])
@pytest.mark.parametrize("waiting", [False, True])
def test_a_call_that_the_end_cuts_off_is_told_so(start_server, waiting, headers):
    server = start_server("--drain-seconds", "0.5")
    limits = {"timeout_seconds": 60, "max_replicas": 1, "queue_wait_seconds": 60}
    server.deploy("slow", SLOW, limits=limits)
    server.call("slow", "?seconds=0")
    with known(server) as client, known(server) as other:
        client.request("GET", invoke_path("slow") + "?seconds=50", headers)
        eventually(lambda: "began 50" in [each["text"] for each in server.logs("slow")])
        if waiting:
            other.request("GET", invoke_path("slow") + "?seconds=51")
        assert server.stop() == 0, server.log()[-4000:]
        answers = [client.read()] + ([other.read()] if waiting else [])
    for answer in answers:
        assert answer.status == 503 and json.loads(answer.body)["reason"] == "function_not_running"
        assert answer.header("X-Sterna-Fault") == "platform" and answer.header("X-Call-Id")


# A terminal that is closed.


def test_a_closed_terminal_ends_the_server_like_sigterm(start_server):
    # Whatever these tests were started with.
    server = start_server(prefix=("sh", "-c", 'env --default-signal=HUP "$0" "$@"; exit $?'))
    server.deploy("slow", SLOW)
    server.call("slow", "?seconds=0")
    with known(server) as client:
        client.request("GET", invoke_path("slow") + "?seconds=2")
        eventually(lambda: "began 2" in [each["text"] for each in server.logs("slow")])
        os.kill(server.pid(), signal.SIGHUP)
        eventually(lambda: "draining" in server.log())
        os.kill(server.pid(), signal.SIGHUP)  # the shell's, and the kernel's
        assert client.read().body == b"done"
    assert server.process.wait(30) == 0
    assert "second signal" not in server.log()


def test_who_has_the_terminals_end_ignored_serves_on(start_server):
    server = start_server(prefix=("sh", "-c", 'trap "" HUP; "$0" "$@"; exit $?'))
    os.kill(server.pid(), signal.SIGHUP)
    for _ in range(3):
        assert server.request("GET", "/readyz").status_code == 200
    assert "draining" not in server.log()
