"""An Idempotency-Key belongs to its caller: nobody gets another one's answer, and nobody can use up another one's key."""

import httpx
import pytest

from access import App, start_for_administrator
from async_calls import async_path
from sterna import invoke_path, problem_of

# An answer that is for nobody but its caller.
HANDLER = """
def handle(req):
    who = req.headers.get("Authorization") or req.headers.get("Cookie") or req.headers.get("X-User") or "nobody"
    return {"headers": {"Set-Cookie": "session=" + who}, "body": "for " + who}
"""
KEY = {"Idempotency-Key": "order-1"}
WAYS = {
    "sync": (invoke_path, {}, 200),
    "async": (async_path, {}, 202),
    "respond-async": (invoke_path, {"Prefer": "respond-async"}, 202),
    "wait": (invoke_path, {"Prefer": "respond-async, wait=30"}, 200),
}
CALLERS = [
    {},
    {"Authorization": "Basic alice"},
    {"Authorization": "Basic mallory"},
    {"Authorization": "Bearer alice"},
    {"Cookie": "session=alice"},
    {"Cookie": "session=mallory"},
    {"Authorization": "Basic alice", "Cookie": "session=alice"},
]


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """A server that checks tokens, with a function for everybody and one for apps."""
    server = start_for_administrator(tmp_path_factory.mktemp("checked") / "data")
    yield server
    assert server.stop() == 0, server.log()[-4000:]


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


def ask(server, way, name, headers, body):
    path, more, status = WAYS[way]
    answer = httpx.post(server.url + path(name), headers={**KEY, **more, **headers}, content=body, trust_env=False, timeout=60)
    assert answer.status_code in (status, 422), (answer.status_code, answer.text)
    return answer


def check_each_has_its_own(server, way, name, callers, bodies):
    first = [ask(server, way, name, caller, body) for caller, body in zip(callers, bodies, strict=True)]
    assert len({answer.headers["X-Call-Id"] for answer in first}) == len(callers)
    for caller, body, answer in zip(callers, bodies, first, strict=True):
        assert "Idempotency-Replayed" not in answer.headers, caller
        again = ask(server, way, name, caller, body)
        assert again.headers["X-Call-Id"] == answer.headers["X-Call-Id"], caller
        assert again.headers["Idempotency-Replayed"] == "true"
        if answer.status_code == 200:
            assert (again.content, again.headers["Set-Cookie"]) == (answer.content, answer.headers["Set-Cookie"])
        problem_of(ask(server, way, name, caller, body + b" and more"), 422, "idempotency_key_reused", "platform")
    return first


@pytest.mark.parametrize("bodies", ["the same", "another one each"])
@pytest.mark.sanitizer
def test_callers_of_a_public_function(checked, way, bodies):
    name = f"public-{way}-{len(bodies)}"
    checked.deploy(name, HANDLER, access="public")
    sent = [b"x" if bodies == "the same" else b"order %d" % i for i in range(len(CALLERS))]
    first = check_each_has_its_own(checked, way, name, CALLERS, sent)
    if WAYS[way][2] == 200:
        assert [answer.text for answer in first] == [
            "for " + (caller.get("Authorization") or caller.get("Cookie") or "nobody") for caller in CALLERS
        ]


@pytest.mark.parametrize("bodies", ["the same", "another one each"])
def test_apps(checked, way, bodies):
    name = f"apps-{way}-{len(bodies)}"
    checked.deploy(name, HANDLER)
    apps = [checked.admin.make_app(f"{name}-{i}", ["function.invoke"]) for i in range(2)]
    sent = [b"x"] * 2 if bodies == "the same" else [b"order 1", b"order 2"]
    users = [{"Authorization": f"Bearer {app.token}", "X-User": app.client_id} for app in apps]
    first = check_each_has_its_own(checked, way, name, users, sent)
    if WAYS[way][2] == 200:
        assert [answer.text for answer in first] == [f"for {app.client_id}" for app in apps]
    for app, body, answer in zip(apps, sent, first, strict=True):
        renewed = {"Authorization": f"Bearer {app.new_token()}", "Cookie": "lb=2"}
        again = ask(checked, way, name, renewed, body)
        assert again.headers["X-Call-Id"] == answer.headers["X-Call-Id"], "the app is the caller, with whatever token"


def test_an_app_is_the_caller_after_a_restart_too(start_server):
    server = start_server(auth="oauth2")
    admin = App.administrator(server)
    server.client.headers["Authorization"] = f"Bearer {admin.token}"
    server.deploy("f", HANDLER)
    first = ask(server, "sync", "f", {"Authorization": f"Bearer {admin.token}"}, b"x")
    server.stop()
    server.start()
    again = ask(server, "sync", "f", {"Authorization": f"Bearer {admin.new_token()}"}, b"x")
    assert again.headers["Idempotency-Replayed"] == "true" and again.content == first.content


def test_callers_of_a_server_without_tokens(server, way):
    name = f"open-{way}"
    server.deploy(name, HANDLER)
    check_each_has_its_own(server, way, name, CALLERS, [b"x"] * len(CALLERS))
