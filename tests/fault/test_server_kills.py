"""kill -9 of the server at random moments while calls come in: none is lost, none is invented, all are settled once."""

import time

from campaign import Campaign, pairs
from polling import eventually


def wait_a_moment(chance, longest):
    time.sleep(chance.random() * longest)


def test_none_is_lost_and_none_is_invented(server, receiver, chance, report, full, runs):
    kills, total = (100, 20_000) if full else (10, 3_000)
    runs.deploy(server, "echo", limits={"max_replicas": 2})
    killed = 0
    with Campaign(server, "echo", receiver.url("/callback"), total) as campaign:
        while killed < kills:
            # Kills are spread over the calls and what remains of them, so that some fall into acceptance, some into
            # runs, some into deliveries.
            wait_a_moment(chance, 1.0)
            server.kill()
            killed += 1
            server.start()
            share = total * killed // (kills + 1)
            eventually(lambda: total - campaign.remaining >= share or not campaign.is_sending(), 120)
        campaign.join()
        campaign.wait_until_settled(300)
        before = campaign.check(pairs(receiver))
        assert {len(each["attempts"]) for each in before.values()} == {1}  # a restart spends no attempt
        assert set(runs.runs) == set(before)
    report(f"{killed} kills, {campaign.summary(pairs(receiver), runs)}")

    # What is settled stays settled.
    came, ran = len(receiver.received()), sum(runs.runs.values())
    server.kill()
    server.start()
    campaign.wait_until_settled(30)
    assert campaign.listed() == before
    assert (len(receiver.received()), sum(runs.runs.values())) == (came, ran)


def test_kills_while_nothing_is_sent_but_much_is_queued(server, receiver, chance, report, runs):
    """The backlog outlives kills at its recovery, too: several in a row, some before the server is ready."""
    runs.deploy(server, "echo", limits={"max_replicas": 1})
    with Campaign(server, "echo", receiver.url("/callback"), 1_000) as campaign:
        campaign.join()
        for _ in range(6):
            server.kill()
            server.start()
            wait_a_moment(chance, 0.2)
        campaign.wait_until_settled(120)
        campaign.check(pairs(receiver))
    report(campaign.summary(pairs(receiver), runs))
