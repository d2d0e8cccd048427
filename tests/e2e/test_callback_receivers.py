"""The receivers that docs/async.md shows, run as they stand there."""

import os
import pathlib
import re
import socket
import subprocess

import pytest

from async_calls import call
from handlers import ECHO
from polling import eventually

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "async.md"
WRONG_SECRET = "whsec_" + "A" * 32


def receiver_in(language):
    """The program in the docs that checks signatures in this language."""
    blocks = re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(), re.DOTALL)
    [program] = [block for block in blocks if "STERNA_SIGNING_SECRET" in block]
    return program


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def is_listening(port):
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def start(tmp_path):
    running = []

    def started(language, secret):
        program = tmp_path / f"receiver-{len(running)}"
        program.write_text(receiver_in(language))
        port = free_port()
        command = {"python": "/usr/bin/python3", "js": "node"}[language]
        running.append(subprocess.Popen(
            [command, str(program)], env={**os.environ, "PORT": str(port), "STERNA_SIGNING_SECRET": secret},
            stdout=subprocess.PIPE,
        ))  # fmt: skip
        eventually(lambda: is_listening(port), 20)
        return f"http://127.0.0.1:{port}/"

    yield started
    for each in running:
        each.terminate()
        each.communicate(timeout=10)


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_receivers_of_the_docs_take_what_is_signed(async_server, start, language):
    async_server.deploy("received", ECHO, callback={"max_attempts": 1})
    secret = async_server.request("GET", "/spaces/default/signing-secret").json()["current"]
    right, wrong = start(language, secret), start(language, WRONG_SECRET)
    for body in (b'{"a": 1}', b"\x89PNG\r\n\x1a\n\x00\xff\xfe", "café".encode("latin1"), b""):
        call(async_server, "received", callback=right, content=body).until_delivery("delivered")
    refused = call(async_server, "received", callback=wrong, content=b"x").until_delivery("undeliverable")
    assert refused["callback"]["deliveries"][-1]["status_code"] == 401
