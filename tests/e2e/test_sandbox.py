"""Hostile functions, seen from inside: what user code can reach, and how much it can take."""

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import namespaces
import processes
from polling import eventually
from sterna import Server, problem_of

# Runs the request's body as Python; what it puts into `out` is the answer.
SHELL = """
import ctypes, errno, json, os, pathlib, resource, signal, socket, subprocess, sys, time

libc = ctypes.CDLL(None, use_errno=True)

def handle(req):
    names = dict(globals(), out=None)
    exec(req.body, names)
    return {"body": {"out": names["out"]}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("server") / "data"
    running = Server(data_dir, environment={"SECRET_OF_THE_SERVER": "hunter2hunter2"}).start()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def shell(server):
    server.deploy("neighbour", {"handler.py": "def handle(req): return {}\n", "neighbours-secret.txt": "x"})
    server.deploy("shell", SHELL, limits={"network": "none", "max_pids": 32, "memory_mb": 128})
    server.call("neighbour")

    def run(code):
        answer = server.call("shell", method="POST", content=code.encode())
        assert answer.status_code == 200, (
            answer.text,
            server.logs("shell", call_id=answer.headers["x-call-id"]),
        )
        return answer.json()["out"]

    return run


# What can be seen


@pytest.mark.sanitizer
def test_the_data_directory_and_other_functions_are_not_there(server, shell):
    assert shell(f"out = os.path.exists({str(server.data_dir)!r})") is False
    names = shell(
        "out = [name for _, folders, files in os.walk('/', followlinks=False) for name in folders + files]"
    )
    assert "handler.py" in names
    for hidden in ("neighbours-secret.txt", "address", "sterna.db", server.data_dir.parent.name):
        assert hidden not in names


def test_its_own_files_are_there_and_read_only(shell):
    assert "handler.py" in shell("out = os.listdir('/function')")
    for path in (
        "/function/x",
        "/x",
        "/usr/x",
        "/etc/x",
        "/proc/sys/kernel/hostname",
        "/dev/x",
        "/sys/x",
        "/usr/bin/python3",
    ):
        code = f"try:\n    open({path!r}, 'a').close(); out = 'written'\nexcept OSError as error:\n    out = error.errno\n"
        assert shell(code) != "written", path


def test_tmp_is_writable_private_and_bounded(server, shell):
    assert shell("pathlib.Path('/tmp/mine').write_text('x'); out = os.listdir('/tmp')") == ["mine"]
    server.deploy("other-shell", SHELL, limits={"network": "none"})
    answer = server.call("other-shell", method="POST", content=b"out = os.listdir('/tmp')")
    assert answer.json()["out"] == []
    filling = """
written = 0
try:
    with open('/tmp/big', 'wb') as file:
        while written < 1 << 30:
            written += file.write(bytes(1 << 20))
            file.flush()
except OSError as error:
    os.unlink('/tmp/big')
out = written
"""
    answer = server.call("shell", method="POST", content=filling.encode())
    if answer.status_code == 200:
        assert answer.json()["out"] < 256 << 20
    else:
        problem_of(answer, 502, "out_of_memory", "function")


@pytest.mark.sanitizer
def test_nothing_of_the_servers_environment_is_there(server, shell):
    code = """
found = []
for each in os.listdir('/proc'):
    if each.isdigit():
        try:
            found.append(pathlib.Path('/proc', each, 'environ').read_text(errors='replace'))
            found.append(pathlib.Path('/proc', each, 'cmdline').read_text(errors='replace'))
        except OSError as error:
            found.append(str(error))
