"""The template `lambda`: bootstraps as people write them, and programs that do not keep to the Runtime API."""

import json
import re
import threading
import time

import pytest

from polling import eventually
from sterna import function_path, invoke_path, problem_of

# The tutorial's loop: a shell and curl.
SHELL = """#!/bin/sh
set -eu
. "$LAMBDA_TASK_ROOT/$(echo "$_HANDLER" | cut -d. -f1).sh"
while true; do
  HEADERS="$(mktemp)"
  EVENT_DATA=$(curl -sS -LD "$HEADERS" "http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/next")
  REQUEST_ID=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$HEADERS" | tr -d '[:space:]' | cut -d: -f2)
  RESPONSE=$($(echo "$_HANDLER" | cut -d. -f2) "$EVENT_DATA")
  curl -sS "http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/$REQUEST_ID/response" -d "$RESPONSE"
done
"""

SHELL_HANDLER = """
handler() {
  echo "$1" 1>&2
  echo "Echoing request: '$1'"
}
"""

URLLIB = """#!/usr/bin/python3
import json, os, urllib.request

BASE = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
while True:
    with urllib.request.urlopen(f"{BASE}/next") as got:
        event, headers = json.load(got), dict(got.headers)
    kept = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "LAMBDA_", "_H", "TZ"))}
    answer = {"event": event, "headers": headers, "environment": kept, "folder": os.getcwd()}
    request = urllib.request.Request(f"{BASE}/{headers['Lambda-Runtime-Aws-Request-Id']}/response", json.dumps(answer).encode())
    urllib.request.urlopen(request).close()
"""

# Speaks to the API over a bare socket; what it does is in STEPS, and what it is told goes into its log.
RAW = """#!/usr/bin/python3
import os, re, socket, sys, time

HOST, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
API = "/2018-06-01/runtime"

def connect():
    return socket.create_connection((HOST, int(PORT)))

def send(connection, text):
    connection.sendall(text if isinstance(text, bytes) else text.encode())

def answer(connection):
    text = b""
    while b"\\r\\n\\r\\n" not in text:
        part = connection.recv(65536)
        if not part:
            return text.decode()
        text += part
    head, _, body = text.partition(b"\\r\\n\\r\\n")
    length = int(re.search(rb"(?i)content-length: (\\d+)", head)[1])
    while len(body) < length:
        body += connection.recv(65536)
    return (head + b"\\r\\n\\r\\n" + body).decode()

def ask(connection):
    global event
    send(connection, f"GET {API}/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    event = answer(connection)
    return re.search("(?i)request-id: (.*)\\r", event)[1]

def post(connection, path, body=b"", headers=""):
    send(connection, f"POST {API}/{path} HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: {len(body)}\\r\\n{headers}\\r\\n")
    send(connection, body)
    return tell(answer(connection))

def tell(text):
    lines = text.splitlines() or ["nothing"]
    print("told", lines[0], lines[-1], flush=True)
    return text

def respond(connection, id, body=b"{}", headers=""):
    return post(connection, f"invocation/{id}/response", body, headers)

def begin_stream(connection, id, headers=""):
    send(connection, f"POST {API}/invocation/{id}/response HTTP/1.1\\r\\nHost: x\\r\\nTransfer-Encoding: chunked\\r\\n"
                     f"Lambda-Runtime-Function-Response-Mode: streaming\\r\\n{headers}\\r\\n")

def chunk(connection, data):
    send(connection, b"%x\\r\\n%s\\r\\n" % (len(data), data))

c = connect()
"""


def deploy_raw(server, name, steps, **fields):
    """`steps` is Python that uses the functions of RAW."""
    fields["limits"] = {"network": "none", "memory_mb": 256, **fields.get("limits", {})}
    return server.deploy(name, {"bootstrap": RAW + steps}, template="lambda", **fields)


def told(server, name, status):
    """Waits until the program has been told that."""
    return eventually(
        lambda: [line["text"] for line in server.logs(name) if f"told HTTP/1.1 {status}" in line["text"]]
    )


