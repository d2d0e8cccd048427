"""The machine's clock is set while calls come in: forth, back, and right again."""

import pathlib

import pytest

import sterna
from async_calls import call
from campaign import OPTIONS, Campaign, pairs
from health import wait_for_problem
from polling import eventually

LIBRARY = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


class Clock:
    """The clock that the server sees, by seconds that it is off."""

    def __init__(self, folder):
        self.file = folder / "offset"
        self.set(0)

    def set(self, seconds):
        self.file.write_text(f"{seconds:+d}\n")

    def environment(self):
        return {"LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1"}  # fmt: skip


@pytest.fixture
def clock(tmp_path):
    assert LIBRARY, "libfaketime is not installed (scripts/install-deps test)"
    return Clock(tmp_path)


@pytest.fixture
def clocked(tmp_path, clock):
    running = sterna.Server(tmp_path / "data", *OPTIONS, environment=clock.environment())
    running.start()
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0, running.log()[-4000:]


def test_calls_come_through_while_the_clock_jumps(clocked, clock, receiver, report, runs):
    runs.deploy(clocked, "echo", limits={"max_replicas": 2})
    with Campaign(clocked, "echo", receiver.url("/callback"), 1_500) as campaign:
        for number, offset in enumerate((3_600, -3_600, 7_200, -60, 0), 1):
            eventually(lambda: len(campaign.accepted()) > number * 250 or not campaign.is_sending(), 60)
            clock.set(offset)
        campaign.join()
        campaign.wait_until_settled(60)
        campaign.check(pairs(receiver))
    report(campaign.summary(pairs(receiver), runs))


def test_a_clock_that_is_hours_ahead_for_a_moment_expires_nothing(clocked, clock, receiver, runs):
    runs.deploy(clocked, "echo", 0.2, limits={"max_replicas": 1})
    made = [call(clocked, "echo", callback=receiver.url("/moment"), content=b"x") for _ in range(20)]
    clock.set(8 * 3_600)
    wait_for_problem(clocked, "clock", "clock_jumped")
    clock.set(0)
    receiver.wait("/moment", len(made), 30)
    assert {each.ended()["state"] for each in made} == {"succeeded"}


def test_a_delay_ends_when_the_clock_jumps_past_it(clocked, clock, receiver, runs):
    runs.deploy(clocked, "echo")
    made = call(clocked, "echo", callback=receiver.url("/delayed"), headers={"X-Delay-Seconds": "1800"}, content=b"x")
    clock.set(3_600)
    receiver.one("/delayed")
    wait_for_problem(clocked, "clock", "clock_jumped")
    assert made.ended()["state"] == "succeeded"


def test_a_clock_that_was_ahead_does_not_hold_up_what_it_stamped(clocked, clock, receiver, runs):
    """Accepted by a clock an hour ahead, kept over a restart with the right one: it still runs at once."""
    clock.set(3_600)
    runs.deploy(clocked, "echo", 0.5, limits={"max_replicas": 1})
    made = [call(clocked, "echo", callback=receiver.url("/ahead"), content=b"x") for _ in range(6)]
    clocked.kill()
    clock.set(0)
    clocked.start()
    receiver.wait("/ahead", len(made), 30)
    for each in made:
        assert each.ended()["state"] == "succeeded"