out = found + [str(dict(os.environ))]
"""
    seen = " ".join(shell(code))
    for hidden in ("SECRET_OF_THE_SERVER", "hunter2hunter2", "--data-dir", str(server.data_dir)):
        assert hidden not in seen


def test_processes_of_the_host_are_not_there(shell):
    pids = shell("out = [int(each) for each in os.listdir('/proc') if each.isdigit()]")
    assert len(pids) <= 5 and max(pids) < 1000
    assert shell("out = os.getpid()") in pids


def test_etc_shadow_and_home_folders_are_not_readable(shell):
    for path in (
        "/etc/shadow",
        "/etc/gshadow",
        "/root",
        "/home",
        "/var/lib/dpkg/status",
        "/etc/ssh",
        "/proc/1/root/etc/shadow",
    ):
        code = f"try:\n    out = os.listdir({path!r}) if os.path.isdir({path!r}) else open({path!r}).read()\nexcept OSError:\n    out = None\n"
        assert not shell(code), path


def test_descriptors_of_the_server_are_not_there(server, shell):
    # But for the one that lists them, which is closed by then.
    targets = shell(
        "fds = os.listdir('/proc/self/fd')\n"
        "out = {fd: os.readlink('/proc/self/fd/' + fd) for fd in fds if os.path.lexists('/proc/self/fd/' + fd)}"
    )
    assert len(targets) <= 12, targets
    for target in targets.values():
        assert str(server.data_dir) not in target and ".db" not in target and "cgroup" not in target, targets


def test_the_host_name_is_not_the_hosts(shell):
    assert shell("out = socket.gethostname()") != os.uname().nodename


# What can be done


def test_there_are_no_privileges(server, shell):
    status = dict(
        line.split(":\t", 1)
        for line in shell("out = open('/proc/self/status').read()").splitlines()
        if ":\t" in line
    )
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert shell("out = [os.getuid(), os.geteuid(), os.getgid(), os.getgroups()]")[0] != 0


def test_workers_are_nobody_special_for_the_host(server, shell):
    shell("out = 1")
    if os.getuid() != 0:
        pytest.skip("without root all processes are the server's user")
    uids = {}
    for each in server.processes():
        for line in processes.read(f"/proc/{each.pid}/status").splitlines():
            if line.startswith("Uid:"):
                uids[each.pid] = line.split()[1:]
    assert any("0" not in uid for uid in uids.values()), uids


@pytest.mark.sanitizer
@pytest.mark.parametrize(
    "call",
    [
        "libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)",
        "libc.umount2(b'/proc', 2)",
        "libc.unshare(0x10000000)",  # CLONE_NEWUSER
        "libc.unshare(0x00020000)",  # CLONE_NEWNS
        "libc.chroot(b'/tmp')",
        "libc.setuid(0)",
        "libc.setgid(0)",
        "libc.ptrace(16, 1, 0, 0)",  # PTRACE_ATTACH
        "libc.syscall(321, 0, 0, 0)",  # bpf
        "libc.syscall(250, 0, 0, 0)",  # keyctl
        "libc.syscall(298, 0, 0, -1, -1, 0)",  # perf_event_open
        "libc.syscall(425, 1, 0)",  # io_uring_setup
        "libc.syscall(323, 0)",  # userfaultfd
        "libc.syscall(246, 0, 0, 0, 0)",  # kexec_load
        "libc.syscall(165, 0, 0, 0, 0, 0)",  # mount
        "libc.syscall(308, 0, 0)",  # setns
        "libc.syscall(155, b'/', b'/')",  # pivot_root
        "libc.syscall(304, 0, 0, 0)",  # open_by_handle_at
        "libc.reboot(0)",
        "libc.sethostname(b'x', 1)",
        "libc.swapon(b'/tmp/x', 0)",
        "libc.mknod(b'/tmp/node', 0o020666, 0x101)",  # /dev/mem
        "libc.iopl(3)",
        "libc.nice(-5)",
        "libc.settimeofday(b'0' * 16, None)",
        "libc.acct(b'/tmp/x')",
        "libc.klogctl(3, b'0' * 16, 16)",
    ],
)
def test_calls_that_reach_for_the_host_fail(shell, call):
    if "nice" in call:
        assert shell(f"ctypes.set_errno(0); result = {call}; out = ctypes.get_errno()") != 0
    else:
        assert shell(f"out = {call}") == -1


def test_devices_are_only_the_harmless_ones(shell):
    allowed = {
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "shm",
        "fd",
        "stdin",
        "stdout",
        "stderr",
        "pts",
        "ptmx",
        "mqueue",
    }
    assert set(shell("out = os.listdir('/dev')")) <= allowed
    assert shell("open('/dev/null', 'w').write('x'); out = len(open('/dev/urandom', 'rb').read(8))") == 8


def test_signals_do_not_leave_the_sandbox(server, shell):
    server.deploy("signaller", SHELL, limits={"network": "none"})
    server.call("signaller", method="POST", content=b"os.kill(-1, 9)")
    assert shell("out = 'alive'") == "alive"
    assert server.request("GET", "/healthz").status_code == 200


# How much can be taken


@pytest.mark.sanitizer
def test_too_much_memory_is_out_of_memory(server):
    server.deploy("greedy", SHELL, limits={"memory_mb": 64, "network": "none", "max_replicas": 1})
    answer = server.call(
        "greedy", method="POST", content=b"blocks = [bytearray(b'x' * (1 << 20)) for _ in range(500)]"
    )
    problem_of(answer, 502, "out_of_memory", "function")
    assert server.call("greedy", method="POST", content=b"out = 1").json()["out"] == 1


# Starts a child that needs more than there is, and says how it ended; `count` of them, one after the other.
GREEDY_CHILDREN = """
GREEDY = "kept = []\\nwhile True: kept.append(bytearray(b'x' * (1 << 20)))"
for number in range(COUNT):
    child = subprocess.Popen([sys.executable, "-c", GREEDY], start_new_session=True)
    print(f"child {number} ended with {child.wait()}", flush=True)