def logged(server, name, answer, text):
    call_id = answer.headers["x-call-id"]
    return eventually(lambda: [line for line in server.logs(name, call_id=call_id) if text in line["text"]])


def test_a_shell_script_with_curl(server):
    files = {"bootstrap": SHELL, "function.sh": SHELL_HANDLER}
    server.deploy("shell", files, template="lambda", limits={"network": "none"})
    for number in range(3):
        answer = server.call("shell", f"/{number}", method="POST", content=b"text")
        assert answer.status_code == 200 and answer.headers["content-type"] == "text/plain; charset=utf-8"
        event = json.loads(re.fullmatch(r"Echoing request: '(.*)'", answer.text)[1])
        assert event["rawPath"] == f"/{number}"
        logged(server, "shell", answer, '"version":"2.0"')


def test_what_a_program_finds_around_it(server):
    server.deploy("around", {"bootstrap": URLLIB}, template="lambda", env={"_HANDLER": "app.main"},
                  limits={"network": "none", "memory_mb": 192, "timeout_seconds": 20})  # fmt: skip
    trace = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"
    before = time.time()
    answer = server.call("around", "/x?a=1&a=2", headers={"traceparent": trace, "Cookie": "k=v; l=w"})
    seen = answer.json()
    environment, headers, event = seen["environment"], seen["headers"], seen["event"]
    assert seen["folder"] == environment["LAMBDA_TASK_ROOT"] == "/function"
    assert environment["_HANDLER"] == "app.main" and environment["TZ"] == ":UTC"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "around"
    assert environment["AWS_LAMBDA_FUNCTION_VERSION"] == "1"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "192"
    assert environment["AWS_LAMBDA_LOG_GROUP_NAME"] == "/aws/lambda/around"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[1\]\w{26}", environment["AWS_LAMBDA_LOG_STREAM_NAME"])
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "us-east-1"
    assert environment["AWS_LAMBDA_RUNTIME_API"] == "127.0.0.1:9001"
    assert headers["Content-Type"] == "application/json"
    assert headers["Lambda-Runtime-Aws-Request-Id"] == answer.headers["x-call-id"]
    assert (
        headers["Lambda-Runtime-Invoked-Function-Arn"]
        == "arn:aws:lambda:us-east-1:000000000000:function:around"
    )
    assert headers["Lambda-Runtime-Trace-Id"] == (
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    )
    assert -0.1 < int(headers["Lambda-Runtime-Deadline-Ms"]) / 1000 - before - 20 < 15
    assert event["queryStringParameters"] == {"a": "1,2"} and event["cookies"] == ["k=v", "l=w"]
    assert event["requestContext"]["http"]["sourceIp"] == "127.0.0.1"


def test_with_egress_too(server):
    server.deploy("out", {"bootstrap": URLLIB}, template="lambda")
    assert server.call("out").json()["event"]["rawPath"] == "/"


# Streams


def test_a_stream_with_a_prelude(server):
    steps = """
while True:
    id = ask(c)
    begin_stream(c, id, "Content-Type: application/vnd.awslambda.http-integration-response\\r\\n")
    chunk(c, b'{"statusCode": 203, "headers": {"X-A": "b"}, "cookies": ["c=1", "d=2"]')
    chunk(c, b"}" + bytes(5))
    chunk(c, bytes(3) + b"first ")
    chunk(c, b"last")
    send(c, "0\\r\\n\\r\\n")
    tell(answer(c))
"""
    deploy_raw(server, "prelude", steps)
    for _ in range(3):
        answer = server.call("prelude")
        assert (answer.status_code, answer.text, answer.headers["x-a"]) == (203, "first last", "b")
        assert answer.headers.get_list("set-cookie") == ["c=1", "d=2"]


