"""Receivers that die, and receivers that behave badly: every callback comes at least once all the same."""

import base64
import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import time

from async_calls import call
from campaign import Campaign, pairs
from health import wait_for_problem, wait_until_well
from polling import eventually
from receiver import CLOSE, CUT_SHORT, GARBAGE, Answer, Receiver

PROGRAM = pathlib.Path(__file__).with_name("receiver_process.py")


class ReceiverProcess:
    def __init__(self, notes):
        with socket.create_server(("127.0.0.1", 0)) as reserved:
            self.port = reserved.getsockname()[1]
        self.notes = notes
        self.process = None

    def start(self):
        self.process = subprocess.Popen([sys.executable, PROGRAM, str(self.port), self.notes])
        eventually(self.listens)

    def listens(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def pairs(self):
        """A kill may have cut the last note short, and its sender has seen no answer."""
        found = []
        for line in self.notes.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                note = json.loads(line)
                found.append((note["id"], base64.b64decode(note["body"])))
        return found


def wait_a_moment(chance, longest):
    time.sleep(chance.random() * longest)


def test_a_receiver_that_is_killed_again_and_again(server, tmp_path, chance, report, runs):
    runs.deploy(server, "echo", limits={"max_replicas": 2})
    receiver = ReceiverProcess(tmp_path / "notes")
    receiver.start()
    try:
        with Campaign(server, "echo", f"http://127.0.0.1:{receiver.port}/", 1_500) as campaign:
            for number in range(1, 6):
                eventually(lambda: len(campaign.accepted()) > number * 200, 60)
                wait_a_moment(chance, 0.2)
                receiver.kill()
                wait_a_moment(chance, 0.3)
                receiver.start()
            campaign.join()
            campaign.wait_until_settled(240)
            listed = campaign.check(receiver.pairs())
        again = sum(len(each["callback"]["deliveries"]) - 1 for each in listed.values())
        assert again > 0  # the kills were felt
        report(f"{again} deliveries tried again, {campaign.summary(receiver.pairs(), runs)}")
    finally:
        receiver.kill()


class Moody(Receiver):
    """Most requests are taken; the others meet everything that a receiver can do wrong."""

    def __init__(self, chance):
        self.chance = chance
        super().__init__()

    def note(self, callback):
        super().note(callback)
        moods = [CLOSE, GARBAGE, CUT_SHORT, Answer(500), Answer(503, (("Retry-After", "1"),)), Answer(204, delay=0.3),
                 Answer(307, (("Location", "/moved"),)), Answer(200, body=b"x" * 200_000)]  # fmt: skip
        with self.lock:
            return self.chance.choice(moods) if self.chance.random() < 0.15 else Answer()


def test_a_receiver_that_does_everything_wrong_at_times(server, chance, report, runs):
    runs.deploy(server, "echo", limits={"max_replicas": 2})
    with Moody(chance) as receiver, Campaign(server, "echo", receiver.url("/callback"), 1_000) as campaign:
        campaign.join()
        campaign.wait_until_settled(300)
        campaign.check(pairs(receiver))
        report(campaign.summary(pairs(receiver), runs))


def test_several_receivers_that_cannot_be_reached_are_a_problem_of_the_server(server, receiver, runs):
    runs.deploy(server, "echo", limits={"max_replicas": 1})
    with contextlib.ExitStack() as reserved:
        ports = []
        for _ in range(3):
            bound = reserved.enter_context(socket.socket())
            bound.bind(("127.0.0.1", 0))  # nobody listens
            ports.append(bound.getsockname()[1])
        for port in ports:
            call(server, "echo", callback=f"http://127.0.0.1:{port}/")
        wait_for_problem(server, "callback", "none_reachable")
        call(server, "echo", callback=receiver.url("/answers"))
        receiver.one("/answers")
        wait_until_well(server)
