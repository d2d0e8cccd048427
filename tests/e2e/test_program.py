"""`sterna serve` as a program: start, refusal, signals, crash and restart, what operators look at."""

import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import processes
from handlers import ECHO, SLOW
from polling import eventually
from raw_http import RawClient
from sterna import BINARY, Server, encode_source

FINE = "def handle(req):\n    return {'body': 'fine'}\n"


def run(*arguments, environment=None, timeout=20):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("STERNA_")}
    return subprocess.run(
        [str(BINARY), *map(str, arguments)], env={**clean, **(environment or {})}, capture_output=True, text=True,
        timeout=timeout, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.sanitizer
def test_health_and_readiness(server):
    assert server.request("GET", "/healthz").status_code == 200
    assert server.request("GET", "/readyz").status_code == 200


@pytest.mark.sanitizer
def test_metrics_are_prometheus_text(server):
    server.deploy("measured", FINE)
    assert server.call("measured").status_code == 200
    answer = server.request("GET", "/metrics")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain")
    sample = re.compile(
        r'[a-zA-Z_:][\w:]*(\{([a-z_]\w*="(\\.|[^"\\])*",?)*\})? -?([\d.e+-]+|\+?Inf|NaN)( \d+)?'
    )
    lines = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    assert lines and all(sample.fullmatch(line) for line in lines), [
        line for line in lines if not sample.fullmatch(line)
    ]
    assert any(
        line.startswith("sterna_") and 'function="measured"' in line and line.split()[-1] not in ("0", "0.0")
        for line in lines
    )


def test_too_few_descriptors_are_refused_with_what_to_do(tmp_path):
    serve = [str(BINARY), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "data"), "--auth", "none"]
    refused = subprocess.run(["prlimit", "--nofile=64", *serve], capture_output=True, text=True, timeout=20)
    assert refused.returncode == 1
    assert "may open 64 files only" in refused.stderr and "ulimit -Hn" in refused.stderr


@pytest.mark.sanitizer
def test_a_second_server_on_the_same_data_is_refused(server):
    second = run("serve", "--listen", "127.0.0.1:0", "--data-dir", server.data_dir, "--auth", "none")
    assert second.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT)
    assert (
        "another" in second.stderr.lower()
        or "in use" in second.stderr.lower()
        or "already" in second.stderr.lower()
    )
    assert server.request("GET", "/healthz").status_code == 200


def test_a_port_in_use_is_a_clear_error(server, tmp_path):
    second = run(
        "serve",
        "--listen",
        f"127.0.0.1:{server.address[1]}",
        "--data-dir",
        tmp_path / "data",
        "--auth",
        "none",
    )
    assert second.returncode > 0 and "in use" in second.stderr.lower()


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_no_auth_is_only_for_loopback(tmp_path, listen):
    refused = run("serve", "--listen", listen, "--data-dir", tmp_path / "data", "--auth", "none")
    assert refused.returncode > 0 and "loopback" in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--listen", "nonsense"],
        ["--listen", "127.0.0.1:99999"],
        ["--auth", "maybe"],
        ["--no-such-option"],
        ["--queue-length", "-1"],
        ["--data-dir", "/proc/no/such"],
        ["--config", "/no/such/file.toml"],
    ],
)
def test_bad_options_are_refused_with_a_reason(tmp_path, arguments):
    refused = run(
        "serve", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "data", "--auth", "none", *arguments
    )
    assert refused.returncode > 0 and refused.stderr.strip()
    assert "terminate called" not in refused.stderr


def test_a_folder_in_place_of_the_settings_file_is_a_clear_error(tmp_path):
    refused = run("serve", "--config", tmp_path)
    assert refused.returncode == 2, refused
    assert str(tmp_path) in refused.stderr