def test_a_plain_stream_has_the_type_of_its_request(server):
    steps = """
while True:
    id = ask(c)
    begin_stream(c, id, "Content-Type: text/x-plain\\r\\n")
    send(c, "0\\r\\n\\r\\n")
    tell(answer(c))
"""
    deploy_raw(server, "typed", steps)
    answer = server.call("typed")
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"", "text/x-plain")


TRAILERS = """
import base64
BODY = base64.b64encode(b'{"errorType": "Late", "errorMessage": "on purpose", "trace": []}').decode()
while True:
    id = ask(c)
    begin_stream(c, id, "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\\r\\n")
    if os.environ["PART"]:
        chunk(c, b"begun")
        time.sleep(0.2)
    send(c, f"0\\r\\nLambda-Runtime-Function-Error-Type: Late\\r\\nLambda-Runtime-Function-Error-Body: {BODY}\\r\\n\\r\\n")
    tell(answer(c))
"""


def test_an_error_in_the_trailers_before_the_first_byte_is_a_500(server):
    deploy_raw(server, "early", TRAILERS, env={"PART": ""})
    answer = server.call("early")
    problem_of(answer, 500, "function_raised", "function")
    logged(server, "early", answer, "Late: on purpose")


def test_an_error_in_the_trailers_breaks_the_answer_off(server):
    deploy_raw(server, "broken", TRAILERS, env={"PART": "1"})
    with server.open() as client:
        client.request("GET", invoke_path("broken"))
        rest = client.read_to_end()
    assert b"begun" in rest and not rest.endswith(b"0\r\n\r\n")
    eventually(lambda: [line for line in server.logs("broken") if line["text"] == "Late: on purpose"])


# Errors


def test_an_error_of_the_start_makes_the_version_failed(server):
    steps = """
post(c, "init/error", b'{"errorType": "Runtime.NoSuchHandler", "errorMessage": "no app.main", "stackTrace": ["at line 3"]}')
"""
    deploy_raw(server, "init", steps, wait_for="Failed")
    assert server.get("init")["status_reason"] == "Runtime.NoSuchHandler: no app.main"
    eventually(lambda: [line for line in server.logs("init") if "at line 3" in line["text"]])


def test_an_error_of_the_start_names_its_place_in_the_code(server):
    steps = """
trace = b'["Error: no TABLE", "    at Object.<anonymous> (/function/index.js:2:7)"]'
post(c, "init/error", b'{"errorType": "Error", "errorMessage": "no TABLE", "trace": ' + trace + b'}')
"""
    deploy_raw(server, "init-place", steps, wait_for="Failed")
    assert server.get("init-place")["status_reason"] == "/function/index.js:2: Error: no TABLE"


@pytest.mark.parametrize(
    "name, bootstrap, reason",
    [
        ("ends", "#!/bin/sh\necho cannot begin >&2; exit 7", "./bootstrap exited with status 7 before it asked for an "
                                                            "invocation: cannot begin"),
        ("odd", "#!/no/such/shell", "the interpreter /no/such/shell, which is not there"),
    ],
)  # fmt: skip
def test_a_program_that_does_not_start_is_told(server, name, bootstrap, reason):
    server.deploy(name, {"bootstrap": bootstrap}, wait_for="Failed", template="lambda", limits={"network": "none"})
    assert reason in server.get(name)["status_reason"]


def test_a_reported_error_without_json(server):
    steps = """
while True:
    id = ask(c)
    post(c, f"invocation/{id}/error", b"it broke", "Lambda-Runtime-Function-Error-Type: Runtime.Odd\\r\\n")
"""
    deploy_raw(server, "report", steps)
    answer = server.call("report")
    problem_of(answer, 500, "function_raised", "function")
    logged(server, "report", answer, "Runtime.Odd: it broke")


def test_a_program_that_ends_between_calls_harms_none(server):
    steps = """
id = ask(c)
respond(c, id)
os._exit(1)
"""
    deploy_raw(server, "once", steps)
    for _ in range(5):
        assert server.call("once").status_code == 200


