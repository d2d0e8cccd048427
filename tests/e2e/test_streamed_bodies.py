"""Request bodies that stream to the function (`request_buffering` false), and what becomes of those that break off."""

import json
import os
import re
import signal
import time

import pytest

import raw_http2 as h2
from async_calls import async_path
from polling import eventually
from raw_http import Closed
from raw_http2 import Http2Client
from sterna import function_path, invoke_path, problem_of

NODE = """
const http = require("http");
const kinds = {
  echo(request, response) {
    response.flushHeaders();
    request.on("data", (chunk) => response.write(chunk));
    request.on("end", () => response.end());
  },
  headers(request, response) {
    request.resume();
    request.on("end", () => response.end(JSON.stringify(request.headers)));
  },
  refuse(request, response) {
    response.statusCode = 401;
    response.end("who are you?");
  },
  count(request, response) {
    let bytes = 0;
    request.on("data", (chunk) => { bytes += chunk.length; });
    request.on("end", () => response.end(String(bytes)));
  },
  // Takes a part, at most 64 KiB, every 5 ms.
  slow(request, response) {
    request.on("data", (chunk) => {
      response.write(chunk);
      request.pause();
      setTimeout(() => request.resume(), 5);
    });
    request.on("end", () => response.end());
  },
};
http.createServer((request, response) => {
  console.log("begins", request.url);
  request.once("data", (chunk) => console.log("first", chunk.toString().slice(0, 20)));
  request.on("error", () => {});
  request.on("close", () => console.log(request.complete ? "whole" : "cut"));
  kinds[request.url.slice(1)](request, response);
}).listen(process.env.PORT);
"""
CAT = "#!/bin/sh\necho begins >&2\nexec cat\n"
CHUNKED = [("Transfer-Encoding", "chunked")]
MAX_BODY = 4096


def deploy_node(server, name, **fields):
    fields["limits"] = {"memory_mb": 512, "network": "none", **fields.get("limits", {})}
    fields = {"request_buffering": False, **fields}
    server.deploy(name, {"server.js": NODE}, template="http", command=["node", "server.js"], **fields)


@pytest.fixture(scope="module", autouse=True)
def functions(server):
    deploy_node(server, "node")
    deploy_node(server, "small", limits={"max_body_bytes": MAX_BODY})
    server.deploy("cat", CAT, template="command", request_buffering=False, limits={"network": "none"})


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


END = b"0\r\n\r\n"


def begin(server, name, path="", headers=CHUNKED, **options):
    client = server.open(**options)
    client.request("POST", invoke_path(name, path), headers)
    return client


def texts(server, name, **params):
    return [record["text"] for record in server.logs(name, **params)]


def wait_for_log(server, name, text, times=1):
    eventually(lambda: sum(text in line for line in texts(server, name)) >= times)


def cancelled(server, name):
    found = re.search(
        rf'sterna_invocations_total{{function="{name}",outcome="cancelled",space="default"}} (\d+)',
        server.client.get("/metrics").text,
    )
    return int(found[1]) if found else 0


@pytest.mark.sanitizer
@pytest.mark.parametrize(("name", "path"), [("node", "/echo"), ("cat", "")])
def test_each_part_is_answered_before_the_next_is_sent(server, name, path):
    with begin(server, name, path) as client:
        client.send(chunk(b"first"))
        assert client.read_head().status == 200
        assert client.read_chunk() == b"first"
        for number in range(20):
            part = b"%d;" % number
            client.send(chunk(part))
            assert client.read_chunk() == part
        client.send(END)
        assert client.read_chunk() == b""
        client.request("POST", invoke_path(name, path), body=b"as a whole")
        assert client.read().body == b"as a whole"


