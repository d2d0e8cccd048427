"""A disk that is full: what cannot be kept is refused, what was accepted is not lost, and it goes on with space again."""

import errno
import os
import subprocess
import time

import pytest

import sterna
from async_calls import call, submit
from campaign import OPTIONS, Campaign, pairs
from polling import eventually
from sterna import problem_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a file system of one's own needs root")


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def on_small_disk(small_disk):
    running = sterna.Server(small_disk / "data", *OPTIONS)
    running.log_path = small_disk.with_name("server.log")  # the log is not what the disk is full of
    running.start()
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0, running.log()[-4000:]


def fill(folder):
    """Takes all space that is left; answers the file that has it."""
    path = folder / "filler"
    with path.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC
    return path


def test_a_full_disk(on_small_disk, small_disk, receiver, report, runs):
    server = on_small_disk
    runs.deploy(server, "echo", limits={"max_replicas": 1})
    url = receiver.url("/callback")
    with Campaign(server, "echo", url, 20_000, 4, {"queue_unavailable"}, body_bytes=2_000) as campaign:
        eventually(lambda: len(campaign.accepted()) > 200)
        filler = fill(small_disk)
        eventually(lambda: sum("queue_unavailable" in each.refused for each in list(campaign.calls.values())) > 20, 60)
        problem_of(submit(server, "echo", callback=url, content=bytes(200_000)), 503, "queue_unavailable", "platform")
        # What needs no disk works on.
        assert server.request("GET", "/healthz").status_code == 200
        assert server.call("echo", method="POST", content=b"sync").content == b"sync"
        filler.unlink()
        before = len(campaign.accepted())
        eventually(lambda: len(campaign.accepted()) > before + 200, 60)
        campaign.stopping.set()
        campaign.join()
        campaign.wait_until_settled(120)
        campaign.check(pairs(receiver))
    report(campaign.summary(pairs(receiver), runs))


def test_a_restart_on_a_full_disk_loses_nothing(on_small_disk, small_disk, receiver, runs):
    server = on_small_disk
    runs.deploy(server, "echo", limits={"max_replicas": 1})
    with Campaign(server, "echo", receiver.url("/callback"), 20_000, 4, {"queue_unavailable"}, body_bytes=2_000) as campaign:
        eventually(lambda: len(campaign.accepted()) > 200)
        filler = fill(small_disk)
        eventually(lambda: sum("queue_unavailable" in each.refused for each in list(campaign.calls.values())) > 20, 60)
        campaign.stopping.set()
        campaign.join()
    server.kill()
    filler.unlink()
    server.start()
    campaign.wait_until_settled(120)
    campaign.check(pairs(receiver))


def exhaust(server, name):
    """Submits until not even a small call is accepted: files that are there already have room of their own."""
    for size in (200_000, 10_000, 0):
        eventually(lambda: submit(server, name, content=bytes(size)).status_code == 503, 60)


def test_a_run_that_ends_on_a_full_disk_is_settled_with_space_again(on_small_disk, small_disk, receiver, runs):
    server = on_small_disk
    runs.deploy(server, "slow", 2, limits={"max_replicas": 1})
    runs.deploy(server, "stuffing", 100, limits={"max_replicas": 1, "timeout_seconds": 200})
    made = call(server, "slow", callback=receiver.url("/slow"), content=b"body")
    made.until("running")
    began = time.monotonic()
    filler = fill(small_disk)
    exhaust(server, "stuffing")
    eventually(lambda: time.monotonic() > began + 3.5)  # the run is over
    assert made.get()["state"] == "running" and receiver.received("/slow") == []
    filler.unlink()
    assert receiver.one("/slow").body == b"body"
    found = made.ended()
    assert (found["state"], len(found["attempts"])) == ("succeeded", 1)
    assert runs.of(made.id) == 1  # what the run has answered was kept: it is not run again