def test_a_whole_answer_outlives_its_program(server):
    deploy_raw(server, "last", """
respond(c, ask(c), b'"' + b"x" * 5000000 + b'"')
os._exit(0)
""")  # fmt: skip
    for _ in range(3):
        assert len(server.call("last").content) == 5000002


@pytest.mark.parametrize(
    "name, answer, why",
    [
        ("status", b'{"statusCode": 42}', "statusCode must be a number from 200 to 599"),
        ("object", b'{"statusCode": 200, "body": {"a": 1}}', "body must be a string"),
        ("header", b'{"statusCode": 200, "headers": {"X": "a\\r\\nb"}}', "control characters"),
        ("name", b'{"statusCode": 200, "headers": {"X Y": "a"}}', "not a token"),
    ],
)
def test_an_answer_of_the_wrong_shape_is_told(server, name, answer, why):
    deploy_raw(server, f"wrong-{name}", f"while True: respond(c, ask(c), {answer!r})")
    got = server.call(f"wrong-{name}")
    problem_of(got, 502, "bad_function_response", "function")
    logged(server, f"wrong-{name}", got, why)


def test_wrong_requests_are_told(server):
    steps = """
respond(c, "x")
post(c, "init/nonsense")
post(c, "invocation/next")
send(c, f"GET /2018-06-01/runtime/invocation/a/response HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"); tell(answer(c))
send(c, f"PUT /2020-01-01/extension/register HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"); tell(answer(c))
id = ask(c)
d = connect()
post(d, "init/error")
respond(d, "another")
send(d, f"GET {API}/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"); tell(answer(d))
respond(c, id)
respond(c, id)
while True:
    respond(c, ask(c))
"""
    deploy_raw(server, "errors", steps)
    assert server.call("errors").status_code == 200
    assert server.call("errors").status_code == 200

    def answers():
        lines = [line["text"] for line in server.logs("errors") if line["text"].startswith("told")]
        assert len(lines) >= 10
        return lines

    codes = [line.split()[2] for line in eventually(answers)]
    assert codes[:10] == ["403", "404", "405", "405", "404", "403", "400", "403", "202", "403"]


# Programs that mean harm: they hurt their own calls, and nothing else


def test_a_response_mode_that_is_none(server):
    deploy_raw(server, "mode", """
while True: respond(c, ask(c), headers="Lambda-Runtime-Function-Response-Mode: buffered\\r\\n")
""")  # fmt: skip
    problem_of(server.call("mode"), 502, "bad_function_response", "function")
    told(server, "mode", 400)


def test_an_answer_of_a_hundred_megabytes(server):
    steps = """
id = ask(c)
send(c, f"POST {API}/invocation/{id}/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 100000000\\r\\n\\r\\n")
for _ in range(100):
    send(c, b" " * 1000000)
tell(answer(c))
while True:
    respond(c, ask(c))
"""
    deploy_raw(server, "huge", steps, limits={"memory_mb": 64})
    answer = server.call("huge")
    problem_of(answer, 502, "bad_function_response", "function")
    logged(server, "huge", answer, "larger than 16 MiB")
    told(server, "huge", 413)
    assert server.call("huge").status_code == 200


@pytest.mark.parametrize(
    "name, sent",
    [
        ("noise", r"b'\x00\xff' * 1000"),
        ("line", r"b'GET /' + b'a' * 1200000"),
        ("lengths", r"b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx'"),
        ("chunk", r"b'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'"),
        ("long-chunk", r"b'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;' + b'a' * 1200000"),
    ],
)
def test_garbage_ends_its_connection_only(server, name, sent):
    steps = f"""
d = connect()
try:
    send(d, {sent})
    while d.recv(65536): pass
except OSError:
    pass
print("closed", flush=True)
while True:
    respond(c, ask(c))
"""
    deploy_raw(server, name, steps)
    assert server.call(name).status_code == 200
    eventually(lambda: [line for line in server.logs(name) if line["text"] == "closed"])