time.sleep(20)
out = "lived on"
"""


def deploy_with_greedy_children(server, name, **limits):
    if not server.client.get("/spaces/default/functions/neighbour/sandbox").json()["enforced"]["memory"]:
        pytest.skip("the machine has no memory groups")
    server.deploy(name, SHELL, limits={"memory_mb": 64, "network": "none", "max_replicas": 1, **limits})


@pytest.mark.sanitizer
def test_a_child_that_is_killed_for_memory_ends_its_worker(server, shell):
    deploy_with_greedy_children(server, "greedy-child")
    before = set(server.processes())
    code = "pathlib.Path('/tmp/mine').touch(); subprocess.Popen(['/bin/sleep', '998'], start_new_session=True); out = 1"
    assert server.call("greedy-child", method="POST", content=code.encode()).json()["out"] == 1
    sleeping = eventually(
        lambda: [each for each in server.processes() if each.name() == "sleep" and each not in before]
    )
    answer = server.call("greedy-child", method="POST", content=GREEDY_CHILDREN.replace("COUNT", "1").encode())
    problem_of(answer, 502, "out_of_memory", "function")
    eventually(lambda: not [each for each in sleeping if each.is_alive()])
    code = b"out = [os.path.exists('/tmp/mine'), os.listdir('/proc')]"
    there, names = server.call("greedy-child", method="POST", content=code).json()["out"]
    assert there is False and len([each for each in names if each.isdigit()]) == 1
    told = [line["text"] for line in server.logs("greedy-child") if line["stream"] == "platform"]
    assert [text for text in told if "was killed because it used more memory than limits.memory_mb allows" in text], told
    assert shell("out = 'alive'") == "alive"


def test_children_that_fill_the_memory_one_after_the_other_end_with_the_first(server, shell):
    deploy_with_greedy_children(server, "greedy-children", timeout_seconds=30)
    answer = server.call("greedy-children", method="POST", content=GREEDY_CHILDREN.replace("COUNT", "50").encode())
    problem_of(answer, 502, "out_of_memory", "function")
    lines = [line["text"] for line in server.logs("greedy-children", call_id=answer.headers["x-call-id"])]
    assert len([text for text in lines if text.startswith("child ")]) <= 1, lines


@pytest.mark.sanitizer
def test_all_calls_of_a_worker_that_is_ended_for_memory_are_told_so(server, shell):
    """Others that the worker was running at the time."""
    deploy_with_greedy_children(server, "greedy-many", concurrency=2, timeout_seconds=30)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            server.call, "greedy-many", method="POST", content=b"print('begun', flush=True); time.sleep(25); out = 1"
        )
        eventually(lambda: [line for line in server.logs("greedy-many") if line["text"] == "begun"])
        answer = server.call("greedy-many", method="POST", content=GREEDY_CHILDREN.replace("COUNT", "1").encode())
        problem_of(answer, 502, "out_of_memory", "function")
        problem_of(waiting.result(), 502, "out_of_memory", "function")


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="nothing to be chosen from")
def test_who_uses_up_its_processors_is_kept_on_as_many_as_its_limit(server, shell):
    if not server.client.get("/spaces/default/functions/shell/sandbox").json()["enforced"]["cpu_confinement"]:
        pytest.skip("the machine has no cpuset groups")
    server.deploy("spins", SHELL, limits={"cpus": 0.5, "max_pids": 32, "network": "none", "max_replicas": 1})
    spin = """
children = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
deadline = time.monotonic() + 15
while len(os.sched_getaffinity(children[0].pid)) > 1 and time.monotonic() < deadline:
    time.sleep(0.05)
out = [len(os.sched_getaffinity(pid)) for pid in [0, *(child.pid for child in children)]]
for child in children:
    child.kill()
    child.wait()
"""
    assert server.call("spins", method="POST", content=spin.encode()).json()["out"] == [1] * 5
    assert shell("out = len(os.sched_getaffinity(0))") == len(os.sched_getaffinity(0))


def test_a_fork_bomb_is_bounded(server, shell):
    bomb = """
count = 0
children = []
try:
    while count < 2000:
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
        children.append(child)
        count += 1
except OSError as error:
    failed = error.errno