@pytest.mark.sanitizer
@pytest.mark.parametrize(("name", "path"), [("node", "/echo"), ("cat", "")])
def test_each_part_is_answered_before_the_next_is_sent_with_http_2(server, name, path):
    with Http2Client(server.address) as client:
        stream = client.request("POST", invoke_path(name, path), end=False)
        for number in range(20):
            part = b"%d;" % number
            client.send(h2.DATA, 0, stream, part)
            answer = client.read_until(lambda frame: frame.type == h2.DATA and frame.stream == stream)
            assert answer.payload == part
        client.send(h2.DATA, h2.END_STREAM, stream)
        client.read_until(lambda frame: frame.stream == stream and frame.flags & h2.END_STREAM)


def test_the_function_is_told_the_length_that_the_client_has_told(server):
    with begin(server, "node", "/headers", [("Content-Length", "10")]) as client:
        client.send("12345")
        wait_for_log(server, "node", "first 12345")
        client.send("67890")
        told = json.loads(client.read().body)
    assert told["content-length"] == "10" and "transfer-encoding" not in told
    with begin(server, "node", "/headers") as client:
        client.send(END)
        told = json.loads(client.read().body)
    assert "content-length" not in told or told["content-length"] == "0"


def test_the_client_is_asked_for_the_body(server):
    with begin(server, "node", "/count", [("Expect", "100-continue"), ("Content-Length", "5")]) as client:
        assert client.read().status == 100
        client.send("12345")
        assert client.read().body == b"5"


def test_an_early_answer_comes_before_the_body_and_the_connection_goes_on(server):
    with begin(server, "node", "/refuse") as client:
        client.send(chunk(b"some"))
        answer = client.read()
        assert (answer.status, answer.body) == (401, b"who are you?")
        client.send(chunk(b"more") + END)
        client.request("POST", invoke_path("node", "/count"), body=b"123")
        assert client.read().body == b"3"


def test_an_early_answer_with_http_2(server):
    with Http2Client(server.address) as client:
        stream = client.request("POST", invoke_path("node", "/refuse"), body=b"some", end=False)
        assert client.response(stream)[::2] == (401, b"who are you?")
        client.send(h2.DATA, h2.END_STREAM, stream, b"rest")
        stream = client.request("POST", invoke_path("node", "/count"), body=b"123")
        assert client.response(stream)[::2] == (200, b"3")


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [(b"zz\r\n", 400, "bad_request"), (chunk(b"x" * (MAX_BODY + 1)), 413, "body_too_large")],
)
def test_a_body_that_goes_wrong_ends_its_run(server, sent, status, reason):
    before, cuts = cancelled(server, "small"), texts(server, "small").count("cut")
    with begin(server, "small", "/count") as client:
        client.send(chunk(b"good"))
        eventually(lambda: texts(server, "small")[-1:] == ["first good"])
        client.send(sent)
        answer = client.read()
        assert answer.status == status
        problem = json.loads(answer.body)
        assert problem["reason"] == reason
        assert client.is_closed()
    wait_for_log(server, "small", "cut", cuts + 1)
    eventually(lambda: cancelled(server, "small") == before + 1)
    assert any("the call was cancelled" in text for text in texts(server, "small", call_id=problem["call_id"]))


def test_a_body_that_goes_wrong_cuts_an_answer_that_has_begun(server):
    before = cancelled(server, "small")
    with begin(server, "small", "/echo") as client:
        client.send(chunk(b"good"))
        assert client.read_head().status == 200
        assert client.read_chunk() == b"good"
        client.send(b"zz\r\n")
        with pytest.raises(Closed):
            client.read_chunk()
    eventually(lambda: cancelled(server, "small") == before + 1)


def test_too_much_with_http_2(server):
    before = cancelled(server, "small")
    with Http2Client(server.address) as client:
        stream = client.request("POST", invoke_path("small", "/count"), body=b"x" * MAX_BODY, end=False)
        client.send(h2.DATA, 0, stream, b"x")
        assert client.response(stream)[0] == 413
        stream = client.request("POST", invoke_path("small", "/echo"), body=b"x", end=False)
        client.read_until(lambda frame: frame.type == h2.DATA and frame.stream == stream)
        client.send(h2.DATA, 0, stream, b"x" * MAX_BODY)
        client.read_until(lambda frame: frame.type == h2.RST_STREAM and frame.stream == stream)
    eventually(lambda: cancelled(server, "small") == before + 2)


