"""Each folder that the server writes is full, can only be read, or does not answer: it says which, the rest works on, and
it is over when the disk is well again."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

import sterna
from async_calls import call, submit
from campaign import OPTIONS
from health import problems, wait_for_problem, wait_until_well
from polling import eventually
from sterna import encode_source, function_path, problem_of
from test_full_disk import fill

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a file system of one's own needs root")

FOLDERS = {"run": "bodies", "bundles": "bundles", "layers": "layers", "logs": "logs", "build-logs": "build_logs"}
HELLO = "def handle(req):\n    print('line', flush=True)\n    return {'body': req.body}\n"


@pytest.fixture
def mount(tmp_path):
    """Mounts by folder; unmounted at the end."""
    mounted = []

    def mount(folder, *options):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", *options, folder], check=True)
        mounted.append(folder)

    yield mount
    for folder in reversed(mounted):
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def start(tmp_path):
    started = []

    def start(data_dir):
        running = sterna.Server(data_dir, *OPTIONS)
        running.log_path = tmp_path / "server.log"
        started.append(running)
        return running.start()

    yield start
    for running in started:
        assert running.stop() == 0, running.log()[-4000:]


def on_own_disk(folder, disk, mount):
    """A link to a small file system: what is mounted in a data directory would be taken for something left behind."""
    mount(disk, "-t", "tmpfs", "-o", "size=4m", "tmpfs")
    folder.parent.mkdir(exist_ok=True)
    folder.symlink_to(disk)


def test_each_folder_that_is_full_is_named_and_the_rest_works(tmp_path, mount, start):
    disk = tmp_path / "disk"
    mount(disk, "-t", "tmpfs", "-o", "size=16m", "tmpfs")  # the databases are in the data directory itself
    data = disk / "data"
    for folder in FOLDERS:
        on_own_disk(data / folder, tmp_path / f"disk-{folder}", mount)
    server = start(data)
    server.deploy("hello", HELLO, limits={"max_replicas": 1})
    assert server.call("hello", method="POST", content=b"x").content == b"x"

    fillers = {}
    for folder in FOLDERS:
        fillers[folder] = fill(data / folder)
        assert server.call("hello", method="POST", content=b"small").content == b"small"
    for component in FOLDERS.values():
        wait_for_problem(server, component, "disk_full")
    problem_of(server.call("hello", method="POST", content=bytes(1 << 20)), 503, "disk_full", "platform")
    refused = server.request("PUT", function_path("hello") + "/code", headers={"Content-Type": "application/zip"},
                             content=b"x" * 100)  # fmt: skip
    assert refused.status_code >= 400
    answer = server.request("POST", "/spaces/default/functions",
                            json={"name": "new", "template": "python3-http", "source": encode_source({"handler.py": HELLO, "big": "x" * 100_000})})  # fmt: skip
    assert answer.status_code in (500, 503, 507), answer.text
    assert call(server, "hello", content=b"kept").ended()["state"] == "succeeded"  # the queue has room

    fillers[""] = fill(data)
    eventually(lambda: submit(server, "hello", content=bytes(200_000)).status_code == 503)
    wait_for_problem(server, "data_dir", "disk_full")
    assert problems(server) >= {(component, "disk_full") for component in FOLDERS.values()}
    assert server.call("hello", method="POST", content=b"still").content == b"still"

    for filler in fillers.values():
        filler.unlink()
    read_only = ["mount", "-o", "remount,ro", tmp_path / "disk-logs"]
    eventually(lambda: subprocess.run(read_only, capture_output=True).returncode == 0)  # the log's writer may be at it
    wait_for_problem(server, "logs", "disk_read_only")
    assert server.call("hello", method="POST", content=b"x").content == b"x"
    subprocess.run(["mount", "-o", "remount,rw", tmp_path / "disk-logs"], check=True)
    wait_until_well(server)
    assert server.call("hello", method="POST", content=bytes(1 << 20)).status_code == 200
    assert call(server, "hello", content=bytes(200_000)).ended()["state"] == "succeeded"
    server.deploy("new", HELLO)
    assert server.call("new", method="POST", content=b"new").content == b"new"
    answer = server.call("hello", method="POST", content=b"logged")
    assert eventually(lambda: server.logs("hello", call_id=answer.headers["X-Call-Id"]))


def test_a_run_whose_output_cannot_be_kept_is_noted_and_repeated_less_and_less_often(tmp_path, mount, start):
    data = tmp_path / "data"
    on_own_disk(data / "run", tmp_path / "disk-run", mount)
    server = start(data)
    server.deploy("big", "def handle(req):\n    return {'body': b'x' * (3 << 20)}\n", limits={"max_replicas": 1})
    assert call(server, "big").ended()["state"] == "succeeded"
    filler = fill(data / "run")
    made = call(server, "big")

    def noted():
        found = made.get()["attempts"]
        assert len(found) >= 3, found
        return found[:3]

    attempts = eventually(noted, 30)
    assert {each["reason"] for each in attempts} == {"result_not_kept"}
    began = [datetime.fromisoformat(each["started_at"]) for each in attempts]
    assert [(after - before).total_seconds() >= pause for before, after, pause in zip(began, began[1:], (1, 2))] == [True, True]
    filler.unlink()
    assert made.ended(60)["state"] == "succeeded"  # though it has three attempts, which none of these were


def test_a_disk_that_does_not_answer_for_a_while(tmp_path, mount, start, receiver, runs):
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount(disk, "-o", "loop", image)
    server = start(disk / "data")
    runs.deploy(server, "echo", limits={"max_replicas": 1})
    assert server.call("echo", method="POST", content=b"x").content == b"x"
    subprocess.run(["fsfreeze", "-f", disk], check=True)
    try:
        with ThreadPoolExecutor() as pool:
            late = [pool.submit(submit, server, "echo", callback=receiver.url("/late"), content=b"late") for _ in range(5)]
            wait_for_problem(server, "queue", "disk_slow")
            for _ in range(20):
                assert server.call("echo", method="POST", content=b"sync").content == b"sync"
            assert not any(each.done() for each in late)  # nothing is said to be kept that is not
            subprocess.run(["fsfreeze", "-u", disk], check=True)
            accepted = {each.result(20).json()["id"] for each in late}
    finally:
        subprocess.run(["fsfreeze", "-u", disk], capture_output=True)
    receiver.wait("/late", 5, 20)
    assert {each.header("X-Call-Id") for each in receiver.received("/late")} == accepted
    wait_until_well(server)
