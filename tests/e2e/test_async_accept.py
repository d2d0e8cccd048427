"""`async-invoke` until its 202: what is accepted, what is refused and how, and what the function then receives."""

import base64
import json

import pytest

from async_calls import ULID, async_path, call, submit
from handlers import ECHO, MIRROR, SCRIPTED, SLOW
from polling import eventually
from receiver import Answer
from sterna import function_path, problem_of

MAX_BODY = 6 * 1024 * 1024


@pytest.fixture(scope="module")
def mirror(async_server):
    async_server.deploy("mirror", MIRROR, limits={"memory_mb": 512})
    async_server.deploy("bytes", ECHO, limits={"memory_mb": 256})
    return async_server


def seen_by_function(receiver, made):
    return json.loads(receiver.one(call_id=made.id).body)


def header_of(seen, name):
    return [value for key, value in seen["headers"] if key.lower() == name.lower()]


# The 202


@pytest.mark.sanitizer
def test_a_call_is_accepted_run_and_called_back(mirror, receiver):
    made = call(mirror, "bytes", callback=receiver.url("/first"), content=b"hello")
    came = receiver.one("/first")
    assert came.method == "POST" and came.body == b"hello"
    assert came.header("X-Call-Id") == made.id
    assert made.ended()["state"] == "succeeded"
    made.until_delivery("delivered")
    assert len(receiver.received("/first")) == 1


@pytest.mark.sanitizer
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"])
def test_post_is_the_only_method(mirror, receiver, method):
    for path in ("", "/a/b"):
        with mirror.open() as client:
            client.request(method, async_path("bytes", path), [("X-Callback-Url", receiver.url("/method"))])
            answer = client.read(method)
        assert answer.status == 405
        assert answer.all("Allow") == ["POST"]
        assert answer.header("X-Sterna-Fault") == "platform"


def test_without_a_callback_the_result_is_kept(mirror):
    made = call(mirror, "bytes", content=b"kept")
    assert made.ended()["callback"]["delivery"] == "none"
    assert made.response().content == b"kept"


def test_ids_are_new_or_the_callers_own(mirror):
    mine = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    assert call(mirror, "bytes", headers={"X-Call-Id": mine}).id == mine
    assert len({call(mirror, "bytes").id for _ in range(10)}) == 10
    made = call(mirror, "bytes", headers={"X-Call-Id": "no ulid"})
    assert ULID.fullmatch(made.id)


def test_an_id_that_the_function_has_seen_is_in_use(mirror):
    mine = "01BX5ZZKBKACTAV9WEVGEMMVRZ"
    made = call(mirror, "bytes", headers={"X-Call-Id": mine}, content=b"first")
    for _ in range(2):  # while it is on its way, and after its end
        problem_of(
            submit(mirror, "bytes", headers={"X-Call-Id": mine}, content=b"second"), 409, "call_id_in_use"
        )
        made.ended()
    assert made.response().content == b"first"


# What the function receives


@pytest.mark.sanitizer
@pytest.mark.parametrize(
    "target, path, query",
    [
        ("", "/", []),
        ("/", "/", []),
        (
            "/stock/market/today?company=Google&b=2&company=x",
            "/stock/market/today",
            [["company", ["Google", "x"]], ["b", ["2"]]],
        ),
        ("/a%20b/%C3%A9?e=%C3%A9&plus=a+b&flag", "/a b/é", [["e", ["é"]], ["plus", ["a b"]], ["flag", [""]]]),
        ("/a%2Fb%2Fc%2Fd/e/f", "/a/b/c/d/e/f", []),
    ],
)
def test_path_and_query(mirror, receiver, target, path, query):
    seen = seen_by_function(receiver, call(mirror, "mirror", target, receiver.url("/mirror")))
    assert (seen["method"], seen["path"], seen["query"]) == ("POST", path, query)


@pytest.mark.parametrize(
    "target, status, reason",
    [("/a/b/c/d", 404, "path_too_deep"), ("/a/../b", 400, "bad_path"), ("/%zz", 400, "bad_path")],
)
def test_bad_paths_are_refused_before_a_202(mirror, target, status, reason):
    with mirror.open() as client:
        answer = client.request("POST", async_path("mirror", target)).read()
    assert answer.status == status and json.loads(answer.body)["reason"] == reason


@pytest.mark.sanitizer
def test_headers(mirror, receiver):
    headers = [
        ("X-One", "1"), ("X-Two", "b"), ("x-one", "2"), ("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"),
        ("Content-Type", "text/x"), ("X-Forwarded-For", "203.0.113.7"), ("Keep-Alive", "timeout=5"),
    ]  # fmt: skip
    with mirror.open() as client:
        client.request(
            "POST",
            async_path("mirror"),
            [*headers, ("X-Callback-Url", receiver.url("/headers"))],
            b"\x00\xff",
        )
        assert client.read().status == 202
    seen = json.loads(receiver.one("/headers").body)
    assert header_of(seen, "X-One") == ["1", "2"] and header_of(seen, "Content-Type") == ["text/x"]
    assert header_of(seen, "X-Forwarded-For")[0].split(",")[-1].strip() == "127.0.0.1"
    assert header_of(seen, "X-Forwarded-Host") == ["sterna.localhost"]
    assert header_of(seen, "X-Call-Id") == receiver.one("/headers").all("X-Call-Id")
    assert len(header_of(seen, "traceparent")) == 1
    assert base64.b64decode(seen["body"]) == b"\x00\xff"
    assert not {name.lower() for name, _ in seen["headers"]} & {"connection", "x-hop", "keep-alive"}


