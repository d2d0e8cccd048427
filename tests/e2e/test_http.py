"""HTTP/1.1 on the wire: what a careful peer expects, and what a hostile one tries."""

import contextlib
import json
import random
import resource
import socket

import pytest

from handlers import ECHO, MIRROR
from polling import eventually
from raw_http import Closed
from sterna import function_path, invoke_path

TARGET = invoke_path("mirror")
BYTES = invoke_path("bytes")


@pytest.fixture(scope="module", autouse=True)
def functions(server):
    server.deploy("mirror", MIRROR)
    server.deploy("bytes", ECHO)


@pytest.fixture
def client(server):
    with server.open() as opened:
        yield opened


def post(body, target=BYTES, extra=""):
    return f"POST {target} HTTP/1.1\r\nHost: localhost\r\n{extra}Content-Length: {len(body)}\r\n\r\n{body}"


# Connections


@pytest.mark.sanitizer
def test_one_connection_serves_many_requests(client):
    for number in range(50):
        assert client.send(post(str(number))).read().body == str(number).encode()


def test_connection_close_is_honoured(client):
    answer = client.request("GET", TARGET, [("Connection", "close")]).read()
    assert answer.status == 200
    assert (answer.header("Connection") or "").lower() == "close"
    assert client.is_closed()


@pytest.mark.sanitizer
def test_pipelined_answers_come_in_order(client):
    count = 2000
    client.send("".join(post(f"number {n}") for n in range(count)))
    assert [client.read().body for _ in range(count)] == [f"number {n}".encode() for n in range(count)]


def test_pipelining_mixes_errors_and_answers(client):
    client.send(post("one") + f"GET {invoke_path('nobody')} HTTP/1.1\r\nHost: localhost\r\n\r\n" + post("two"))
    answers = [client.read() for _ in range(3)]
    assert [each.status for each in answers] == [200, 404, 200]
    assert answers[0].body == b"one" and answers[2].body == b"two"


def test_pipelined_requests_after_one_that_closes_are_not_run(client):
    client.send(post("last", extra="Connection: close\r\n") + post("never"))
    assert client.read().body == b"last"
    assert client.is_closed()


@pytest.mark.sanitizer
def test_a_request_may_come_byte_by_byte(client):
    for byte in post("slowly").encode():
        client.send(bytes([byte]))
    assert client.read().body == b"slowly"


def test_empty_lines_before_a_request_are_passed_over(client):
    assert client.send("\r\n\r\n" + post("x")).read().body == b"x"


def test_half_closed_clients_get_their_answer(client):
    client.send(post("half"))
    client.socket.shutdown(socket.SHUT_WR)
    assert client.read().body == b"half"
    assert client.is_closed()


def test_http_1_0_is_answered_and_closed(client):
    client.send(f"GET {TARGET} HTTP/1.0\r\n\r\n")
    answer = client.read()
    assert answer.status == 200
    assert answer.header("Transfer-Encoding") is None
    assert client.is_closed()


def test_http_1_0_may_ask_to_keep_the_connection_or_find_it_closed(client):
    client.send(f"GET {TARGET} HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n")
    answer = client.read()
    assert answer.status == 200
    if (answer.header("Connection") or "").lower() == "keep-alive":
        assert client.send(f"GET {TARGET} HTTP/1.0\r\n\r\n").read().status == 200
    else:
        assert client.is_closed()


def test_thousands_of_idle_connections_do_no_harm(server):
    count = 2000
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    before = server.memory_kib()
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(server.open()) for _ in range(count)]
        for each in clients[::100]:
            assert each.send(post("x")).read().body == b"x"
        for each in clients[:50]:
            each.send("GET /hea")  # some stand in the middle of a request
        assert server.call("bytes", method="POST", content=b"fine").content == b"fine"
        assert server.memory_kib() - before < count * 16
    eventually(lambda: server.call("bytes", method="POST", content=b"x").content == b"x")


# Bodies


