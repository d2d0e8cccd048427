"""sterna.db cannot be read or written for a while: no function is taken for gone, and what became of one is recorded later.

A trigger in the database stands for the disk: it makes one kind of write fail, or leaves a row that cannot be read."""

import contextlib
import sqlite3

import pytest

from async_calls import call
from health import wait_for_problem, wait_until_well
from polling import eventually

ECHO = "def handle(req):\n    print('run', flush=True)\n    return {'body': req.body}\n"
SLOW_TO_LOAD = "import time\ntime.sleep(1)\n" + ECHO


def change(server, sql):
    with contextlib.closing(sqlite3.connect(server.data_dir / "sterna.db", timeout=20)) as database:
        database.executescript(sql)


def refuse(server, event):
    change(server, f"CREATE TRIGGER refuse BEFORE {event} BEGIN SELECT RAISE(FAIL, 'the disk does not want to'); END;")


def allow(server):
    change(server, "DROP TRIGGER refuse;")


def test_a_function_that_cannot_be_read_keeps_its_calls_and_its_logs(server):
    assert server.request("PUT", "/spaces/default/secrets/S", json={"value": "first"}).status_code == 201
    source = "def handle(req):\n    print('run', flush=True)\n    return {'body': open('/run/secrets/S').read()}\n"
    server.deploy("keeper", source, secrets=["S"])
    assert server.call("keeper").text == "first"
    eventually(lambda: len(server.logs("keeper")) >= 1)
    waiting = [call(server, "keeper", headers={"X-Delay-Seconds": "600"}, content=b"x") for _ in range(5)]
    state = "UPDATE versions SET state = '{}' WHERE function_id = (SELECT id FROM functions WHERE name = 'keeper');"
    change(server, "CREATE TRIGGER spoil AFTER UPDATE ON secrets BEGIN " + state.format("no state") + " END;")
    assert server.request("PUT", "/spaces/default/secrets/S", json={"value": "second"}).status_code == 200
    wait_for_problem(server, "registry", "changes_wait")
    assert server.call("keeper").text == "first"  # as it was
    change(server, "DROP TRIGGER spoil;" + state.format("active"))
    wait_until_well(server)
    eventually(lambda: server.call("keeper").text == "second" or None)
    assert {each.get()["state"] for each in waiting} == {"queued"}
    assert len(server.logs("keeper")) >= 1


def test_a_version_that_was_loaded_when_nothing_could_be_written_runs_once_it_can(server):
    server.deploy("slow", SLOW_TO_LOAD, wait_for="Building")
    refuse(server, "UPDATE OF active ON functions")
    made = call(server, "slow", content=b"x")
    wait_for_problem(server, "registry", "changes_wait")
    assert server.get("slow")["status"] == "Building"
    allow(server)
    server.wait_for_status("slow", "Running")
    assert made.ended()["state"] == "succeeded"
    # The same of an update: until it is recorded the version before takes the calls.
    refuse(server, "UPDATE OF active ON functions")
    server.deploy("slow", SLOW_TO_LOAD + "# 2\n", wait_for=None)
    wait_for_problem(server, "registry", "changes_wait")
    assert server.call("slow").headers["X-Function-Version"] == "1"
    allow(server)
    eventually(lambda: server.call("slow").headers["X-Function-Version"] == "2" or None)
    wait_until_well(server)


def test_a_version_that_did_not_load_when_nothing_could_be_written_fails_once_it_can(server):
    server.deploy("broken", "import time\ntime.sleep(1)\nraise ValueError('x')\n", wait_for="Building")
    refuse(server, "UPDATE ON versions")
    wait_for_problem(server, "registry", "changes_wait")
    allow(server)
    assert "ValueError" in server.wait_for_status("broken", "Failed")["status_reason"]


def test_a_start_without_the_registry_is_refused_and_takes_nothing_away(server):
    server.deploy("keeper", ECHO)
    waiting = call(server, "keeper", headers={"X-Delay-Seconds": "600"}, content=b"x")
    assert server.stop() == 0
    there, away = server.data_dir / "sterna.db", server.data_dir / "sterna.db.away"
    there.rename(away)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="sterna.db in .* is missing or empty"):
            server.start()
    away.rename(there)
    server.start()
    assert server.call("keeper", method="POST", content=b"still").content == b"still"
    assert waiting.get()["state"] == "queued"