for child in children:
    os.kill(child, 9)
for child in children:
    os.waitpid(child, 0)
out = [count, failed]
"""
    answer = server.call("shell", method="POST", content=bomb.encode())
    if answer.status_code == 200:
        count, failed = answer.json()["out"]
        assert count < 32 and failed == 11  # EAGAIN
    else:
        problem_of(answer, 502, answer.json()["reason"], "function")
    assert shell("out = 'alive'") == "alive"
    assert server.call("neighbour").status_code == 200


def test_what_a_killed_worker_started_is_killed_with_it(server):
    server.deploy("litters", SHELL, limits={"timeout_seconds": 1, "network": "none", "max_replicas": 1})
    before = {each for each in server.processes()}
    code = "subprocess.Popen(['/bin/sleep', '999'], start_new_session=True); time.sleep(60)"
    answers = []
    calling = threading.Thread(
        target=lambda: answers.append(server.call("litters", method="POST", content=code.encode()))
    )
    calling.start()
    sleeping = eventually(
        lambda: [each for each in server.processes() if each.name() == "sleep" and each not in before]
    )
    calling.join()
    problem_of(answers[0], 504, "function_timeout", "function")
    eventually(lambda: not [each for each in sleeping if each.is_alive()])


def test_endless_output_does_not_fill_memory_or_hold_the_server(server):
    server.deploy("chatty", SHELL, limits={"timeout_seconds": 2, "network": "none", "max_replicas": 1})
    before = server.memory_kib()
    answer = server.call("chatty", method="POST", content=b"while True: print('x' * 10_000)")
    problem_of(answer, 504, "function_timeout", "function")
    assert server.memory_kib() - before < 64 * 1024


def test_open_files_are_bounded(shell):
    code = "files = []\ntry:\n    while True: files.append(open('/dev/null'))\nexcept OSError as error:\n    out = [len(files), error.errno]\n"
    count, failed = shell(code)
    assert count < 5000 and failed == 24


# The network


def test_without_network_there_is_no_way_out(server, shell):
    code = """
out = [name for _, name in socket.if_nameindex()]
for address in ('192.0.2.1', '10.0.0.1', '169.254.169.254'):
    try:
        socket.create_connection((address, 80), 1)
        out.append('connected')
    except OSError as error:
        out.append(error.errno)
"""
    assert shell(code) == ["lo", 101, 101, 101]
    refused = f"try:\n    socket.create_connection(('127.0.0.1', {server.address[1]}), 1); out = 1\nexcept OSError:\n    out = 0\n"
    assert shell(refused) == 0


def test_abstract_sockets_of_the_host_are_not_reachable(shell):
    name = f"\0sterna-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        code = f"s = socket.socket(socket.AF_UNIX)\ntry:\n    s.connect({name!r}); out = 1\nexcept OSError:\n    out = 0\n"
        assert shell(code) == 0


class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello from the test host")

    def log_message(self, *_):
        pass


REACH = """
def reach(host, port):
    try:
        with socket.create_connection((host, port), 3) as s:
            s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
            return s.makefile('rb').read().decode()
    except OSError as error:
        return 'error ' + str(error.errno)
"""


@pytest.fixture(scope="module")
def two_hosts():
    """The server's host and a test host in network namespaces of their own, joined by a virtual cable."""
    if os.getuid() != 0:
        pytest.skip("network namespaces need root")
    with namespaces.Pair() as pair:
        web = pair.run_there(lambda: ThreadingHTTPServer((pair.there_address, 0), Hello))
        serving = threading.Thread(target=web.serve_forever)
        serving.start()
        yield pair, web.server_port
        web.shutdown()
        serving.join()
        web.server_close()


# The test host stands in a private network, which functions reach only if the administrator opens it and they name it.
OPENED = "10.231.7.0/24,127.0.0.0/8"


def in_servers_host(pair, tmp_path, body, *options):
    """Runs `body(server)` with a server that lives in the pair's first host; only there it can be reached."""

    def run():
        server = Server(tmp_path / "data", *options).start()
        try:
            return body(server)
        finally:
            assert server.stop() == 0

    return pair.run_here(run)