@pytest.mark.sanitizer
def test_expect_100_continue(client):
    client.send(f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    assert client.read().status == 100
    answer = client.send("body").read()
    assert answer.status == 200 and answer.body == b"body"
    assert client.send(post("next")).read().body == b"next"


def test_expect_100_continue_of_a_body_that_is_too_big_is_refused_at_once(client):
    client.send(
        f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
    )
    assert client.read().status == 413


def test_expect_100_continue_of_an_unknown_function_is_refused_at_once(client):
    client.send(
        f"POST {invoke_path('nobody')} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    )
    assert client.read().status == 404


def test_an_unknown_expectation_is_417(client):
    client.send(f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nExpect: coffee\r\nContent-Length: 4\r\n\r\nbody")
    assert client.read().status == 417


@pytest.mark.sanitizer
def test_chunked_with_extensions_and_trailers(client):
    client.send(
        f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        '5;name=value\r\nhello\r\n006;q="x"\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n' + post("next")
    )
    assert client.read().body == b"hello world"
    assert client.read().body == b"next"


def test_transfer_encoding_is_matched_without_case(client):
    client.send(
        f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\ntransfer-ENCODING: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n"
    )
    assert client.read().body == b"0123456789"


def test_an_unread_body_does_not_become_the_next_request(client):
    inner = f"GET {invoke_path('smuggled')} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    client.send(post(inner, target=invoke_path("nobody")) + post("after"))
    assert client.read().status == 404
    try:
        assert client.read().body == b"after"
    except Closed as closed:
        assert closed.received == b""


# Strict parsing: each of these could make two parsers disagree about where a request ends.

REFUSED = {
    "conflicting lengths": post("abcd", extra="Content-Length: 5\r\n"),
    "length list that differs": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4, 5\r\n\r\nabcde",
    "length with a sign": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nContent-Length: +4\r\n\r\nabcd",
    "negative length": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nContent-Length: -4\r\n\r\nabcd",
    "length with letters": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4a\r\n\r\nabcd",
    "hexadecimal length": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0x4\r\n\r\nabcd",
    "empty length": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nContent-Length: \r\n\r\n",
    "length over 64 bits": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "length and encoding": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "encoding and length": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "chunked not last": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked twice": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "encoding with a tab": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "encoding in 1.0": f"POST {BYTES} HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF after the request line": f"GET {TARGET} HTTP/1.1\nHost: localhost\r\n\r\n",
    "bare LF after a header": f"GET {TARGET} HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "bare LF at the end": f"GET {TARGET} HTTP/1.1\r\nHost: localhost\r\n\n",
    "bare CR in a value": f"GET {TARGET} HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n",
    "folded header": f"GET {TARGET} HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
    "folded with a tab": f"GET {TARGET} HTTP/1.1\r\nHost: localhost\r\nX: a\r\n\tb\r\n\r\n",
    "space before the first header": f"GET {TARGET} HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "space before the colon": f"GET {TARGET} HTTP/1.1\r\nHost: localhost\r\nX : b\r\n\r\n",
    "header without a colon": f"GET {TARGET} HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n",
    "header without a name": f"GET {TARGET} HTTP/1.1\r\nHost: localhost\r\n: b\r\n\r\n",
    "name that is no token": f"GET {TARGET} HTTP/1.1\r\nHost: localhost\r\nX(y): b\r\n\r\n",
    "NUL in a value": f"GET {TARGET} HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
    "NUL in a name": f"GET {TARGET} HTTP/1.1\r\nHost: localhost\r\nX\x00: b\r\n\r\n",
    "no Host": f"GET {TARGET} HTTP/1.1\r\n\r\n",
    "two Hosts": f"GET {TARGET} HTTP/1.1\r\nHost: localhost\r\nHost: b\r\n\r\n",
    "Host that is no host": f"GET {TARGET} HTTP/1.1\r\nHost: a b\r\n\r\n",
    "space in the target": f"GET {TARGET}/a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "control character in the target": f"GET {TARGET}/\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "target without a slash": "GET spaces HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two spaces after the method": f"GET  {TARGET} HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no version": f"GET {TARGET}\r\nHost: localhost\r\n\r\n",
    "broken version": f"GET {TARGET} HTTP/1.x\r\nHost: localhost\r\n\r\n",
    "lower-case version": f"GET {TARGET} http/1.1\r\nHost: localhost\r\n\r\n",
    "method that is no token": f"G(T {TARGET} HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "chunk size that is no number": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n",
    "negative chunk size": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
    "chunk size with 0x": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n",
    "chunk size over 64 bits": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n",
    "empty chunk size": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\r\nab\r\n0\r\n\r\n",
    "no CRLF after a chunk": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabX0\r\n\r\n",
    "bare LF after a chunk size": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n",
    "bare LF after a chunk": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\n0\r\n\r\n",
    "endless chunk extension": f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2;"
    + "x" * 100_000,
}


@pytest.mark.sanitizer
@pytest.mark.parametrize("case", REFUSED)
def test_ambiguous_requests_are_refused_and_end_the_connection(server, client, case):
    smuggled = f"GET {invoke_path('mirror')}/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with contextlib.suppress(ConnectionError):
        client.send(REFUSED[case] + smuggled)
    answer = client.read()
    assert 400 <= answer.status < 500 or answer.status in (501, 505), answer
    if case not in (
        "broken version",
        "lower-case version",
        "chunked not last",
        "chunked twice",
        "encoding with a tab",
    ):
        assert answer.status in (400, 413), answer  # 413: a length that is a number, only far too big
    assert b"smuggled" not in client.read_to_end(), "what follows must not be taken for a request"


def test_unknown_transfer_encodings_are_501_or_400(client):
    client.send(f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")
    assert client.read().status in (400, 501)


def test_a_version_of_the_future_is_refused(client):
    client.send(f"GET {TARGET} HTTP/3.0\r\nHost: localhost\r\n\r\n")
    assert client.read().status in (400, 505)


def test_equal_lengths_twice_are_one_length_or_refused(client):
    client.send(post("abcd", extra="Content-Length: 4\r\n"))
    answer = client.read()
    assert answer.status == 400 or answer.body == b"abcd"


# Limits


def test_headers_that_are_too_large_are_431(client):
    with contextlib.suppress(ConnectionError):
        client.request("GET", TARGET, [(f"X-{n}", "v" * 1000) for n in range(70)])
    assert client.read().status == 431


def test_too_many_headers_are_431_or_served(client):
    with contextlib.suppress(ConnectionError):
        client.request("GET", TARGET, [("a", "")] * 4000)
    assert client.read().status in (200, 431)


def test_a_target_that_is_too_long_is_414(client):
    with contextlib.suppress(ConnectionError):
        client.send(f"GET {TARGET}?{'q' * 70_000} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.read().status == 414


def test_a_head_that_never_ends_is_refused(client):
    with contextlib.suppress(ConnectionError):
        for _ in range(100):
            client.send("G" * 10_000)
    assert client.read().status in (400, 414, 431)


def test_slow_clients_are_cut_off(start_server):
    server = start_server(
        "--header-timeout-seconds", "0.5", "--body-timeout-seconds", "0.5", "--keepalive-seconds", "0.5"
    )
    server.deploy("bytes", ECHO)
    with server.open() as client:
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n")
        assert b" 408 " in client.read_to_end().split(b"\r\n")[0]
    with server.open() as client:
        client.send(f"POST {BYTES} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf")
        assert b" 408 " in client.read_to_end().split(b"\r\n")[0]
    with server.open() as client:
        assert client.send(post("x")).read().body == b"x"
        assert client.is_closed()
    with server.open() as client:
        assert client.is_closed()  # never said a word


def test_a_head_that_trickles_does_not_stretch_its_time(start_server):
    server = start_server("--header-timeout-seconds", "0.5")
    with server.open(timeout=0.1) as client:

        def cut_off():
            try:
                client.send("X-Trickle: 1\r\n")
                client.read_some()
            except TimeoutError:
                return False
            except (Closed, ConnectionError):
                return True
            return b" 408 " in client.buffer

        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n")
        eventually(cut_off, within=5)


# Targets and methods


def test_an_absolute_target_is_served(client):
    client.send(f"GET http://example.localhost{TARGET}/a?b=c HTTP/1.1\r\nHost: other.test\r\n\r\n")
    answer = client.read()
    assert answer.status == 200
    seen = json.loads(answer.body)
    assert seen["path"] == "/a" and seen["query"] == [["b", ["c"]]]


def test_options_asterisk(client):
    client.send("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.read().status in (200, 204, 404, 405)
    assert client.send(post("next")).read().body == b"next"


def test_connect_is_no_proxy(client):
    client.send("CONNECT example.test:443 HTTP/1.1\r\nHost: example.test:443\r\n\r\n")
    assert client.read().status in (400, 404, 405, 501)


def test_head_has_the_headers_and_no_body(client):
    for path in ("/healthz", "/readyz", "/metrics", "/spaces", function_path("mirror"), function_path("mirror") + "/logs"):
        answer = client.request("HEAD", path).read("HEAD")
        assert answer.status == 200 and answer.header("Content-Type") and answer.header("Content-Length"), path
    assert client.send(post("next")).read().body == b"next"


@pytest.mark.parametrize("path", ["/logs?follow=true", "/logs?follow=true&invocations=true", "/builds/1/logs?follow=true"])
def test_head_of_what_is_followed_does_not_wait(client, path):
    answer = client.request("HEAD", function_path("mirror") + path).read("HEAD")
    assert answer.status in (200, 404) and (answer.status == 200 or path.startswith("/builds"))
    assert answer.header("Content-Length") is None or answer.status == 404
    assert client.send(post("next")).read().body == b"next"


def test_a_head_request_for_an_invocation_is_405_with_allow(client):
    answer = client.request("HEAD", TARGET).read("HEAD")
    assert answer.status == 405 and "POST" in answer.header("Allow")


@pytest.mark.sanitizer
def test_random_bytes_do_no_harm(server):
    random.seed(7)
    for _ in range(200):
        with server.open(timeout=5) as client, contextlib.suppress(ConnectionError):
            client.send(random.randbytes(random.randrange(1, 400)) + b"\r\n\r\n")
            client.socket.shutdown(socket.SHUT_WR)
            client.read_to_end()
    assert server.call("bytes", method="POST", content=b"alive").content == b"alive"
