"""The template `command`, beyond what all templates share."""

import pathlib
import time

import httpx
import pytest

from polling import eventually
from sterna import encode_source, function_path, invoke_path, problem_of

SHOW = """#!/bin/sh
env | sort
"""


@pytest.fixture(scope="module")
def deploy(server):
    def deploy_script(name, script, **fields):
        server.deploy(name, script, template="command", **fields)
        return lambda path="", **options: server.call(name, path, **options)

    return deploy_script


def failed_reason(server, name, source, **fields):
    server.deploy(name, source, template="command", wait_for="Failed", **fields)
    return server.get(name)["status_reason"]


def assert_logged(server, name, answer, *parts):
    """The log is written beside the answer: it may come a moment later."""
    call_id = answer.headers["x-call-id"]

    def all_there():
        texts = [line["text"] for line in server.logs(name, call_id=call_id)]
        assert all(any(part in text for text in texts) for part in parts), texts
        return True

    eventually(all_there)


def variables(answer):
    assert answer.status_code == 200, answer.text
    return dict(line.split("=", 1) for line in answer.text.splitlines() if "=" in line)


def test_the_request_by_cgi_names(deploy):
    show = deploy("show", SHOW)
    answer = show(
        "/a%20b/c?x=1&y=%26",
        method="POST",
        content=b"body",
        headers={
            "Content-Type": "text/x",
            "X-Some-Name": "v",
            "Proxy": "http://evil",
            "X-Call-Id": "01J00000000000000000000000",
        },
    )
    seen = variables(answer)
    assert seen["REQUEST_METHOD"] == seen["Http_Method"] == "POST"
    assert seen["PATH_INFO"] == seen["Http_Path"] == "/a b/c"
    assert seen["QUERY_STRING"] == seen["Http_Query"] == "x=1&y=%26"
    assert (seen["CONTENT_TYPE"], seen["CONTENT_LENGTH"]) == ("text/x", "4")
    assert seen["HTTP_X_SOME_NAME"] == "v"
    assert "HTTP_PROXY" not in seen
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == (answer.url.host, str(answer.url.port))
    assert (seen["GATEWAY_INTERFACE"], seen["SERVER_PROTOCOL"]) == ("CGI/1.1", "HTTP/1.1")
    assert seen["STERNA_CALL_ID"] == "01J00000000000000000000000"
    assert "CONTENT_LENGTH" not in variables(show())


def test_a_command_with_variables_and_no_bootstrap(server):
    server.deploy(
        "words",
        {},
        template="command",
        command=["printf", "%s|", "$STERNA_FUNCTION", "${A}b", "$$A"],
        env={"A": "a"},
    )
    assert server.call("words").text == "words|ab|$A|"
    assert server.get("words")["command"][0] == "printf"


def test_a_name_in_command_that_is_no_variable_is_told(server):
    reason = failed_reason(server, "nameless", {}, command=["sh", "-c", "for i in 1 2; do echo $i; done"])
    assert reason == (
        "command: there is no variable $i: set it in env, or write $$i where the dollar is meant, as for a shell"
    )


def test_a_program_in_the_bundle_by_its_path(server):
    files = {"bin/hello": "#!/bin/sh\necho from $0 with $1\n"}
    server.deploy("inside", files, template="command", command=["bin/hello", "words in one"])
    assert server.call("inside").text == "from bin/hello with words in one\n"


def test_the_type_of_the_answer(server, deploy):
    assert deploy("text", "#!/bin/sh\necho hello")().headers["content-type"] == "text/plain; charset=utf-8"
    assert (
        deploy("bytes", "#!/bin/sh\nprintf 'a\\000b'")().headers["content-type"] == "application/octet-stream"
    )
    said = deploy("said", "#!/bin/sh\necho '{}'", env={"content_type": "application/json"})()
    assert said.headers["content-type"] == "application/json"
    silent = deploy("silent", "#!/bin/sh\ntrue")()
    assert (silent.status_code, silent.content) == (200, b"")
    assert "content-type" not in silent.headers


