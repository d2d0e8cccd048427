"""Replicas of a function that is slow to load are forked from a paused parent, and are as separate as any others."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

import processes
from polling import eventually
from sterna import function_path

# Loads for a while, then tells of itself: what is equal in two replicas was made once, by the import.
SLOW = """
import json, os, random, time

until = time.monotonic() + 0.3
while time.monotonic() < until:
    pass
IMPORTED = os.urandom(8).hex()
HOOKS = []

def before_fork():
    HOOKS.append("before")

def after_fork():
    HOOKS.append("after")

def handle(req):
    print("seen", req.path)
    if req.path == "/exit":
        os._exit(3)
    if req.path == "/fill":
        return {"body": str(len(bytearray(10**9)))}
    if req.path == "/write":
        open("/tmp/mine", "w").write("x")
    until = time.monotonic() + float(req.query.get("seconds", 0))
    while time.monotonic() < until:
        pass
    return {"body": {"imported": IMPORTED, "hooks": HOOKS, "instance": os.environ["STERNA_INSTANCE"],
                     "random": random.random(), "tmp": os.listdir("/tmp"), "pid": os.getpid(),
                     "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
                     "env": os.environ.get("MARK")}}
"""


def at_once(server, name, count, path="?seconds=0.5"):
    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(lambda _: server.call(name, path), range(count)))
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    return [answer.json() for answer in answers]


def by_instance(answers):
    return {answer["instance"]: answer for answer in answers}


def platform_log(server, name):
    return [line["text"] for line in server.logs(name) if line["stream"] == "platform"]


def descendants(server):
    return {each.pid for each in processes.descendants(server.pid())}


def replicas_of(server, name, count=2, path="?seconds=0.5"):
    """Answers of at least so many workers, by instance."""
    seen = {}

    def enough():
        seen.update(by_instance(at_once(server, name, count, path)))
        return len(seen) >= count

    eventually(enough, 20)
    return seen


def test_the_import_runs_once_for_all_replicas(server):
    server.deploy("once", SLOW, limits={"max_replicas": 3})
    seen = replicas_of(server, "once", 3)
    assert len({answer["imported"] for answer in seen.values()}) == 1
    assert len({answer["random"] for answer in seen.values()}) == 3
    for answer in seen.values():
        assert answer["hooks"] == ["before", "after"]
        assert answer["pid"] == 3 and answer["processes"] == [3]
    assert server.get("once")["metrics"]["replicas"] <= 3


# Each of them has drawn already when it is forked.
DRAWING = SLOW.replace("HOOKS = []", """HOOKS = []
import random, ssl, tempfile
ssl.RAND_bytes(1), random.random(), next(tempfile._get_candidate_names())
CONTEXT = ssl.create_default_context()

def hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        CONTEXT.wrap_bio(incoming, outgoing, server_hostname="example.com").do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read().hex()
""").replace('"random": random.random()',
             '"random": [ssl.RAND_bytes(8).hex(), random.random(), next(tempfile._get_candidate_names()), hello()]')


def test_no_two_replicas_draw_the_same_numbers(server):
    server.deploy("drawing", DRAWING, limits={"max_replicas": 3})
    seen = replicas_of(server, "drawing", 3)
    assert len({answer["imported"] for answer in seen.values()}) == 1, "forked from one parent"
    for drawn in zip(*(answer["random"] for answer in seen.values())):
        assert len(set(drawn)) == len(seen), drawn


def test_each_replica_has_a_folder_of_its_own_for_files(server):
    server.deploy("files", SLOW, limits={"max_replicas": 2})
    seen = replicas_of(server, "files", 2, "/write?seconds=0.3")
    assert all(answer["tmp"] == ["mine"] for answer in seen.values())


def test_lines_belong_to_the_replica_and_the_call(server):
    server.deploy("lines", SLOW, limits={"max_replicas": 2})
    seen = replicas_of(server, "lines", 2, "/a?seconds=0.3")
    eventually(
        lambda: {line["instance"] for line in server.logs("lines") if line["text"] == "seen /a"}
        == set(seen)
    )
    assert all(line["call_id"] for line in server.logs("lines") if line["text"] == "seen /a")


# Reads a file that is open since the import, a piece at a time, as a zip archive does.
READING = """
PIECES = open("pieces.txt", "rb", buffering=0)
FOLDER = os.open("/tmp", os.O_RDONLY | os.O_DIRECTORY)
assert PIECES.read(2) == b"00"

