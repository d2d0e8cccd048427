"""Completion in the shells themselves, and the reference in docs/cli.md."""

import os
import shutil
import subprocess

import pytest

from sterna import BINARY, ROOT

FINE = "def handle(req):\n    return {'body': 'fine'}\n"

BASH = """
source <(sterna completion bash)
COMP_LINE=$1 COMP_POINT=${#1}
read -ra COMP_WORDS <<<"$1"
[[ $1 == *' ' ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
$(complete -p sterna | sed 's/complete -F \\([^ ]*\\) sterna/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
compdef() { :; }
_describe() { print -l -- "${candidates[@]%%:*}"; }
_files() { print -l -- *; }
source <(sterna completion zsh)
words=(${=1}) CURRENT=${#words}
[[ $1 == *' ' ]] && words+=("") && (( CURRENT += 1 ))
_sterna
"""
FISH = "sterna completion fish | source; complete -C $argv[1] | string replace -r '\\t.*' ''"
SHELLS = {"bash": ["bash", "-c", BASH, "bash"], "zsh": ["zsh", "-f", "-c", ZSH, "zsh"], "fish": ["fish", "-N", "-c", FISH]}  # fmt: skip


@pytest.fixture(params=SHELLS)
def offered(request, server, tmp_path):
    """What the shell offers for a line, typed in a folder with one file."""
    (tmp_path / "motion.py").write_text(FINE)
    path = f"{BINARY.parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(tmp_path), "STERNA_URL": server.url, "LANG": "C.UTF-8"}

    def offer(line):
        done = subprocess.run(
            [*SHELLS[request.param], line], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )  # fmt: skip
        return done.stdout.split()

    return offer


@pytest.fixture(scope="module", autouse=True)
def functions(server):
    server.request("POST", "/spaces", json={"name": "lab"})
    server.deploy("thermo", FINE)
    server.deploy("lamp", FINE, space="lab")


def test_commands_and_flags(offered):
    assert sorted(offered("sterna inv")) == ["invocations", "invoke"]
    assert "--callback" in offered("sterna invoke thermo --c")
    assert offered("sterna invocations list thermo --state s") == ["succeeded"]
    assert offered("sterna init --template no") == ["node-http"]


def test_names_that_the_server_knows(offered):
    assert offered("sterna get th") == ["thermo"]
    assert offered("sterna --space lab get ") == ["lamp"]
    assert offered("sterna spaces get l") == ["lab"]
    assert offered("sterna versions show thermo ") == ["1"]


def test_files(offered):
    assert "motion.py" in offered("sterna deploy mo")


def test_flags_with_their_value_in_one_word(server):
    line = "sterna invocations list thermo --state=su"
    script = BASH.replace('read -ra COMP_WORDS <<<"$1"', "COMP_WORDS=(sterna invocations list thermo --state = su)")
    done = subprocess.run(
        ["bash", "-c", script, "bash", line], capture_output=True, text=True, timeout=60,
        env={"PATH": f"{BINARY.parent}:{os.environ['PATH']}", "STERNA_URL": server.url},
    )  # fmt: skip
    assert done.stdout.split() == ["succeeded"], done.stderr


def test_the_reference_is_what_the_program_says(tmp_path):
    """When this fails: make docs."""
    copy = tmp_path / "cli.md"
    shutil.copy(ROOT / "docs/cli.md", copy)
    subprocess.run([str(BINARY), "reference", str(copy)], check=True, timeout=60)
    assert copy.read_text() == (ROOT / "docs/cli.md").read_text()