@pytest.mark.parametrize("size", [0, 1, 65_536, 1_048_577, MAX_BODY])
def test_binary_bodies_of_every_size_there_and_back(mirror, receiver, size):
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    made = call(mirror, "bytes", callback=receiver.url("/size"), content=body)
    assert receiver.one(call_id=made.id).body == body
    assert made.response().content == body


def test_a_body_over_the_limit_is_refused(mirror):
    problem_of(
        submit(mirror, "bytes", content=bytes(MAX_BODY + 1)), 413, "body_too_large", "platform"
    )


def test_a_chunked_upload(mirror, receiver):
    parts = [b"one", b"two" * 30_000, b"end"]
    made = call(mirror, "bytes", callback=receiver.url("/chunks"), content=(part for part in parts))
    assert receiver.one(call_id=made.id).body == b"".join(parts)


# Callback URLs


@pytest.mark.sanitizer
@pytest.mark.parametrize(
    "url",
    [
        "", "nonsense", "//host/path", "/path", "host.example/path", "ftp://host.example/", "file:///etc/passwd",
        "javascript:alert(1)", "http://", "http:///path", "https://:443/", "http://user:secret@host.example/",
        "http://host.example:99999/", "http://host.example:port/", "http://[::1", "http://ho st.example/",
        "http://host.example/a b", "http://host.example/" + "a" * 9000,
    ],
)  # fmt: skip
def test_a_malformed_callback_url_is_refused(mirror, url):
    problem_of(submit(mirror, "bytes", callback=url), 400, "bad_callback_url", "platform")


def test_two_callback_urls_are_one_too_many(mirror, receiver):
    twice = [("X-Callback-Url", receiver.url("/one")), ("X-Callback-Url", receiver.url("/two"))]
    problem_of(submit(mirror, "bytes", headers=twice), 400, "bad_callback_url", "platform")


FORBIDDEN = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "[::1]", "[::]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fe80::1]", "[fd00::1]", "[ff02::1]", "[64:ff9b::7f00:1]",
]  # fmt: skip


@pytest.fixture(scope="module")
def strict(server):
    """A server with the default rules: no private targets."""
    server.deploy("bytes", ECHO)
    return server


@pytest.mark.parametrize("host", FORBIDDEN)
def test_private_targets_are_forbidden_however_they_are_written(strict, host):
    problem_of(submit(strict, "bytes", callback=f"http://{host}:9/"), 400, "bad_callback_url", "platform")


def test_a_name_of_a_private_target_is_never_connected_to(strict, receiver):
    answer = submit(strict, "bytes", callback=f"http://localhost:{receiver.port}/name")
    if answer.status_code == 202:
        found = call(strict, "bytes", callback=f"http://localhost:{receiver.port}/name").until_delivery(
            "undeliverable"
        )
        assert found["callback"]["deliveries"][-1]["outcome"] == "undeliverable"
    else:
        problem_of(answer, 400, "bad_callback_url")
    assert receiver.received("/name") == []


def test_a_space_may_allow_targets_of_its_own(strict, receiver):
    strict.request("POST", "/spaces", json={"name": "open"})
    strict.deploy("bytes", ECHO, space="open")
    url = receiver.url("/space")
    problem_of(submit(strict, "bytes", callback=url, space="open"), 400, "bad_callback_url")
    changed = strict.request("PATCH", "/spaces/open", json={"callback_allow": ["127.0.0.0/8", "localhost"]})
    assert changed.status_code == 200 and changed.json()["callback_allow"] == ["127.0.0.0/8", "localhost"]
    assert strict.request("GET", "/spaces/open").json()["callback_allow"] == ["127.0.0.0/8", "localhost"]
    for each in (url, f"http://localhost:{receiver.port}/space"):
        made = call(strict, "bytes", callback=each, space="open", content=b"x")
        made.until_delivery("delivered")
    assert len(receiver.received("/space")) == 2
    # Other spaces are as closed as before.
    problem_of(submit(strict, "bytes", callback=url), 400, "bad_callback_url")


@pytest.mark.parametrize("bad", ["nonsense/33", ["10.0.0.0/99"], ["300.0.0.1/8"], ["a b"], [7], 7])
def test_a_bad_allow_list_is_refused(strict, bad):
    strict.request("POST", "/spaces", json={"name": "bad-list"})
    answer = strict.request("PATCH", "/spaces/bad-list", json={"callback_allow": bad})
    assert answer.status_code in (400, 422), answer.text


