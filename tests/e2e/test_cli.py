"""The command line against a real server: what it prints, and how it ends."""

import json
import os
import select
import subprocess

import pytest

from command_line import Cli
from polling import eventually
from sterna import BINARY, ROOT

FINE = "def handle(req):\n    print('called', req.path)\n    return {'body': 'fine ' + req.path + ' ' + req.body.decode()}\n"


@pytest.fixture
def cli(server, tmp_path):
    return Cli(server.url, tmp_path)


@pytest.mark.sanitizer
def test_from_init_to_delete(cli):
    cli.ok("init", "first")
    assert (cli.folder / "first" / "handler.py").exists() and (
        cli.folder / "first" / "function.toml"
    ).exists()
    cli.ok("deploy", "first")
    assert "first" in cli.ok("list") and "Running" in cli.ok("list")
    assert cli.ok("invoke", "first")
    assert cli.json("get", "first")["status"] == "Running"
    cli.ok("stop", "first")
    eventually(lambda: cli.json("get", "first")["status"] == "Stopped")
    assert cli.run("invoke", "first").returncode == 4
    cli.ok("start", "first")
    eventually(lambda: cli.json("get", "first")["status"] == "Running")
    cli.ok("delete", "first")
    assert cli.run("get", "first").returncode == 1


def test_deploying_one_file_and_deploying_it_again(cli):
    handler = cli.folder / "Single_File.py"
    handler.write_text(FINE)
    cli.ok("deploy", handler, "--env", "A=1")
    assert cli.ok("invoke", "single-file", "-p", "/a/b", "-d", "x") == "fine /a/b x"
    assert cli.json("get", "single-file")["env"] == {"A": "1"}
    handler.write_text(FINE.replace("fine", "better"))
    cli.ok("deploy", "--quiet", handler)
    eventually(lambda: cli.ok("invoke", "single-file") == "better / ", 20)
    assert [each["version"] for each in cli.json("versions", "list", "single-file")["data"]] in ([2, 1], [1, 2])


def test_a_folder_needs_no_template_when_its_handler_tells(cli):
    (cli.folder / "told").mkdir()
    (cli.folder / "told" / "handler.mjs").write_text("export const handle = () => ({ body: 'from node' });\n")
    cli.ok("deploy", "--quiet", "told")
    assert cli.ok("invoke", "told") == "from node"


def test_deploying_what_cannot_be_loaded_fails_with_the_reason(cli):
    (cli.folder / "broken.py").write_text("def handle(req:\n")
    done = cli.run("deploy", "broken.py")
    assert done.returncode == 1 and "SyntaxError" in done.stderr


def test_fields_that_the_server_refuses_are_named_with_their_line_once(cli):
    (cli.folder / "wrong").mkdir()
    (cli.folder / "wrong" / "handler.py").write_text(FINE)
    (cli.folder / "wrong" / "function.toml").write_text("[limits]\nmemory_mb = -1\ncolour = 'red'\n")
    done = cli.run("deploy", "wrong")
    assert done.returncode == 1
    assert "function.toml line 2: limits.memory_mb: " in done.stderr
    assert "function.toml line 3: limits.colour: " in done.stderr
    assert done.stderr.count("limits.memory_mb") == 1


def test_files_of_another_language_are_hinted_at(cli):
    (cli.folder / "other").mkdir()
    (cli.folder / "other" / "index.js").write_text("exports.handle = () => ({});\n")
    done = cli.run("deploy", "other")
    assert done.returncode == 1 and "--template" in done.stderr and "index.js" in done.stderr


def test_a_failing_deploy_with_json_prints_one_document(cli):
    (cli.folder / "json.py").write_text("def handle(req:\n")
    (cli.folder / "compiled").mkdir()
    (cli.folder / "compiled" / "handler.cc").write_text("nonsense\n")
    for path in ("json.py", "compiled"):
        done = cli.run("--json", "deploy", path)
        assert done.returncode == 1 and json.loads(done.stderr)["reason"] == "version_failed"


@pytest.mark.parametrize(
    "name", sorted(path.parent.name for path in (ROOT / "examples").glob("*/function.toml"))
)
def test_every_example_is_deployed_by_its_folder(cli, name):
    cli.ok("deploy", "--quiet", ROOT / "examples" / name)
    assert cli.json("get", name)["status"] == "Running"


