"""What the async cases make of the generator's words, and the targets that are made of several rows."""

import json
import socket
import sqlite3
import threading

import pytest

from suite.async_load import LoadError, parse_accepted, parse_through
from suite.options import select
from suite.queues import create_stream, insert_for
from suite.results import Results, Sample
from suite.targets import judge

LATENCY = {"p50_ms": 1.0, "p99_ms": 2.0}
ACCEPTED = {"accepted": 100, "refused": 0, "first_refusal": "", "seconds": 2.0, "accept": LATENCY}
THROUGH = {**ACCEPTED, "completed": 90, "lost": 0, "duplicates": 1, "invented": 0, "wrong_bodies": 0,
           "backlog_at_end": 10, "backlog_most": 20, "callback": LATENCY, "sync": LATENCY}


def test_rates_are_over_the_measured_time():
    assert parse_accepted(json.dumps(ACCEPTED)).per_second == 50
    found = parse_through(json.dumps(THROUGH))
    assert (found.accepted_per_second, found.completed_per_second, found.backlog_at_end) == (50, 45, 10)


@pytest.mark.parametrize("change", [{"refused": 1, "first_refusal": "HTTP/1.1 503"}, {"accepted": 0}])
def test_a_refusal_is_an_error_not_a_lower_rate(change):
    with pytest.raises(LoadError, match="503|nothing"):
        parse_accepted(json.dumps({**ACCEPTED, **change}))


@pytest.mark.parametrize("change", [{"lost": 1}, {"invented": 1}, {"wrong_bodies": 1}, {"completed": 0}])
def test_what_is_lost_or_invented_is_an_error(change):
    with pytest.raises(LoadError, match="of 100 accepted"):
        parse_through(json.dumps({**THROUGH, **change}))


def test_a_row_a_commit_is_counted_and_there(tmp_path):
    database = sqlite3.connect(tmp_path / "insert.db", isolation_level=None)
    database.execute("CREATE TABLE work (id INTEGER PRIMARY KEY, body BLOB)")
    found = insert_for(database, 0.05)
    rows = database.execute("SELECT count(*) FROM work").fetchone()[0]
    assert rows > 0 and found.per_second == pytest.approx(rows / 0.05, rel=0.5)


def test_a_stream_that_is_not_created_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def refuse():
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(b'INFO {}\r\nMSG _INBOX.create 1 11\r\n{"error":1}\r\n')

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        with pytest.raises(LoadError, match="no stream"):
            create_stream(listener.getsockname()[1])
        thread.join(10)


def test_queues_are_peers_of_the_async_cases():
    assert select("jetstream, async-accept-c64") == (("jetstream",), ("async-accept-c64",))


def acceptance(ours, redis, sqlite):
    results = Results()
    for name, rate in (("sterna", ours), ("redis stream", redis), ("sqlite insert", sqlite)):
        results.add(Sample("async-accept-c64", name, 0, "calls/s", rate, 1, 2))
    return judge(results)[0]


@pytest.mark.parametrize("rates, value, passed", [
    ((20_000, 90_000, 2_000), 1, True),  # the absolute number is enough
    ((15_000, 10_000, 2_000), 1, True),  # 1.5x the best is enough
    ((15_000, 12_000, 2_000), 1.25 / 1.5, False),  # 7.5x the worst is not
])
def test_acceptance_is_held_against_the_number_or_the_best(rates, value, passed):
    found = acceptance(*rates)
    assert (found.value, found.passed) == (pytest.approx(value), passed)