@pytest.mark.parametrize("name", ["small", "cat"])
def test_a_client_that_goes_in_the_midst_ends_its_run(server, name):
    before, runs = cancelled(server, name), len(texts(server, name))
    with begin(server, name, "/count" if name == "small" else "") as client:
        client.send(chunk(b"good"))
        eventually(lambda: len(texts(server, name)) > runs)
    eventually(lambda: cancelled(server, name) == before + 1)
    eventually(lambda: "caller went away" in "".join(texts(server, name)))


def test_a_stream_that_is_reset_in_the_midst_ends_its_run(server):
    before, cuts = cancelled(server, "small"), texts(server, "small").count("cut")
    with Http2Client(server.address) as client:
        stream = client.request("POST", invoke_path("small", "/echo"), body=b"x", end=False)
        client.read_until(lambda frame: frame.type == h2.DATA and frame.stream == stream)
        client.send(h2.RST_STREAM, 0, stream, h2.CANCEL.to_bytes(4, "big"))
        eventually(lambda: cancelled(server, "small") == before + 1)
    wait_for_log(server, "small", "cut", cuts + 1)


def test_a_client_that_is_too_slow(start_server):
    server = start_server("--body-timeout-seconds", "0.5")
    deploy_node(server, "node")
    with begin(server, "node", "/count") as client:
        client.send(chunk(b"good"))
        answer = client.read()
    assert answer.status == 408 and json.loads(answer.body)["reason"] == "request_timeout"
    wait_for_log(server, "node", "cut")
    assert cancelled(server, "node") == 1


def test_the_time_of_a_run_begins_when_the_body_is_whole(server):
    deploy_node(server, "hurried", limits={"timeout_seconds": 0.5})
    with begin(server, "hurried", "/count") as client:
        began = time.monotonic()
        sent = 0
        while time.monotonic() - began < 1.2:
            client.send(chunk(b"x"))
            sent += 1
            eventually(lambda: "first x" in texts(server, "hurried"))
        client.send(END)
        assert client.read().body == b"%d" % sent
    with begin(server, "hurried", "/echo") as client:  # the answer begins, and does not end
        client.send(chunk(b"x"))
        assert client.read_head().status == 200
        assert client.read_chunk() == b"x"
        with pytest.raises(Closed):
            client.read_chunk()


