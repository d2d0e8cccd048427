"""The command line's asynchronous side against a real server."""

import os
import signal
import subprocess

import pytest

from handlers import SCRIPTED
from polling import eventually
from receiver import Answer
from sterna import BINARY
from command_line import Cli


@pytest.fixture(scope="module")
def cli(async_server, tmp_path_factory):
    async_server.deploy("scripted", SCRIPTED, **{"async": {"max_attempts": 1}})
    return Cli(async_server.url, tmp_path_factory.mktemp("cli"))


def made(cli, expression, *options):
    return cli.json("invoke", "scripted", "--async", "-d", expression, *options)["id"]


@pytest.mark.sanitizer
def test_async_prints_the_id_and_the_callback_comes(cli, receiver):
    printed = cli.ok("invoke", "scripted", "--async", "--callback", receiver.url("/cli"), "-p", "/a/b", "-d",
                     "{'body': req.path}")  # fmt: skip
    came = receiver.one("/cli")
    assert came.body == b"/a/b" and came.header("X-Call-Id") in printed


def test_waiting_prints_the_answer_as_a_synchronous_call_does(cli):
    assert cli.ok("invoke", "scripted", "--async", "--wait", "-d", "time.sleep(0.5) or {'body': 'at last'}") == "at last"
    failed = cli.run("invoke", "scripted", "--async", "--wait", "-d", "1 / 0")
    assert failed.returncode == 5 and failed.stdout == "" and "function_raised" in failed.stderr


def test_a_forbidden_callback_is_an_error(cli):
    done = cli.run("invoke", "scripted", "--async", "--callback", "http://10.0.0.1/", "-d", "{}")
    assert done.returncode != 0 and "bad_callback_url" in done.stderr


def test_invocations_from_list_to_redrive(cli):
    call_id = made(cli, "1 / 0")
    done = cli.run("invocations", "wait", "scripted", call_id, "--timeout", "20")
    assert done.returncode == 5
    found = cli.json("invocations", "get", "scripted", call_id)
    assert (found["state"], found["reason"]) == ("failed", "function_raised")
    assert call_id in cli.ok("invocations", "list", "scripted", "--state", "failed")
    assert call_id not in cli.ok("invocations", "list", "scripted", "--state", "succeeded")
    assert call_id in [each["id"] for each in cli.json("invocations", "list", "scripted")["data"]]
    response = cli.run("invocations", "response", "scripted", call_id)
    assert response.returncode == 5 and "function_raised" in response.stderr
    cli.ok("invocations", "redrive", "scripted", call_id)
    eventually(lambda: len(cli.json("invocations", "get", "scripted", call_id)["attempts"]) == 2)


def test_cancel(cli):
    call_id = made(cli, "{}", "--delay", "600")
    cli.ok("invocations", "cancel", "scripted", call_id)
    assert cli.run("invocations", "wait", "scripted", call_id).returncode == 4
    assert cli.run("invocations", "cancel", "scripted", call_id).returncode == 1


def test_redeliver(cli, receiver):
    call_id = made(cli, "{'body': 'again'}", "--callback", receiver.script("/cli-again", Answer(404), Answer(200)))
    eventually(
        lambda: cli.json("invocations", "get", "scripted", call_id)["callback"]["delivery"] == "undeliverable"
    )
    cli.ok("invocations", "redeliver", "scripted", call_id)
    assert [each.body for each in receiver.wait("/cli-again", 2)] == [b"again", b"again"]


def test_tail_follows_until_it_is_interrupted(cli):
    # Who runs the tests in the background may have SIGINT ignored, which would be inherited.
    tail = subprocess.Popen([BINARY, "invocations", "tail", "scripted", "--tail", "0", "--interval", "0.1"],
                            env={**os.environ, "STERNA_URL": cli.url}, stdout=subprocess.PIPE, text=True,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # fmt: skip
    call_id = made(cli, "{}")
    try:
        # A call that ended between two looks is shown once, ended.
        assert any(call_id in line and "succeeded" in line for line in iter(tail.stdout.readline, ""))
        tail.send_signal(signal.SIGINT)
        tail.wait(10)
    finally:
        tail.kill()
        tail.wait(10)
        tail.stdout.close()


def test_secrets_and_allow_lists_of_a_space(cli, async_server):
    cli.ok("spaces", "create", "cli-space")
    first = cli.json("spaces", "signing-secret", "cli-space")["current"]
    assert cli.json("spaces", "signing-secret", "cli-space", "--rotate")["previous"] == first
    cli.ok("spaces", "callback-allow", "cli-space", "10.0.0.0/8", "localhost")
    assert async_server.request("GET", "/spaces/cli-space").json()["callback_allow"] == ["10.0.0.0/8", "localhost"]
    cli.ok("spaces", "callback-allow", "cli-space", "--clear")
    assert async_server.request("GET", "/spaces/cli-space").json()["callback_allow"] == []