# Which functions accept


@pytest.mark.sanitizer
def test_unknown_spaces_and_functions(mirror, receiver):
    problem_of(submit(mirror, "nobody", callback=receiver.url("/x")), 404, "function_not_found", "platform")
    problem_of(submit(mirror, "bytes", space="nowhere"), 404, "space_not_found", "platform")
    # An unknown function is told before the callback is looked at.
    problem_of(submit(mirror, "nobody", callback="nonsense"), 404, "function_not_found")


def test_what_is_accepted_before_the_function_runs_is_run_later(mirror, receiver):
    code = "import time\ntime.sleep(1.5)\ndef handle(req):\n    return {'body': 'at last'}\n"
    mirror.deploy("later", code, wait_for=None)
    answer = submit(mirror, "later", callback=receiver.url("/later"))
    assert mirror.get("later")["status"] in ("Pending", "Building")
    assert answer.status_code == 202, answer.text
    assert receiver.one("/later").body == b"at last"


def test_stopped_and_failed_functions_refuse(mirror):
    mirror.deploy("stopped", ECHO)
    mirror.request("POST", function_path("stopped") + "/stop")
    mirror.wait_for_status("stopped", "Stopped")
    problem_of(submit(mirror, "stopped"), 503, "function_not_running", "platform")
    mirror.deploy("broken", "def handle(req:\n", wait_for="Failed")
    problem_of(submit(mirror, "broken"), 503, "function_not_running", "platform")


def test_what_waits_for_a_function_goes_on_when_it_is_started_again(mirror, receiver):
    mirror.deploy("pausing", SCRIPTED)
    made = call(mirror, "pausing", callback=receiver.url("/pausing"), headers={"X-Delay-Seconds": "1"},
                content=b"{'body': 'after'}")  # fmt: skip
    mirror.request("POST", function_path("pausing") + "/stop")
    mirror.wait_for_status("pausing", "Stopped")
    eventually(lambda: made.get()["state"] == "queued")
    mirror.request("POST", function_path("pausing") + "/start")
    assert receiver.one("/pausing").body == b"after"


def test_a_deleted_function_takes_its_invocations_along(mirror, receiver):
    mirror.deploy("gone", SCRIPTED)
    call(mirror, "gone", callback=receiver.url("/gone"), headers={"X-Delay-Seconds": "1"}, content=b"{}")
    assert mirror.request("DELETE", function_path("gone")).status_code in (200, 202, 204)
    mirror.deploy("gone", SCRIPTED)
    made = call(mirror, "gone", callback=receiver.url("/new"), headers={"X-Delay-Seconds": "1.5"}, content=b"{}")
    receiver.one("/new")
    assert {each.header("X-Call-Id") for each in receiver.received("/gone")} == set()
    listed = mirror.request("GET", function_path("gone") + "/invocations").json()["data"]
    assert [each["id"] for each in listed] == [made.id]


def test_a_space_that_is_deleted_takes_its_invocations_along(mirror, receiver):
    mirror.request("POST", "/spaces", json={"name": "doomed"})
    mirror.deploy("bytes", ECHO, space="doomed")
    made = call(mirror, "bytes", callback=receiver.url("/doomed"), space="doomed", headers={"X-Delay-Seconds": "1"})
    assert mirror.request("DELETE", "/spaces/doomed").status_code == 409
    assert mirror.request("DELETE", "/spaces/doomed?force=true").status_code in (200, 204)
    beside = call(mirror, "bytes", callback=receiver.url("/beside"), headers={"X-Delay-Seconds": "1.3"})
    receiver.one("/beside", call_id=beside.id)
    assert receiver.received("/doomed") == []
    assert mirror.request("GET", made.path).status_code == 404


def test_what_waits_is_run_by_the_version_of_its_time(mirror):
    mirror.deploy("versions", SCRIPTED)
    made = call(mirror, "versions", headers={"X-Delay-Seconds": "2"}, content=b"{'body': 'x'}")
    mirror.deploy("versions", SCRIPTED.replace("eval(req.body)", "{'body': 'second'}"))
    eventually(lambda: mirror.get("versions")["active_version"] == 2)
    assert made.ended()["version"] == 2 and made.response().text == "second"


# More waits than runs


def test_calls_wait_for_a_free_worker_as_long_as_it_takes(start_server, receiver):
    running = start_server("--callback-allow", "127.0.0.0/8", "--queue-wait-seconds", "0.2")
    running.deploy("narrow", SLOW, limits={"max_replicas": 1})
    path = "/narrow"
    receiver.script(path, Answer())
    made = [call(running, "narrow", "?seconds=0.5", receiver.url(path)) for _ in range(4)]
    receiver.wait(path, 4)
    for each in made:
        found = each.ended()
        assert found["state"] == "succeeded" and [one["number"] for one in found["attempts"]] == [1]