def test_failing_soon_after_some_output_is_a_500(server, deploy):
    answer = deploy("soon", "#!/bin/sh\necho half\necho why >&2\nexit 7")()
    problem_of(answer, 500, "function_raised", "function")
    assert_logged(server, "soon", answer, "why", "./bootstrap exited with status 7")


def test_failing_late_breaks_the_answer_off(server, deploy):
    deploy("broken", "#!/bin/sh\necho half\nsleep 0.5\nexit 7")
    with pytest.raises(httpx.RemoteProtocolError):
        server.call("broken")


def test_a_signal_is_a_failure(server, deploy):
    answer = deploy("signal", "#!/bin/sh\nkill -SEGV $$")()
    problem_of(answer, 500, "function_raised", "function")
    assert_logged(server, "signal", answer, "./bootstrap was ended by signal 11 (Segmentation fault)")


def test_too_much_memory_is_told_as_that(server, deploy):
    answer = deploy("greedy", "#!/usr/bin/python3\nx = bytearray(500_000_000)", limits={"memory_mb": 64})()
    problem_of(answer, 502, "out_of_memory", "function")


def test_a_process_that_reads_no_body_answers(deploy):
    answer = deploy("deaf", "#!/bin/sh\nexec 0<&-\necho done")(method="POST", content=b"x" * 3_000_000)
    assert (answer.status_code, answer.text) == (200, "done\n")


def test_what_a_process_leaves_behind_ends_with_it(server, deploy):
    call = deploy("litter", "#!/bin/sh\n(sleep 60; echo late) &\necho now", limits={"max_replicas": 1})
    began = time.monotonic()
    assert call().text == "now\n"
    assert time.monotonic() - began < 10
    count = deploy(
        "litter-count", "#!/bin/sh\nsleep 61 &\nls /proc >/tmp/seen\ngrep -c '^[0-9]' /tmp/seen", limits={"max_replicas": 1}
    )
    assert len({count().text for _ in range(5)}) == 1


def test_a_caller_that_leaves_ends_the_processes(server, deploy):
    deploy("left", "#!/bin/sh\nsleep 77 & sleep 77", limits={"max_replicas": 1})

    def sleepers():
        return [each for each in server.processes() if each.name() == "sleep"]

    with server.open() as client:
        client.request("GET", invoke_path("left"))
        eventually(lambda: len(sleepers()) == 2)
    eventually(lambda: not sleepers())


def test_what_cannot_run_says_what_to_do(server):
    put = server.request(
        "POST",
        "/spaces/default/functions",
        json={"name": "none", "template": "command", "source": encode_source({"x": ""})},
    )
    assert put.status_code == 422
    assert "bootstrap is expected at the top when no command is given, there is x" in put.text
    assert "write ./nothing" in failed_reason(server, "absent", {}, command=["nothing"])
    assert "is not executable" in failed_reason(server, "plain", "echo hello")
    refused = server.request(
        "PUT",
        function_path("absent"),
        json={"template": "python3", "command": ["x"], "source": encode_source("")},
    )
    assert "takes no command" in refused.text


@pytest.mark.parametrize(
    "name, content, told",
    [
        ("no-interpreter", "#!/opt/no/interpreter\n", "the interpreter /opt/no/interpreter, which is not there"),
        ("no-env", "#!/usr/bin/env no-such-language\n", "asks env for no-such-language"),
        ("windows", "#!/bin/sh\r\necho hello\r\n", "CR LF"),
        ("no-program", "\x7fELFnonsense", "a program that has been cut off"),
    ],
)
def test_a_program_that_cannot_run_makes_the_version_failed(server, name, content, told):
    reason = failed_reason(server, name, content)
    assert "./bootstrap cannot be run: " in reason and told in reason


def test_a_program_of_another_machine_makes_the_version_failed(server):
    other = bytearray(pathlib.Path("/bin/sh").read_bytes())
    other[18:20] = b"\x16\x00"  # e_machine: IBM S/390
    assert "a program for another machine" in failed_reason(server, "other", {"bootstrap": bytes(other)})