def test_a_working_directory_that_is_gone_matters_to_relative_paths_only(tmp_path):
    def serve(*options):
        gone = tmp_path / "gone"
        gone.mkdir()
        return subprocess.run(
            ["sh", "-c", 'cd "$1" && rmdir "$1" && shift && exec "$@"', "sh", gone, BINARY, "serve", *options],
            capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    (tmp_path / "file").touch()
    refused = serve("--data-dir", tmp_path / "file")  # it gets as far as this
    assert refused.returncode == 1 and str(tmp_path / "file") in refused.stderr, refused
    refused = serve("--data-dir", "data")
    assert refused.returncode == 2 and "working directory is gone" in refused.stderr, refused


def test_a_damaged_database_is_named(tmp_path):
    (tmp_path / "queue.db").write_bytes(b"x" * 8192)
    refused = run("serve", "--data-dir", tmp_path, "--listen", "127.0.0.1:0")
    assert refused.returncode == 1, refused
    assert str(tmp_path / "queue.db") in refused.stderr


@pytest.mark.parametrize("arguments", [["version"], ["--help"], ["list", "--json"], ["serve", "--print-config"]])
def test_output_that_cannot_be_written_is_an_error(server, arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, *arguments], env={**os.environ, "STERNA_URL": server.url}, stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=20)  # fmt: skip
    assert done.returncode == 1, done
    assert "No space left on device" in done.stderr


def test_no_administrator_is_made_whose_secret_cannot_be_shown(start_server, tmp_path):
    data = tmp_path / "data"
    with open("/dev/full", "w") as full:
        refused = subprocess.run([BINARY, "serve", "--data-dir", data, "--listen", "127.0.0.1:0"], stdout=full,
                                 stderr=subprocess.PIPE, text=True, timeout=20)  # fmt: skip
    assert refused.returncode == 1 and "secret cannot be shown" in refused.stderr, refused
    assert not (data / "address").exists()
    again = start_server(data_dir=data, auth="oauth2")
    assert "client secret:" in again.log()


def without(stream):
    """What starts a program with that descriptor closed."""
    return ["sh", "-c", f'"$0" "$@" {stream}>&-; exit $?']


def test_no_administrator_is_made_for_a_closed_output(start_server, tmp_path):
    data = tmp_path / "data"
    refused = subprocess.run([*without(1), BINARY, "serve", "--data-dir", data, "--listen", "127.0.0.1:0"],
                             stderr=subprocess.PIPE, text=True, timeout=20)  # fmt: skip
    assert refused.returncode == 1 and "secret cannot be shown" in refused.stderr, refused
    assert "secret" not in (data / "lock").read_text()
    again = start_server(data_dir=data, auth="oauth2")
    assert "client secret:" in again.log()


def test_the_log_of_a_closed_output_goes_nowhere_else(start_server):
    server = start_server(prefix=without(2))

    def troubles():
        return [(trouble["component"], trouble["reason"]) for trouble in server.request("GET", "/readyz").json()["problems"]]

    eventually(lambda: ("log", "lines_lost") in troubles())
    assert (server.data_dir / "lock").read_text() == f"{server.pid()}\n"


NODE = "exports.handle = () => ({ body: require('fs').readFileSync('/run/secrets/KEY', 'utf8') });\n"
BUILT = """
#include <sterna/function.h>
sterna::Response handle(const sterna::Request&) { return sterna::text("built"); }
"""


def test_functions_do_not_depend_on_the_umask_of_the_server(start_server):
    server = start_server(prefix=["sh", "-c", 'umask 077; "$0" "$@"; exit $?'])
    assert server.request("PUT", "/spaces/default/secrets/KEY", json={"value": "opened"}).status_code == 201
    server.deploy("node", {"handler.js": NODE}, template="node-http", secrets=["KEY"])
    assert server.call("node").text == "opened"
    server.deploy("built", {"handler.cc": BUILT}, template="cpp")
    assert server.call("built").text == "built"
    serve = ["python3", "-m", "http.server", "$PORT"]
    server.deploy("web", {"index.html": "hello"}, template="http", command=serve)
    assert server.call("web").status_code == 200


# What asks for a socket gets its network by a process of the server's, which is adopted when its parent ends.
SOCKET = """
import socket
def handle(req):
    socket.socket().close()
    return {"body": "opened"}
"""