def read_pieces():
    assert PIECES.read(2) == b"01", "where the import has left it"
    os.close(os.open("mine", os.O_CREAT | os.O_WRONLY, dir_fd=FOLDER))
    got = []
    until = time.monotonic() + 0.4
    while time.monotonic() < until:
        PIECES.seek(20)
        got.append(PIECES.read(2) == b"10")
    PIECES.seek(2)
    return [all(got), os.listdir("/tmp")]
"""


def test_files_that_are_open_since_the_import_are_each_replicas_own(server):
    source = SLOW.replace("HOOKS = []", f"HOOKS = []\n{READING}").replace('os.environ.get("MARK")', "read_pieces()")
    pieces = "".join(f"{number:02}" for number in range(50))
    server.deploy("reading", {"handler.py": source, "pieces.txt": pieces}, limits={"max_replicas": 2})
    seen = replicas_of(server, "reading", 2, "/")
    assert len({answer["imported"] for answer in seen.values()}) == 1, "forked from one parent"
    assert [answer["env"] for answer in seen.values()] == [[True, ["mine"]]] * 2


def test_the_working_directory_is_the_functions(server):
    source = SLOW.replace('os.environ.get("MARK")', "[os.getcwd(), open('data.txt').read()]")
    server.deploy("placed", {"handler.py": source, "data.txt": "hello"}, limits={"max_replicas": 2})
    assert {tuple(answer["env"]) for answer in replicas_of(server, "placed").values()} == {("/function", "hello")}


def test_secrets_and_environment_are_those_of_the_function(server):
    assert server.request("PUT", "/spaces/default/secrets/WARM_KEY", json={"value": "p4ss"}).is_success
    source = SLOW.replace('os.environ.get("MARK")', 'open("/run/secrets/WARM_KEY").read()')
    server.deploy("secretive", source, secrets=["WARM_KEY"], limits={"max_replicas": 2})
    assert {answer["env"] for answer in replicas_of(server, "secretive").values()} == {"p4ss"}
    assert server.request("PUT", "/spaces/default/secrets/WARM_KEY", json={"value": "new"}).is_success
    eventually(lambda: {answer["env"] for answer in replicas_of(server, "secretive").values()} == {"new"}, 20)


def test_a_new_version_has_a_parent_of_its_own(server):
    server.deploy("switched", SLOW, env={"MARK": "one"}, limits={"max_replicas": 2})
    before = replicas_of(server, "switched")
    server.deploy("switched", SLOW, env={"MARK": "two"}, limits={"max_replicas": 2})
    eventually(lambda: server.call("switched").json()["env"] == "two", 20)
    after = replicas_of(server, "switched")
    assert {answer["env"] for answer in before.values()} == {"one"}
    assert {answer["env"] for answer in after.values()} == {"two"}
    assert {answer["imported"] for answer in before.values()} != {answer["imported"] for answer in after.values()}


def test_a_replica_that_ends_is_replaced_from_the_same_parent(server):
    server.deploy("ending", SLOW, limits={"max_replicas": 1})
    first = server.call("ending").json()
    assert server.call("ending", "/exit").status_code == 502
    second = server.call("ending").json()
    assert second["imported"] == first["imported"] and second["instance"] != first["instance"]


def test_memory_is_limited_for_each_replica(server):
    server.deploy("filling", SLOW, limits={"max_replicas": 2, "memory_mb": 128})
    seen = replicas_of(server, "filling")
    answer = server.call("filling", "/fill")
    assert (answer.status_code, answer.json()["reason"]) == (502, "out_of_memory")
    later = replicas_of(server, "filling")
    assert len(set(seen) & set(later)) == 1, "the other one was left alone"
    assert {each["imported"] for each in (*seen.values(), *later.values())} == {first_of(seen)["imported"]}


def first_of(answers):
    return next(iter(answers.values()))


def parents(server):
    """The paused workers: pid 2 of a sandbox that has others within it."""
    children = processes.children_by_parent()
    found = []
    for init in processes.descendants(server.pid()):
        within = [pid for pid in children.get(init.pid, []) if len(nspid(pid)) == 3]
        found += [pid for pid in children.get(init.pid, []) if within and nspid(pid)[1:] == ["2"]]
    return found


def nspid(pid):
    for line in processes.read(f"/proc/{pid}/status").splitlines():
        if line.startswith("NSpid:"):
            return line.split()[1:]
    return []


def test_a_killed_parent_is_replaced_and_nobody_notices(start_server):
    server = start_server()
    server.deploy("orphaned", SLOW, limits={"max_replicas": 2})
    seen = replicas_of(server, "orphaned")
    (parent,) = parents(server)
    os.kill(parent, signal.SIGKILL)
    eventually(lambda: any("warm parent was killed" in text for text in platform_log(server, "orphaned")))
    still = by_instance(at_once(server, "orphaned", 2))
    assert set(still) <= set(seen), "the replicas live on"
    for _ in seen:
        server.call("orphaned", "/exit")
    again = replicas_of(server, "orphaned")
    assert {answer["imported"] for answer in again.values()} != {first_of(seen)["imported"]}
    assert len({answer["imported"] for answer in again.values()}) == 1, "forked from a new one"


def test_nothing_is_left_when_a_function_scales_to_zero(start_server):
    server = start_server("--spares", "0")
    server.deploy("resting", SLOW, limits={"max_replicas": 2, "idle_seconds": 0.3})
    before = len(replicas_of(server, "resting"))
    assert before == 2
    eventually(lambda: server.replicas("resting") == 0, 20)
    zygotes = set(processes.children_by_parent()[server.pid()])
    eventually(lambda: descendants(server) == zygotes, 20)
    assert server.call("resting").status_code == 200


def test_nothing_is_left_of_a_killed_server(start_server):
    server = start_server()
    server.deploy("stray", SLOW, limits={"max_replicas": 2})
    replicas_of(server, "stray")
    living = processes.descendants(server.pid())
    assert len(living) > 4
    server.kill()
    eventually(lambda: not any(each.is_alive() for each in living), 20)


def test_opting_out(server):
    server.deploy("alone", SLOW, limits={"max_replicas": 2, "warm_parent": False})
    seen = replicas_of(server, "alone")
    assert len({answer["imported"] for answer in seen.values()}) == 2
    assert all(answer["hooks"] == ["after"] for answer in seen.values())


def test_what_loads_quickly_has_no_parent(server):
    server.deploy("quick", SLOW.replace("+ 0.3", "+ 0.0"), limits={"max_replicas": 2})
    seen = replicas_of(server, "quick")
    assert len({answer["imported"] for answer in seen.values()}) == 2
    assert all(answer["hooks"] == ["after"] for answer in seen.values())


@pytest.mark.parametrize(
    "what, line, why",
    [
        ("thread", "import threading; threading.Thread(target=time.sleep, args=(1000,), name='beat', daemon=True).start()",
         "1 more thread(s) run after the import (beat)"),
        ("socket", "import socket; LEFT = socket.socketpair()", "the import leaves descriptor"),
        ("child", "import subprocess; LEFT = subprocess.Popen(['sleep', '1000'])", "the import leaves a child process"),
        ("file", "open('/tmp/cache', 'w').write('x')", "the import leaves files in /tmp"),
        ("scratch", "import tempfile; LEFT = tempfile.TemporaryFile()", "the import leaves descriptor"),
        ("lock", "import multiprocessing; LEFT = multiprocessing.Lock()", "the import leaves shared memory"),
        ("timer", "import signal; signal.setitimer(signal.ITIMER_REAL, 1000)", "the import leaves a timer running"),
    ],
)
def test_what_cannot_be_forked_is_not(server, what, line, why):
    server.deploy(f"with-{what}", SLOW.replace("HOOKS = []", f"HOOKS = []\n{line}"), limits={"max_replicas": 2})
    seen = replicas_of(server, f"with-{what}")
    assert len({answer["imported"] for answer in seen.values()}) == 2
    told = [text for text in platform_log(server, f"with-{what}") if "no warm parent is kept" in text]
    assert len(told) == 1 and why in told[0], told


@pytest.mark.parametrize("hook", ["before_fork", "after_fork"])
def test_a_hook_that_raises_is_a_load_error(server, hook):
    source = SLOW.replace(f"def {hook}():", f"def {hook}():\n    raise ValueError('no')")
    server.deploy(f"hook-{hook[:5].strip('_')}", source, wait_for="Failed")
    reason = server.get(f"hook-{hook[:5].strip('_')}")["status_reason"]
    number = source.splitlines().index("    raise ValueError('no')") + 1
    assert f"handler.py, line {number}: `{hook}` raised ValueError: no" in reason