def test_the_first_example_answers_as_the_readme_says(cli):
    cli.ok("deploy", "--quiet", ROOT / "examples" / "hello")
    answer = json.loads(cli.ok("invoke", "hello", "-p", "/stock/market/today?company=Google"))
    assert answer["path"] == "/stock/market/today" and answer["query"] == {"company": "Google"}


@pytest.fixture
def shown(cli, server):
    server.deploy("shown", FINE)
    server.deploy("failing", "def handle(req):\n    raise ValueError('inside')\n")
    return cli


@pytest.mark.sanitizer
def test_invoke_is_like_curl_and_tells_faults_apart(shown):
    assert shown.ok("invoke", "shown", "-d", "body") == "fine / body"
    assert shown.ok("invoke", "shown", "-d", "@-", data="from stdin") == "fine / from stdin"
    (shown.folder / "file").write_text("from a file")
    assert shown.ok("invoke", "shown", "-X", "PUT", "-d", "@file") == "fine / from a file"
    included = shown.ok("invoke", "shown", "-i")
    assert "200" in included.splitlines()[0] and "x-call-id" in included.lower()
    failed = shown.run("invoke", "failing")
    assert failed.returncode == 5 and failed.stdout == "" and "function_raised" in failed.stderr
    unknown = shown.run("invoke", "nobody")
    assert unknown.returncode == 4 and "function_not_found" in unknown.stderr


def test_a_functions_own_error_status_is_an_answer(cli, server):
    server.deploy("teapot", "def handle(req):\n    return {'status_code': 418, 'body': 'short and stout'}\n")
    assert cli.ok("invoke", "teapot") == "short and stout"


def test_logs(shown):
    shown.ok("invoke", "shown", "-p", "/seen")
    eventually(lambda: "called /seen" in shown.ok("logs", "shown"))
    records = [json.loads(line) for line in shown.ok("logs", "shown", "--tail", "1", "--json").splitlines()]
    assert len(records) == 1 and records[0]["text"] == "called /seen"
    assert "called /seen" in shown.ok("logs", "shown", "--call-id", records[0]["call_id"])
    assert "called /seen" in shown.ok("logs", "shown", "--since", "10m")


def test_following_logs(shown):
    clean = {**os.environ, "STERNA_URL": shown.url}
    following = subprocess.Popen(
        [str(BINARY), "logs", "shown", "-f", "--tail", "0"], env=clean, stdout=subprocess.PIPE, text=True
    )
    try:
        eventually(lambda: shown.ok("invoke", "shown", "-p", "/live") and readable(following.stdout), 10, 0.2)
        assert "called /live" in following.stdout.readline()
    finally:
        following.terminate()
        following.wait(10)


def readable(stream):
    return select.select([stream], [], [], 0)[0]


def test_rollback(cli, server):
    server.deploy("turned", "def handle(req):\n    return {'body': 'one'}\n")
    server.deploy("turned", "def handle(req):\n    return {'body': 'two'}\n")
    eventually(lambda: cli.ok("invoke", "turned") == "two", 20)
    assert "turned version 3 is Running" in cli.ok("rollback", "turned", "1")
    assert cli.ok("invoke", "turned") == "one"
    server.deploy("turned", "import nothing_like_it\n", wait_for=None)
    eventually(lambda: "version 4 failed" in cli.ok("get", "turned"), 20)
    refused = cli.run("rollback", "turned", "4")
    assert refused.returncode == 1 and "turned version 5 failed" in refused.stderr
    assert cli.ok("invoke", "turned") == "one"


def test_settings_do_not_stay_behind_when_their_code_is_refused(start_server, tmp_path):
    server = start_server("--max-code-bytes", "5000000")
    cli = Cli(server.url, tmp_path)
    (tmp_path / "kept").mkdir()
    handler = tmp_path / "kept" / "handler.py"
    handler.write_text("import os\n\ndef handle(req):\n    return {'body': os.environ['MODE']}\n")
    cli.ok("deploy", "kept", "--env", "MODE=old")
    (tmp_path / "kept" / "data.bin").write_bytes(os.urandom(5_000_000))
    for name in ("kept", "never-there"):
        refused = cli.run("deploy", "kept", "--name", name, "--env", "MODE=new")
        assert refused.returncode == 1 and "limits.max_code_bytes" in refused.stderr
    eventually(lambda: cli.ok("invoke", "kept") == "old")
    assert cli.run("get", "never-there").returncode == 1


