"""Every starter of `sterna init` is deployed and answers, as its first lines say."""

import json

import pytest

from command_line import Cli
from polling import eventually

HELLO = {"hello": "you", "path": "/some/path"}
PLAIN = "hello from /some/path?who=you\nSOME TEXT"
ANSWERS = {"python3-http": HELLO, "node-http": HELLO, "cpp": HELLO, "http": HELLO, "command": PLAIN, "lambda": HELLO}


@pytest.fixture
def cli(server, tmp_path):
    return Cli(server.url, tmp_path)


def invoke(cli, name, *flags):
    answer = cli.ok("invoke", name, "-p", "/some/path?who=you", *(flags or answer_input(name)))
    return json.loads(answer) if answer.startswith("{") else answer


def answer_input(name):
    return ["-d", "some text"] if ANSWERS[name] is PLAIN else []


@pytest.mark.parametrize("template", ANSWERS)
def test_a_starter_is_deployed_and_answers(cli, template):
    cli.ok("init", template, "--template", template)
    cli.ok("deploy", "--quiet", template)
    assert cli.json("get", template)["template"] == template
    assert invoke(cli, template) == ANSWERS[template]
    if template != "command":  # the same to a POST, and to what follows it
        assert [invoke(cli, template, "-d", "some text") for _ in range(2)] == [HELLO] * 2
    eventually(lambda: "/some/path" in cli.ok("logs", template))


def test_an_alias_begins_the_same_way(cli):
    cli.ok("init", "aliased", "--template", "node")
    cli.ok("deploy", "--quiet", "aliased")
    assert json.loads(cli.ok("invoke", "aliased", "-p", "/some/path?who=you")) == HELLO


def test_nothing_is_overwritten(cli):
    (cli.folder / "mine").mkdir()
    (cli.folder / "mine" / "handler.py").write_text("precious")
    refused = cli.run("init", "mine")
    assert refused.returncode == 2 and "mine/handler.py is there already" in refused.stderr
    assert [path.name for path in (cli.folder / "mine").iterdir()] == ["handler.py"]
