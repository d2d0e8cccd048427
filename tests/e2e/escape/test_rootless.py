"""The server as an ordinary user: user namespaces keep functions in, and what they cannot enforce is said."""

import os
import subprocess

import pytest

import attacks
from launchers import TEMPLATES, run
from sterna import BINARY, Server

USER = 12_345
AS_USER = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


class ExecutedServer(Server):
    """What its prefix starts takes the prefix's place: they are one process."""

    def pid(self):
        return self.process.pid


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rootless")
    os.chown(folder, USER, USER)
    for each in (folder, *folder.parents):
        if each.stat().st_uid == 0 and not each.stat().st_mode & 0o001 and each != each.parent:
            each.chmod(each.stat().st_mode | 0o011)
    return folder


@pytest.fixture(scope="module")
def server(home):
    if subprocess.run([*AS_USER, str(BINARY), "--version"], capture_output=True).returncode != 0:
        pytest.skip("the program cannot be run by another user here")
    running = ExecutedServer(home / "data", prefix=AS_USER).start()
    yield running
    assert running.stop() == 0, running.log()[-4000:]


def test_the_server_says_what_it_enforces(server):
    line = next(line for line in server.log().splitlines() if "sandbox " in line and "namespaces=" in line)
    for word in ("namespaces=", "system_call_filter=", 'user_per_function="missing"'):
        assert word in line, line
    assert "not root" in server.log()


@pytest.mark.parametrize("template", [each for each in TEMPLATES if each.name in ("python3-http", "node-http", "http")], ids=lambda each: each.name)
def test_attacks_reach_nothing(server, template):
    name = f"attacker-{template.name}"
    # Without a cgroup the limit is on each process's address space, of which interpreters reserve much.
    template.deploy(server, name, memory_mb=1024, timeout_seconds=120)
    answer = run(
        server,
        name,
        "attacks",
        {
            "markers": ["nothing-has-this"],
            "data_dir": str(server.data_dir),
            "pids": [server.pid(), os.getpid(), *[each.pid for each in server.processes()]],
            "port": server.address[1],
            "abstract": "nobody",
            "addresses": [],
        },
    )
    assert answer.status_code == 200, (answer.text, server.logs(name)[-20:])
    reached = {attack: found for attack, found in answer.json().items() if found}
    assert reached == {}
    assert set(answer.json()) == {each.__name__ for each in attacks.ATTACKS}


def test_strict_does_not_start_with_less(home):
    done = subprocess.run(
        [*AS_USER, str(BINARY), "serve", "--listen", "127.0.0.1:0", "--data-dir", home / "strict", "--auth", "none", "--sandbox", "strict"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "sandbox is strict" in done.stderr and "not root" in done.stderr, done.stderr