def test_spaces(cli):
    cli.ok("spaces", "create", "lab")
    assert "lab" in cli.ok("spaces", "list")
    (cli.folder / "f.py").write_text(FINE)
    cli.ok("--space", "lab", "deploy", "f.py")
    assert cli.ok("invoke", "f", "--space", "lab") == "fine / "
    assert cli.run("spaces", "delete", "lab").returncode == 1
    cli.ok("spaces", "delete", "lab", "--force")
    assert "lab" not in cli.ok("spaces", "list")


def test_exit_statuses(cli):
    assert cli.run("get", "nobody").returncode == 1
    assert cli.run("deploy", "no-such-file.py").returncode == 2
    assert cli.run("invoke").returncode == 2
    assert cli.run("invoke", "Bad_Name").returncode in (2, 4)
    assert cli.run("list", "--url", "http://127.0.0.1:1").returncode == 3
    for wrong in (["invoke"], ["deploy", "no-such-file.py"], ["get", "f", "--no-such-flag"], []):
        refused = cli.run(*wrong, "--json")
        assert refused.returncode == 2 and json.loads(refused.stderr)["reason"] == "bad_usage", wrong
    (cli.folder / "broken.py").write_text("def handle(req:\n")
    broken = cli.run("deploy", "broken.py", "--json")
    assert broken.returncode == 1 and json.loads(broken.stderr)["reason"] == "version_failed"
    assert json.loads(cli.ok("version", "--json"))["version"]
    failed = cli.run("get", "nobody", "--json")
    assert failed.returncode == 1 and json.loads(failed.stderr)["reason"] == "function_not_found"


@pytest.mark.parametrize("stderr", ["/dev/full", "&-"])
def test_messages_that_cannot_be_written_leave_the_exit_status(cli, stderr):
    def status(*arguments):
        words = ["sh", "-c", f'"$0" "$@" 2>{stderr}; exit $?', str(BINARY), *arguments]
        return subprocess.run(words, env={**os.environ, "STERNA_URL": cli.url}, stdout=subprocess.DEVNULL, timeout=60).returncode

    assert status("get", "nobody") == 1
    assert status("get", "nobody", "--json") == 1
    assert status("frob") == 2
    assert status("list", "--url", "http://127.0.0.1:1") == 3
    assert status("invoke", "nobody") == 4


def test_a_folder_is_no_body(cli, server):
    server.deploy("takes", FINE)
    refused = cli.run("invoke", "takes", "-d", f"@{cli.folder}")
    assert refused.returncode == 2 and "Is a directory" in refused.stderr, refused
    assert cli.run("invoke", "takes", "-d", f"@{os.devnull}").returncode == 0


def test_a_slash_at_the_end_of_the_url_is_none_of_the_address(cli, server):
    (cli.folder / "slashed.py").write_text(FINE)
    said = cli.ok("deploy", "slashed.py", "--url", server.url + "/")
    assert f" {server.url}/spaces/default/functions/slashed/invoke\n" in said, said


def test_text_of_functions_cannot_steer_the_terminal(server, cli):
    text = "a\\x1b]0;pwn\\x07b\\x1b[2Jc\\rforged \\x00 \\x9b31m"
    shown = r"a\x1b]0;pwn\x07b\x1b[2Jc\x0dforged \x00 \u009b31m"
    server.deploy("loud", f"def handle(req):\n    print('{text}')\n    raise ValueError('{text}')\n")
    assert cli.run("invoke", "loud").returncode == 5
    lines = eventually(lambda: cli.ok("logs", "loud"))
    assert f" stdout {shown}\n" in lines and f"ValueError: {shown}\n" in lines
    server.deploy("broken", f"raise ValueError('{text}\\nid  forged')\n", wait_for="Failed")
    table = cli.ok("get", "broken")
    assert "]0;pwn" in table and "\nid  forged" not in table
    (cli.folder / "broken.py").write_text(f"raise ValueError('{text}')\n")
    refused = cli.run("deploy", "broken.py")
    assert refused.returncode != 0 and "]0;pwn" in refused.stderr
    for said in (lines, table, cli.ok("list"), refused.stdout, refused.stderr):
        assert not [each for each in said if each not in "\t\n" and not each.isprintable()], said
