"""GET {fn}/logs: NDJSON, filters, and following."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

from polling import eventually
from sterna import function_path, problem_of

SAYS = """
def handle(req):
    for number in range(int(req.query.get("times", "1"))):
        print(req.query["text"])
    return {}
"""


def texts(server, name="says", **params):
    return [record["text"] for record in server.logs(name, **params)]


@pytest.fixture(scope="module", autouse=True)
def says(server):
    server.deploy("says", SAYS, limits={"max_replicas": 1})

    def say(text, times=1):
        answer = server.call("says", params={"text": text, "times": times})
        assert answer.status_code == 200
        eventually(lambda: text in texts(server, tail=2))
        return answer.headers["X-Call-Id"]

    return say


@pytest.mark.sanitizer
def test_a_record_has_the_fields_of_the_contract(server, says):
    call_id = says("hello")
    answer = server.request("GET", function_path("says") + "/logs", params={"call_id": call_id})
    assert answer.headers["content-type"].split(";")[0] in ("application/x-ndjson", "application/ndjson")
    record = json.loads(answer.text.splitlines()[0])
    assert list(record) == ["name", "instance", "timestamp", "text", "stream", "call_id"]
    assert record["name"] == "says" and record["instance"] and record["call_id"] == call_id
    assert record["stream"] == "stdout" and record["text"] == "hello"
    age = datetime.now(timezone.utc) - datetime.fromisoformat(record["timestamp"].replace("Z", "+00:00"))
    assert timedelta(0) <= age < timedelta(seconds=10)


def test_tail_is_the_newest_in_order(server, says):
    for text in ("one", "two", "three"):
        says(text)
    assert texts(server, tail=2) == ["two", "three"]
    assert texts(server, tail=0) == []


def test_since_leaves_out_what_was_before(server, says):
    says("before")
    boundary = server.logs("says", tail=1)[0]["timestamp"]
    later = eventually(lambda: (now := timestamp()) > boundary and now)
    says("after")
    assert texts(server, since=later) == ["after"]
    assert "before" in texts(server, since=boundary)


def timestamp():
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.mark.parametrize("params", [{"tail": "x"}, {"tail": "-1"}, {"tail": "10001"}, {"since": "yesterday"}])
def test_filters_that_make_no_sense_are_refused(server, params):
    assert server.request("GET", function_path("says") + "/logs", params=params).status_code in (400, 422)


def test_a_call_of_nobody_and_an_unknown_function(server):
    assert texts(server, call_id="01ARZ3NDEKTSV4RRFFQ69G5FAV") == []
    problem_of(server.request("GET", function_path("nobody") + "/logs"), 404, "function_not_found")


@pytest.mark.sanitizer
def test_following_shows_new_records_as_they_come(server, says):
    says("old")
    lines = []
    with server.client.stream(
        "GET", function_path("says") + "/logs", params={"follow": "true", "tail": 1}
    ) as answer:
        assert answer.status_code == 200
        talking = threading.Thread(target=lambda: [says(f"new {number}") for number in range(3)])
        talking.start()
        for line in answer.iter_lines():
            lines.append((json.loads(line)["text"], time.monotonic()))
            if len(lines) == 4:
                break
        talking.join()
    assert [text for text, _ in lines] == ["old", "new 0", "new 1", "new 2"]


def test_following_one_call(server, says):
    mine = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    params = {"follow": "true", "call_id": mine}
    with server.client.stream("GET", function_path("says") + "/logs", params=params) as answer:
        says("of another call")
        server.call("says", params={"text": "mine"}, headers={"X-Call-Id": mine})
        assert json.loads(next(answer.iter_lines()))["text"] == "mine"


def test_following_ends_with_the_function(server):
    server.deploy("leaves", SAYS)
    server.call("leaves", params={"text": "last words"})
    with server.client.stream("GET", function_path("leaves") + "/logs", params={"follow": "true"}) as answer:
        lines = answer.iter_lines()
        while json.loads(next(lines))["text"] != "last words":
            pass
        assert server.request("DELETE", function_path("leaves")).status_code == 204
        assert list(lines) == []


def test_who_follows_does_not_keep_the_server(start_server):
    server = start_server("--drain-seconds", "0.2")
    server.deploy("says", SAYS)
    with server.client.stream("GET", function_path("says") + "/logs", params={"follow": "true"}) as answer:
        assert answer.status_code == 200
        assert server.stop() == 0, server.log()[-4000:]


def test_who_follows_does_not_outlast_a_second_signal(start_server):
    server = start_server()
    server.deploy("says", SAYS)
    with server.client.stream("GET", function_path("says") + "/logs", params={"follow": "true"}) as answer:
        assert answer.status_code == 200
        server.process.terminate()
        eventually(lambda: "draining" in server.log(), 10)
        assert server.stop() == 0, server.log()[-4000:]


def test_long_lines_and_odd_bytes(server):
    server.deploy(
        "odd",
        "import os, sys\ndef handle(req):\n    print('x' * 100_000)\n    print('tab\\t and \\x1b[31m')\n"
        "    sys.stdout.flush()\n    os.write(1, b'\\xff\\xfe broken\\n')\n    return {}\n",
    )
    server.call("odd")
    records = eventually(lambda: len(found := server.logs("odd")) >= 3 and found)
    assert all(len(each["text"].encode()) <= 17 * 1024 for each in records)
    assert records[0]["text"].startswith("xxxx")
    found = {each["text"] for each in records}
    assert "tab\t and \x1b[31m" in found
    assert any("broken" in text and "\ufffd" in text for text in found)


def test_the_log_is_bounded_and_keeps_the_newest(server):
    server.deploy("noisy", SAYS)
    for number in range(12):
        assert server.call("noisy", params={"text": "n" * 1000, "times": 1000}).status_code == 200

    # A busy machine may drop lines of a flood, also the one after it, and say so after those that were kept.
    def says_the_last():
        server.call("noisy", params={"text": "the last"})
        return [each["text"] for each in server.logs("noisy", tail=2) if each["stream"] == "stdout"][-1:] == ["the last"]

    eventually(says_the_last)
    stored = [path for path in server.data_dir.rglob("*.ndjson")]
    folders = {path.parent for path in stored}
    for folder in folders:
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 4 * 1024 * 1024


def test_logs_of_a_deleted_function_are_gone(server):
    server.deploy("shortlived", SAYS)
    server.call("shortlived", params={"text": "secret"})
    eventually(lambda: server.logs("shortlived"))
    folder = server.data_dir / "logs" / server.get("shortlived")["id"]
    assert folder.is_dir()
    assert server.request("DELETE", function_path("shortlived")).status_code in (200, 202, 204)
    server.deploy("shortlived", SAYS)
    assert "secret" not in [each["text"] for each in server.logs("shortlived")]
    eventually(lambda: not folder.exists())


def test_logs_survive_a_restart(start_server):
    server = start_server()
    server.deploy("says", SAYS)
    call_id = server.call("says", params={"text": "kept"}).headers["X-Call-Id"]
    eventually(lambda: server.logs("says", call_id=call_id))
    assert server.stop() == 0
    server.start()
    assert [each["text"] for each in server.logs("says", call_id=call_id)] == ["kept"]


FLOODS = {
    "prints": 'def handle(req):\n    while True:\n        print("\\n" * 4096)\n',
    "yes": 'import subprocess\n\ndef handle(req):\n    subprocess.run(["yes"])\n',
}


def test_who_prints_without_end_holds_nobody_up(start_server):
    server = start_server("--drain-seconds", "1")
    server.deploy("says", SAYS)
    for name, source in FLOODS.items():
        server.deploy(name, source, limits={"timeout_seconds": 2})
    with ThreadPoolExecutor() as threads:
        floods = {name: threads.submit(server.call, name) for name in FLOODS}
        answered = 0
        while not all(flood.done() for flood in floods.values()):
            assert server.request("GET", "/healthz").status_code == 200
            assert server.call("says", params={"text": "beside it"}).status_code == 200
            answered += 1
        assert answered > 1
        for name, flood in floods.items():
            problem_of(flood.result(), 504, "function_timeout", "function")
            # Said once a second, and when its process has ended.
            eventually(lambda: any("more lines were dropped" in text for text in texts(server, name, tail=20)))

        flood = threads.submit(server.call, "prints")
        eventually(lambda: server.logs("prints", tail=1)[0]["text"] == "")
        assert server.stop() == 0
        flood.exception()
