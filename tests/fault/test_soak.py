"""Half of peak load on all templates, with faults: no call is lost and nothing grows. `make soak` runs it for an hour."""

import os
import time

import soak
from campaign import pairs
from receiver import Receiver

SECONDS = float(os.environ.get("SOAK_SECONDS", 30))


def test_soak(server, receiver: Receiver, runs, chance, report):
    soak.deploy_all(server)
    runs.deploy(server, "counted", 0.001, limits=soak.LIMITS, **{"async": {"max_attempts": 20}})
    peak = soak.measure_peak(server, min(10, SECONDS / 5))
    before = soak.wait_for_rest(server)

    threads = 4
    pause = threads / (peak / 2)
    faults = soak.Faults(server, chance)
    sampler = soak.Sampler(server, max(0.5, SECONDS / 1000))
    sampler.start()
    campaign = soak.PacedCampaign(server, "counted", receiver.url("/callback"), 10**9, threads=2, refusals=("queue_unavailable",),
                                  pause=0.1)  # fmt: skip
    callers = soak.Callers(server, threads, pause)
    # A server is killed once in a run of 30 s, and every ten minutes in a long one; never in the last quarter.
    restarts = [SECONDS * 0.75 - at for at in range(0, int(SECONDS * 0.75), 600)]
    began = time.monotonic()
    with campaign, callers:
        while (elapsed := time.monotonic() - began) < SECONDS:
            if restarts and elapsed > restarts[-1]:
                restarts.pop()
                faults.restart()
            else:
                faults.one()
            callers.stopping.wait(max(0.5, SECONDS / 1000))
        faults.end()
    sampler.stop()
    campaign.wait_until_settled(180)
    listed = campaign.check(pairs(receiver))
    after = soak.wait_for_rest(server)

    out = soak.folder()
    title = f"{SECONDS:.0f} s at {peak / 2:.0f} of {peak:.0f} calls a second"
    soak.write_samples(sampler.samples, out / "soak.csv")
    soak.draw(sampler.samples, out / "soak.svg", title)
    answered = sum(callers.outcomes.values())
    line = f"{soak.summary(SECONDS, faults, callers, sampler.samples)}; {campaign.summary(pairs(receiver), runs)}"
    (out / "soak.txt").write_text(f"{line}\n\n{soak.table(before, after)}\n")
    report(f"{title}; {dict(callers.outcomes)}\n{line}\n{soak.table(before, after)}\n{out}/soak.svg")
    assert callers.mistakes == [] and faults.mistakes == []
    assert listed and callers.outcomes[200] > answered * 0.9, callers.outcomes
    assert callers.broken <= threads * (faults.done["servers killed"] + 1), "only a killed server breaks calls off"
    soak.wait_until_nothing_has_grown(server, before)
    for name in ("memory_mib", "files"):
        if SECONDS >= 600:
            assert soak.trend(sampler.samples[-len(sampler.samples) // 4 :], name) < 1.15, name