def test_a_thousand_connections_and_requests_that_never_end(server):
    steps = """
open = []
for number in range(400):
    try:
        open.append(connect())
        send(open[-1], "GET / HT" if number % 2 else f"GET {API}/invocation/next HTTP/1.1\\r\\n")
    except OSError:
        pass
while True:
    respond(c, ask(c))
"""
    deploy_raw(server, "many", steps, limits={"memory_mb": 64})
    for _ in range(3):
        assert server.call("many").status_code == 200


def test_a_connection_that_closes_before_its_invocation_leaves_it_to_the_next(server):
    steps = """
d = connect()
send(d, f"GET {API}/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
d.close()
while True:
    respond(c, ask(c))
"""
    deploy_raw(server, "gone", steps)
    for _ in range(3):
        assert server.call("gone").status_code == 200


def test_an_answer_that_breaks_off_is_none(server):
    steps = """
id = ask(c)
d = connect()
send(d, f"POST {API}/invocation/{id}/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 9\\r\\nExpect: 100-continue\\r\\n\\r\\n")
d.recv(100)
send(d, "half")
d.close()
while True:
    respond(c, ask(c))
"""
    deploy_raw(server, "half", steps)
    problem_of(server.call("half"), 502, "bad_function_response", "function")
    assert server.call("half").status_code == 200


def test_a_program_that_never_asks_again_is_replaced(server):
    steps = """
id = ask(c)
respond(c, id)
time.sleep(1000)
"""
    deploy_raw(server, "lazy", steps, limits={"timeout_seconds": 5, "max_replicas": 1})
    assert server.call("lazy").status_code == 200
    # Half of its time the call may be given to another worker; after one second it counts as begun.
    problem_of(server.call("lazy"), 504, "function_timeout", "function")
    assert server.call("lazy").status_code == 200


SLOW = """
while True:
    id = ask(c)
    if '"rawPath":"/slow"' in event:
        print("begun", flush=True)
        time.sleep(1000)
    respond(c, id)
"""


def test_a_caller_that_leaves_makes_room_for_the_next(server):
    deploy_raw(server, "left", SLOW, limits={"max_replicas": 1, "timeout_seconds": 600})
    with server.open() as client:
        client.request("GET", invoke_path("left", "/slow"))
        eventually(lambda: [line for line in server.logs("left") if line["text"] == "begun"])
    assert server.call("left").status_code == 200


def test_one_of_several_calls_over_its_time(server):
    """The others of its worker go on; the worker is replaced after them."""
    steps = """
import threading
def serve():
    connection = connect()
    while True:
        send(connection, f"GET {API}/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        text = answer(connection)
        time.sleep(1000 if '"rawPath":"/slow"' in text else 0)
        respond(connection, re.search("(?i)request-id: (.*)\\r", text)[1])
for _ in range(int(os.environ["AWS_LAMBDA_MAX_CONCURRENCY"])):
    threading.Thread(target=serve).start()
"""
    deploy_raw(server, "several", steps, limits={"concurrency": 3, "max_replicas": 1, "timeout_seconds": 1})
    answers = []
    late = threading.Thread(target=lambda: answers.append(server.call("several", "/slow")))
    late.start()
    while late.is_alive():
        assert server.call("several").status_code == 200
    problem_of(answers[0], 504, "function_timeout", "function")
    assert server.call("several").status_code == 200


def test_what_a_program_leaves_behind_ends_with_it(server):
    steps = """
if os.fork() == 0:
    os.setsid()
    os.environ["MARK"] = "left"
    os.execvp("tail", ["tail", "-f", "/dev/null", "--pid=1"])
while True:
    respond(c, ask(c))
"""
    deploy_raw(server, "forks", steps)
    assert server.call("forks").status_code == 200
    assert server.request("DELETE", function_path("forks")).status_code == 204
    eventually(lambda: not [each for each in server.processes() if each.name() == "tail"])