@pytest.mark.skipif(os.getuid() != 0, reason="a process namespace of one's own needs root")
def test_the_first_process_of_a_container_leaves_no_zombies(start_server):
    server = start_server(prefix=["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
    server.deploy("socket", SOCKET, limits={"network": "egress"})
    for _ in range(3):
        assert server.call("socket").text == "opened"
        assert [each for each in server.processes() if each.name().startswith(("pasta", "passt"))]
        assert server.request("POST", "/spaces/default/functions/socket/stop").status_code == 200
        eventually(lambda: not [each for each in server.processes() if each.name().startswith(("pasta", "passt"))])
        assert server.request("POST", "/spaces/default/functions/socket/start").status_code == 200
        server.wait_for_status("socket", "Running")
    eventually(lambda: not processes.zombies_of(server.pid()))


def test_a_limit_of_files_sizes_does_not_end_the_server(start_server):
    server = start_server(prefix=["sh", "-c", 'ulimit -f 1000; "$0" "$@"; exit $?'])
    server.deploy("fine", FINE)
    assert server.call("fine").text == "fine"
    code = {"handler.py": FINE, "large": os.urandom(2_000_000)}
    body = {"template": "python3-http", "source": encode_source(code)}
    refused = server.request("PUT", "/spaces/default/functions/fine", json=body)
    assert refused.status_code == 503 and "File too large" in refused.text, refused.text
    assert server.call("fine").text == "fine"


def test_settings_come_from_file_environment_and_flags(start_server, tmp_path):
    config = tmp_path / "sterna.toml"
    config.write_text("[limits]\nmax_path_levels = 5\n")
    server = start_server("--config", str(config))
    server.deploy("deep", FINE)
    assert server.call("deep", "/a/b/c/d/e").status_code == 200
    assert server.call("deep", "/a/b/c/d/e/f").status_code == 404
    assert server.stop() == 0
    server.environment = {"STERNA_MAX_PATH_LEVELS": "1"}
    server.start()
    assert server.call("deep", "/a").status_code == 200
    assert server.call("deep", "/a/b").status_code == 404
    assert server.stop() == 0
    server.options = (*server.options, "--max-path-levels", "2")
    server.start()
    assert server.call("deep", "/a/b").status_code == 200


def test_the_log_is_structured(start_server):
    server = start_server("--log-format", "json")
    server.deploy("fine", FINE)
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.log().splitlines()]
    assert len(lines) >= 2
    assert all({"time", "level", "event"} <= set(line) for line in lines)
    assert any(str(server.address[1]) in json.dumps(line) for line in lines)


def test_version_and_help():
    assert re.search(r"\d+\.\d+\.\d+", run("--version").stdout)
    for arguments in (["--help"], ["serve", "--help"]):
        shown = run(*arguments)
        assert shown.returncode == 0 and "serve" in shown.stdout
    assert run().returncode != 0
    assert run("no-such-command").returncode != 0


# Ending


@pytest.mark.sanitizer
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_calls_end(start_server, ending):
    server = start_server()
    server.deploy("slow", SLOW)
    server.call("slow", "?seconds=0")
    answers = []
    calling = threading.Thread(target=lambda: answers.append(server.call("slow", "?seconds=1.5")))
    calling.start()
    wait_until_it_runs(server, "1.5")
    with RawClient(server.address) as idle:
        os.kill(server.pid(), ending)
        calling.join()
        assert answers[0].status_code == 200 and answers[0].text == "done"
        assert server.process.wait(10) == 0
        assert idle.is_closed()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(server.address, 2)


def wait_until_it_runs(server, seconds):
    """Until SLOW has begun the call that takes so long."""
    eventually(lambda: f"began {seconds}" in [each["text"] for each in server.logs("slow")])


def test_draining_has_an_end(start_server):
    server = start_server("--drain-seconds", "0.5")
    server.deploy("slow", SLOW, limits={"timeout_seconds": 60})
    server.call("slow", "?seconds=0")
    with server.open() as client:
        client.request("GET", "/spaces/default/functions/slow/invoke?seconds=50")
        wait_until_it_runs(server, "50")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10
        assert client.read().status == 503


def test_an_idle_server_ends_at_once(start_server):
    server = start_server()
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 5
    assert not (server.data_dir / "address").exists()


def test_a_second_signal_during_the_drain_does_no_harm(start_server):
    server = start_server("--drain-seconds", "1")
    server.deploy("slow", SLOW)
    with server.open() as client:
        client.request("GET", "/spaces/default/functions/slow/invoke?seconds=20")
        wait_until_it_runs(server, "20")
        os.kill(server.pid(), signal.SIGTERM)
        os.kill(server.pid(), signal.SIGTERM)
        assert server.process.wait(15) in (0, 1, 130, 143)


PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207


def stop_main_thread(pid):
    """Stops the main thread of this child alone, as if it hung; the one who calls must live as long."""
    libc = ctypes.CDLL(None, use_errno=True)
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        if libc.ptrace(request, pid, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")
    assert os.WIFSTOPPED(os.waitpid(pid, 0)[1])


def test_a_second_signal_ends_a_server_whose_loop_hangs(start_server):
    server = start_server()
    started = server.processes()
    stop_main_thread(server.pid())
    os.kill(server.pid(), signal.SIGTERM)
    eventually(lambda: not signal_is_pending(server.pid(), signal.SIGTERM))
    os.kill(server.pid(), signal.SIGTERM)
    assert server.process.wait(10) == 1
    assert "a thread does not end" in server.log()
    eventually(lambda: not [each for each in started if each.is_alive()], 10)


def signal_is_pending(pid, number):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return bool(int(re.search(r"^ShdPnd:\s*(\w+)$", status, re.M)[1], 16) & (1 << (number - 1)))


# Crashing


@pytest.mark.sanitizer
def test_kill_9_leaves_nothing_and_the_next_start_is_clean(start_server):
    server = start_server()
    server.deploy("slow", SLOW)
    server.deploy("echo", ECHO)
    assert server.call("echo", method="POST", content=b"x").content == b"x"
    with server.open() as client:
        client.request("GET", "/spaces/default/functions/slow/invoke?seconds=60")
        wait_until_it_runs(server, "60")
        started = server.processes()
        own = set(processes.process(os.getpid()).cgroups())
        cgroups = {folder for each in started for folder in each.cgroups()} - own
        assert started
        server.kill()
        eventually(lambda: not [each for each in started if each.is_alive()], 10)

    server.start()
    eventually(lambda: not [folder for folder in cgroups if folder.exists()], 10)
    assert server.get("slow")["status"] == "Running"
    assert server.call("echo", method="POST", content=b"back").content == b"back"


def test_kill_9_again_and_again(start_server):
    server = start_server()
    server.deploy("echo", ECHO)
    for number in range(5):
        body = str(number).encode()
        eventually(lambda: server.call("echo", method="POST", content=body).content == body)
        server.kill()
        server.start()
    assert server.stop() == 0


def test_a_function_that_was_being_deployed_at_a_crash_is_deployed_after_it(start_server):
    server = start_server()
    server.deploy("half", FINE, wait_for=None)
    server.kill()
    server.start()
    server.wait_for_status("half", "Running")
    assert server.call("half").text == "fine"


def test_a_stale_address_file_does_not_matter(start_server, tmp_path):
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "address").write_text("127.0.0.1:1\n")
    server = start_server(data_dir=data_dir)
    assert server.address[1] != 1
    assert server.request("GET", "/healthz").status_code == 200


def test_an_address_file_that_cannot_be_written_comes_later(tmp_path):
    server = Server(tmp_path / "data")
    in_the_way = server.data_dir / "address.new"
    (in_the_way / "folder").mkdir(parents=True)
    server.log_path.touch()
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(server.start)
        eventually(lambda: "listening" in server.log(), 20)
        assert not (server.data_dir / "address").exists()
        shutil.rmtree(in_the_way)
        starting.result()
    assert server.stop() == 0