def test_egress_reaches_the_outside_but_not_the_hosts_loopback(two_hosts, tmp_path):
    pair, port = two_hosts

    def body(server):
        server.deploy("out", SHELL, limits={"network": "egress", "egress_allow": ["10.0.0.0/8", "127.0.0.0/8"]})
        ways = {
            "outside": f"reach({pair.there_address!r}, {port})",
            "loopback": f"reach('127.0.0.1', {server.address[1]})",
            "loopback6": f"reach('::1', {server.address[1]})",
            "other loopback": f"reach('127.0.0.2', {server.address[1]})",
            "mapped": f"reach('::ffff:127.0.0.1', {server.address[1]})",
            "any": f"reach('0.0.0.0', {server.address[1]})",
            "gateway": f"reach({pair.there_address!r}, {server.address[1]})",
        }
        results = {}
        for name, expression in ways.items():
            answer = server.call("out", method="POST", content=f"{REACH}\nout = {expression}".encode())
            results[name] = answer.json()["out"]
        return results

    results = in_servers_host(pair, tmp_path, body, "--egress-private", OPENED)
    assert "hello from the test host" in results.pop("outside")
    assert all(result.startswith("error") for result in results.values()), results


def test_many_egress_calls_at_once(two_hosts, tmp_path):
    pair, port = two_hosts

    def body(server):
        server.deploy(
            "out", SHELL, limits={"network": "egress", "egress_allow": [pair.there_address], "max_replicas": 3}
        )
        code = f"{REACH}\nout = [reach({pair.there_address!r}, {port})[-24:] for _ in range(5)]".encode()
        with ThreadPoolExecutor(6, initializer=pair.enter_here) as pool:
            answers = list(
                pool.map(lambda _: server.call("out", method="POST", content=code).json()["out"], range(12))
            )
        return answers

    assert in_servers_host(pair, tmp_path, body, "--egress-private", OPENED) == [["hello from the test host"] * 5] * 12


# Every way of sending to an address: what a socket is bound to, or its options say, must not open a way around the filter.
WAYS_OUT = """
def tcp(address, port):
    with socket.create_connection((address, port), 3) as s:
        s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
        return s.makefile('rb').read().decode()[-24:]

def outside():
    return [name for _, name in socket.if_nameindex() if name != 'lo'][0]

def tcp_bound(address, port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, 25, outside().encode())  # SO_BINDTODEVICE
        s.settimeout(3)
        s.connect((address, port))
        return 'connected'

def tcp_unicast_if(address, port):
    with socket.socket() as s:
        s.setsockopt(socket.IPPROTO_IP, 50, struct.pack('>I', socket.if_nametoindex(outside())))  # IP_UNICAST_IF
        s.settimeout(3)
        s.connect((address, port))
        return 'connected'

def udp_pktinfo(address, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        info = struct.pack('=I4s4s', socket.if_nametoindex(outside()), b'\\0' * 4, b'\\0' * 4)
        s.sendmsg([b'x'], [(socket.IPPROTO_IP, 8, info)], 0, (address, port))  # IP_PKTINFO
        s.settimeout(3)
        return s.recv(10).decode()

def mapped(address, port):
    with socket.socket(socket.AF_INET6) as s:
        s.settimeout(3)
        s.connect(('::ffff:' + address, port))
        return 'connected'

import struct
out = {}
for way in (tcp, tcp_bound, tcp_unicast_if, udp_pktinfo, mapped):
    try:
        out[way.__name__] = way(ADDRESS, PORT)
    except OSError as error:
        out[way.__name__] = error.errno if error.errno else str(error)
"""


def test_egress_does_not_reach_private_networks_unless_both_sides_say_so(two_hosts, tmp_path):
    pair, port = two_hosts

    def body(server):
        limits = {
            "open": {"egress_allow": [pair.there_address]},
            "default": {},
            "elsewhere": {"egress_allow": ["203.0.112.0/24"]},
        }
        code = f"ADDRESS, PORT = {pair.there_address!r}, {port}\n{WAYS_OUT}".encode()
        results = {}
        for name, more in limits.items():
            server.deploy(name, SHELL, limits={"network": "egress", **more})
            results[name] = server.call(name, method="POST", content=code).json()["out"]
        return results

    results = in_servers_host(pair, tmp_path, body, "--egress-private", OPENED)
    assert results["open"]["tcp"] == "hello from the test host", results
    assert results["open"]["tcp_bound"] == results["open"]["mapped"] == "connected", results
    for name in ("default", "elsewhere"):
        assert not [way for way, result in results[name].items() if isinstance(result, str) and "ed out" not in result], results
        assert results[name]["tcp"] == 113, results  # refused at once, no timeout


def test_a_private_target_that_the_administrator_has_not_opened_is_refused_when_deployed(server):
    answer = server.request(
        "POST",
        "/spaces/default/functions",
        json={"name": "inward", "template": "python3-http", "limits": {"egress_allow": ["10.0.0.0/8", "no where"]}},
    )
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == ["limits.egress_allow[0]", "limits.egress_allow[1]"]
