"""kill -9 of workers and of the zygote while calls come in."""

import os
import signal

from campaign import Campaign, pairs
from polling import eventually


def kill_some(server, chance, share):
    killed = 0
    for each in server.processes():
        if chance.random() < share and each.is_alive():
            try:
                os.kill(each.pid, signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                pass  # it ended by itself
    return killed


def test_every_call_ends_though_workers_are_killed(server, receiver, chance, report, runs):
    # A worker that dies spends an attempt of the call that it ran, so there are many.
    runs.deploy(server, "echo", 0.02, limits={"max_replicas": 4}, **{"async": {"max_attempts": 20}})
    killed = 0
    with Campaign(server, "echo", receiver.url("/callback"), 3_000) as campaign:
        while killed < 30:
            # Some runs more than at the last kill: some have ended, so the next start is not put off as after crashes.
            enough = runs.total() + chance.randint(10, 30)
            eventually(lambda enough=enough: runs.total() >= enough, within=60, every=0.003)
            killed += kill_some(server, chance, 0.3)
        campaign.join()
        campaign.wait_until_settled(180)
        listed = campaign.check(pairs(receiver))
    reasons = {each["reason"] for one in listed.values() for each in one["attempts"] if each["reason"]}
    assert reasons <= {"worker_died"}, reasons  # the recorded reason is the true one
    report(f"{killed} processes killed, {campaign.summary(pairs(receiver), runs)}")