def test_large_bodies_in_both_directions_do_not_grow_the_server(server):
    size, clients = 6 << 20, 4
    block = bytes(range(256)) * 256
    assert server.call("node", "/count", method="POST", content=block).status_code == 200
    before = server.memory_kib()
    open_clients = [begin(server, "node", "/slow", [("Content-Length", str(size))]) for _ in range(clients)]
    try:
        for client in open_clients:  # the server takes all of it, whatever the function does
            client.send(block * (size // len(block)))
        grown = server.memory_kib() - before
        for client in open_clients:
            assert client.read().body == block * (size // len(block))
        grown = max(grown, server.memory_kib() - before)
    finally:
        for client in open_clients:
            client.close()
    assert grown < 12 * 1024


def test_a_body_in_many_parts_arrives_in_order(server):
    parts = [b"%d," % number for number in range(3000)]
    for name, path in [("node", "/echo"), ("cat", "")]:
        with begin(server, name, path) as client:
            client.send(b"".join(chunk(part) for part in parts) + END)
            assert client.read().body == b"".join(parts)


def test_one_that_waits_in_line_gets_all_that_came_meanwhile(server):
    server.deploy(
        "single", CAT, template="command", request_buffering=False,
        limits={"network": "none", "max_replicas": 1},
    )  # fmt: skip
    with begin(server, "single") as first, begin(server, "single") as second:
        first.send(chunk(b"one"))
        assert first.read_head().status == 200
        second.send(chunk(b"x" * 100_000) + chunk(b"y"))
        assert first.send(END).read_chunk() == b"one" and first.read_chunk() == b""
        second.send(END)
        assert second.read().body == b"x" * 100_000 + b"y"


def test_requests_that_are_kept_wait_for_the_whole_body(server):
    deploy_node(server, "kept")
    for header in [("Idempotency-Key", '"k"'), ("Prefer", "respond-async, wait=10")]:
        with begin(server, "kept", "/count", [*CHUNKED, header]) as client:
            client.send(chunk(b"1234"))
            runs = texts(server, "kept").count("begins /count")
            assert server.call("kept", "/headers").status_code == 200
            assert texts(server, "kept").count("begins /count") == runs
            client.send(END)
            assert client.read().body == b"4"
    accepted = server.request("POST", async_path("kept", "/count"), content=b"x" * 300_000)
    assert accepted.status_code == 202
    path = f"{function_path('kept')}/invocations/{accepted.json()['id']}"
    ended = server.request("GET", path, params={"wait": 20}).json()
    assert ended["state"] == "succeeded", ended
    assert server.request("GET", path + "/response").text == "300000"


def test_by_default_a_function_is_called_when_the_body_is_whole(server):
    deploy_node(server, "buffered", request_buffering=True)
    assert server.call("buffered", "/headers").status_code == 200
    with begin(server, "buffered", "/count") as client:
        client.send(chunk(b"12"))
        assert server.call("buffered", "/headers").status_code == 200
        wait_for_log(server, "buffered", "begins /headers", 2)
        assert "begins /count" not in texts(server, "buffered")
        client.send(END)
        assert client.read().body == b"2"
    with begin(server, "buffered", "/headers") as client:
        client.send(chunk(b"12") + END)
        assert json.loads(client.read().body)["content-length"] == "2"


def test_a_call_under_way_survives_a_new_version(server):
    deploy_node(server, "changing")
    with begin(server, "changing", "/echo") as client:
        client.send(chunk(b"old"))
        head = client.read_head()
        assert client.read_chunk() == b"old"
        deploy_node(server, "changing", description="new", request_buffering=True)
        assert head.header("X-Function-Version") == "1"
        eventually(lambda: server.call("changing", "/headers").headers["x-function-version"] == "2")
        client.send(chunk(b"still") + END)
        assert client.read_chunk() == b"still"
        assert client.read_chunk() == b""


def test_a_server_that_ends_lets_a_call_under_way_end(start_server):
    server = start_server("--drain-seconds", "600")
    deploy_node(server, "node")
    with begin(server, "node", "/count") as client:
        client.send(chunk(b"1234"))
        wait_for_log(server, "node", "first 1234")
        os.kill(server.pid(), signal.SIGTERM)
        began = time.monotonic()
        eventually(lambda: time.monotonic() - began > 2, 5)  # longer than others are given
        client.send(chunk(b"5") + END)
        assert client.read().body == b"5"
        assert client.is_closed()
    assert server.process.wait(40) == 0, server.log()[-4000:]


def test_only_templates_that_read_their_bodies(server):
    body = {"name": "wrong", "template": "python3-http", "request_buffering": False,
            "source": {"code": ""}}  # fmt: skip
    answer = server.request("POST", "/spaces/default/functions", json=body)
    problem = problem_of(answer, 422, answer.json()["reason"])
    assert [error["field"] for error in problem["errors"]] == ["request_buffering"]
    assert "http or command" in problem["errors"][0]["message"]
    merged = server.request("PATCH", function_path("cat"), json={"template": "lambda"})
    assert [error["field"] for error in merged.json()["errors"]] == ["request_buffering"]
    assert server.get("cat")["request_buffering"] is False
    assert server.get("node")["request_buffering"] is False
