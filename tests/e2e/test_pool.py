"""Workers come, go, wait, crash, and are replaced; callers notice as little as can be."""

import os
import random
import re
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import processes
from load import NONCE, Load
from polling import eventually
from sterna import function_path, problem_of, to_base64


def workers_of(answers):
    return {answer.headers["X-Worker"] for answer in answers}


def at_once(server, name, count, query):
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda n: server.call(name, f"?nonce={n}&{query}"), range(count)))


@pytest.mark.sanitizer
def test_from_zero_to_many_and_back_to_zero(server):
    server.deploy("breath", NONCE, limits={"max_replicas": 3, "idle_seconds": 1})
    eventually(lambda: server.replicas("breath") == 0)
    first = server.call("breath", "?nonce=1")
    assert first.status_code == 200 and "cold;dur=" in first.headers["Server-Timing"]
    assert "cold" not in server.call("breath", "?nonce=2").headers["Server-Timing"]

    answers = at_once(server, "breath", 12, "seconds=0.3")
    assert [answer.status_code for answer in answers] == [200] * 12
    assert len(workers_of(answers)) == 3
    eventually(lambda: server.replicas("breath") == 0, 8)
    assert "cold;dur=" in server.call("breath", "?nonce=3").headers["Server-Timing"]


def test_the_number_of_workers_stays_within_max_replicas(server):
    server.deploy("capped", NONCE, limits={"max_replicas": 2})
    seen = []
    stop = threading.Event()

    def watch():
        while not stop.is_set():
            seen.append(server.replicas("capped"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    answers = at_once(server, "capped", 16, "seconds=0.1")
    stop.set()
    watcher.join()
    assert {answer.status_code for answer in answers} == {200}
    assert max(seen) <= 2 and len(workers_of(answers)) <= 2


def test_min_replicas_are_kept_warm(server):
    server.deploy("warm", NONCE, limits={"min_replicas": 2, "max_replicas": 4, "idle_seconds": 0.2})
    eventually(lambda: server.get("warm")["metrics"]["available_replicas"] == 2)
    at_once(server, "warm", 8, "seconds=0.2")
    eventually(lambda: server.replicas("warm") == 2)
    answer = server.call("warm", "?nonce=1")
    assert answer.status_code == 200 and "cold" not in answer.headers["Server-Timing"]


def test_calls_wait_in_line_for_a_worker(server):
    server.deploy("line", NONCE, limits={"max_replicas": 1})
    answers = at_once(server, "line", 10, "seconds=0.1")
    assert [answer.text for answer in answers] == [f"{n} " for n in range(10)]


def test_a_full_line_is_no_capacity_at_once(start_server):
    server = start_server("--queue-length", "2")
    server.deploy("full", NONCE, limits={"max_replicas": 1, "queue_wait_seconds": 20})
    server.call("full", "?nonce=warm&seconds=1")  # known to be slow: nothing is sent ahead
    began = time.monotonic()
    answers = at_once(server, "full", 12, "seconds=1")
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) >= 6
    for answer in refused:
        problem_of(answer, 429, "no_capacity", "platform")
        assert int(answer.headers["Retry-After"]) >= 1
    assert time.monotonic() - began < 15


def test_a_call_that_waits_in_vain_is_told_why_and_how_long(start_server):
    server = start_server("--max-replicas-total", "1")
    slow_to_load = "import time\ntime.sleep(3)\n" + NONCE
    server.deploy("busy", NONCE, limits={"queue_wait_seconds": 20})
    server.deploy("other", NONCE, limits={"queue_wait_seconds": 0.3})
    server.deploy("loads", slow_to_load, limits={"queue_wait_seconds": 0.3, "warm_parent": False, "idle_seconds": 0.1})
    eventually(lambda: server.replicas("loads") == 0)
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(server.call, "busy", "?nonce=1&seconds=3")
        eventually(lambda: server.get("busy")["metrics"]["available_replicas"] == 1)
        assert "max_replicas_total" in waited_in_vain(server, "other")
        assert busy.result().status_code == 200
    assert "still starting" in waited_in_vain(server, "loads")


def waited_in_vain(server, name):
    answer = server.call(name, "?nonce=1")
    assert float(answer.headers["X-Duration-Seconds"]) >= 0.3
    assert float(re.search(r"queue;dur=([\d.]+)", answer.headers["Server-Timing"])[1]) >= 300
    metrics = server.request("GET", "/metrics").text
    waited = re.search(rf'duration_seconds_sum{{function="{name}",space="default"}} ([\d.]+)', metrics)
    assert float(waited[1]) >= 0.3
    return problem_of(answer, 429, "no_capacity", "platform")["detail"]


def test_more_calls_at_a_time_than_there_may_be_threads(server):
    server.deploy("crowd", NONCE, limits={"concurrency": 100, "max_replicas": 1})  # max_pids is 64
    answers = at_once(server, "crowd", 80, "seconds=0.1")
    assert [answer.text for answer in answers] == [f"{n} " for n in range(80)]


@pytest.mark.sanitizer
def test_nobody_waits_behind_a_slow_call_while_another_worker_may_run(server):
    server.deploy("mixed", NONCE, limits={"max_replicas": 2})
    with Load(server.address, "mixed", threads=4, total=300) as load:
        load.join()
    assert not load.lost and not load.mistakes
    slow = threading.Thread(target=server.call, args=("mixed", "?nonce=slow&seconds=3"))
    slow.start()
    began = time.monotonic()
    with Load(server.address, "mixed", threads=4, total=100) as load:
        load.join()
    assert time.monotonic() - began < 2.5 and load.longest < 2
    slow.join()


def test_a_timeout_ends_only_the_call_that_is_late(server):
    server.deploy("late", NONCE, limits={"timeout_seconds": 0.8, "max_replicas": 1})
    with ThreadPoolExecutor(6) as pool:
        late = pool.submit(server.call, "late", "?nonce=late&seconds=30")
        others = [pool.submit(server.call, "late", f"?nonce={n}") for n in range(5)]
        problem_of(late.result(), 504, "function_timeout", "function")
        assert [other.result().text for other in others] == [f"{n} " for n in range(5)]


def test_a_stopped_function_stops_its_workers(server):
    server.deploy("halt", NONCE)
    server.call("halt", "?nonce=1")
    assert server.replicas("halt") == 1
    server.request("POST", function_path("halt") + "/stop")
    eventually(lambda: server.replicas("halt") == 0)


def test_a_function_that_is_deleted_while_a_call_runs_says_so(server):
    server.deploy("gone", 'import time\ndef handle(req):\n    print("begun")\n    time.sleep(30)\n')
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(server.call, "gone")
        eventually(lambda: server.logs("gone"))
        assert server.request("DELETE", function_path("gone")).status_code == 204
        document = problem_of(call.result(), 503, "function_not_running", "platform")
    assert "deleted" in document["detail"] and "ran" in document["detail"]


DIES_SOON = """
import os, threading, time
threading.Thread(target=lambda: (time.sleep(0.1), os._exit(9)), daemon=True).start()
def handle(req):
    return {}
"""


def test_a_crash_loop_ends_in_failed_and_a_new_version_heals_it(server):
    server.deploy("loop", DIES_SOON, limits={"min_replicas": 1}, wait_for=None)
    eventually(lambda: server.get("loop")["status"] == "Failed", 60)
    assert server.get("loop")["status_reason"]
    problem_of(server.call("loop"), 503, "function_not_running", "platform")
    server.deploy("loop", NONCE)
    eventually(lambda: server.call("loop", "?nonce=1").text == "1 ", 20)


def test_a_bad_new_version_does_not_end_the_good_one(server):
    server.deploy("careful", NONCE)
    assert server.call("careful", "?nonce=1").status_code == 200
    with Load(server.address, "careful", threads=2) as load:
        server.request(
            "PUT",
            function_path("careful"),
            json={"name": "careful", "source": {"code": to_base64("def handle(:\n")}},
        )
        eventually(lambda: load.done() > 100, 30)
    statuses = {status for status, _ in load.outcomes}
    assert statuses == {200}, load.outcomes


def put_version(server, name, version):
    body = {
        "name": name,
        "source": {"code": to_base64(NONCE)},
        "env": {"VERSION": str(version)},
        "limits": {"max_replicas": 3},
    }
    answer = server.request("PUT", function_path(name), json=body)
    assert answer.status_code == 200, answer.text


@pytest.mark.sanitizer
def test_updates_under_load_fail_no_call(server):
    server.deploy("updated", NONCE, env={"VERSION": "0"}, limits={"max_replicas": 3})
    with Load(server.address, "updated", threads=6) as load:
        for version in range(1, 6):
            put_version(server, "updated", version)
            eventually(lambda: load.outcomes[200, str(version)] > 50, 30)
    assert not load.lost and not load.mistakes
    assert {status for status, _ in load.outcomes} == {200}, load.outcomes
    # A version that has been followed is gone for good.
    assert server.call("updated", "?nonce=last").headers["X-Version"] == "5"


def kill_some_workers(server, chance):
    """SIGKILLs at random processes below the server's own children, which are workers; never a zygote."""
    zygotes = {each.pid for each in direct_children(server)}
    for each in server.processes():
        if each.pid not in zygotes and random.random() < chance:
            try:
                os.kill(each.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def direct_children(server):
    return [processes.process(pid) for pid in processes.children_by_parent().get(server.pid(), [])]


def test_ten_thousand_calls_while_workers_are_killed_and_versions_change(server):
    random.seed(11)
    server.deploy("storm", NONCE, env={"VERSION": "0"}, limits={"max_replicas": 3, "idle_seconds": 0.2})
    total = 10_000
    with Load(server.address, "storm", threads=8, total=total) as load:
        version = 0

        def disturb():
            nonlocal version
            kill_some_workers(server, 0.3)
            if load.done() > (version + 1) * 1500:
                version += 1
                put_version(server, "storm", version)
            return load.done() >= total

        eventually(disturb, within=180, every=0.3)
        load.join()
    assert load.done() == total and not load.lost
    assert load.mistakes == []
    assert set(load.outcomes) - {(200, str(n)) for n in range(version + 1)} <= {
        (502, "worker_died"),
        (429, "no_capacity"),
    }
    good = sum(count for (status, _), count in load.outcomes.items() if status == 200)
    assert good > total * 0.9, load.outcomes
    eventually(lambda: server.call("storm", "?nonce=1").status_code == 200)


def test_a_killed_zygote_is_started_again(server):
    server.deploy("orphan", NONCE)
    assert server.call("orphan", "?nonce=1").status_code == 200
    for each in direct_children(server):
        os.kill(each.pid, signal.SIGKILL)
    eventually(lambda: server.call("orphan", "?nonce=2").text == "2 ", 20)


# Control groups are found again by a file in the data directory.


@pytest.mark.skipif(os.geteuid() != 0, reason="needs control groups")
def test_a_server_on_a_copy_of_a_living_ones_data_directory_leaves_its_workers_alone(start_server, tmp_path):
    original = start_server()
    original.deploy("busy", NONCE)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(original.call, "busy", "?nonce=1&seconds=25")
        eventually(lambda: original.replicas("busy") == 1, 20)
        groups = {folder for each in original.processes() for folder in each.cgroups() if "sterna" in str(folder)}
        assert groups
        subprocess.run(["cp", "-r", original.data_dir, tmp_path / "copy"], check=False)  # files come and go meanwhile
        copy = start_server(data_dir=tmp_path / "copy")
        assert copy.call("busy", "?nonce=2").text == "2 "
        assert all(folder.exists() for folder in groups)
        assert not running.done()
        copy.stop()
        assert not running.done()
        original.request("DELETE", function_path("busy"))
        assert running.result().json()["reason"] != "worker_died"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs control groups")
def test_the_groups_of_a_killed_server_are_removed_by_the_next(start_server):
    server = start_server()
    server.deploy("left", NONCE)
    assert server.call("left", "?nonce=1").status_code == 200
    groups = {folder for each in server.processes() for folder in each.cgroups() if "sterna-" in folder.parent.name}
    assert groups
    server.kill()
    server.start()
    eventually(lambda: not [folder for folder in groups if folder.exists()])
