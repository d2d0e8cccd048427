"""Scopes and grants: who may do what, and that nobody learns what is not his."""

import re

import pytest

from access import HANDLER, SCOPES, ask_for_token
from sterna import encode_source, function_path, problem_of


@pytest.mark.parametrize("path", ["/", "/nothing", "/spaces/default/nothing", "/apps/x/y/z", "/oauth2"])
def test_what_is_not_there_needs_a_token_too(server, admin, path):
    problem_of(server.client.get(path), 401, "token_missing")
    problem_of(admin.request("GET", path), 404, "not_found")


def test_what_is_open(server, admin):
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert server.client.get(path).status_code == 200
    problem_of(server.client.post("/openapi.json"), 401, "token_missing")


def test_metrics_are_for_apps_of_the_server(server, admin, new_app):
    problem_of(server.client.get("/metrics"), 401, "token_missing")
    problem_of(new_app(["space"]).request("GET", "/metrics"), 403, "administrator_only")
    monitor = new_app(["space.read"], space=None)
    assert "sterna_function_replicas" in monitor.request("GET", "/metrics").text


def test_metrics_may_be_open(start_server):
    server = start_server("--open-metrics", auth="oauth2")
    assert server.client.get("/metrics").status_code == 200
    problem_of(server.client.get("/spaces"), 401, "token_missing")


FN = "/spaces/default/functions/absent"
RUN = f"{FN}/invocations/01ARZ3NDEKTSV4RRFFQ69G5FAV"


NEEDS = [
    ("GET", "/spaces", "space.read"),
    ("GET", "/spaces/default", "space.read"),
    ("PATCH", "/spaces/default", "space.update"),
    ("DELETE", "/spaces/default", "space.delete"),
    ("GET", "/spaces/default/apps", "app.read"),
    ("POST", "/spaces/default/apps", "app.create"),
    ("GET", "/spaces/default/apps/absent", "app.read"),
    ("GET", "/spaces/default/audit", "app.read"),
    ("PATCH", "/spaces/default/apps/absent", "app.update"),
    ("POST", "/spaces/default/apps/absent/rotate", "app.update"),
    ("DELETE", "/spaces/default/apps/absent", "app.delete"),
    ("GET", "/spaces/default/secrets", "secret.read"),
    ("GET", "/spaces/default/secrets/ABSENT", "secret.read"),
    ("PUT", "/spaces/default/secrets/ABSENT", "secret.create"),
    ("DELETE", "/spaces/default/secrets/ABSENT", "secret.delete"),
    ("GET", "/spaces/default/signing-secret", "secret.read"),
    ("POST", "/spaces/default/signing-secret/rotate", "secret.update"),
    ("GET", "/spaces/default/functions", "function.read"),
    ("POST", "/spaces/default/functions", "function.create"),
    ("GET", FN, "function.read"),
    ("PUT", FN, "function.update"),
    ("PATCH", FN, "function.update"),
    ("DELETE", FN, "function.delete"),
    ("GET", f"{FN}/code", "function.read"),
    ("PUT", f"{FN}/code", "function.update"),
    ("GET", f"{FN}/versions", "function.read"),
    ("GET", f"{FN}/versions/1", "function.read"),
    ("GET", f"{FN}/versions/1/diff/2", "function.read"),
    ("POST", f"{FN}/rollback", "function.update"),
    ("GET", f"{FN}/traffic", "function.read"),
    ("PUT", f"{FN}/traffic", "function.update"),
    ("POST", f"{FN}/stop", "function.update"),
    ("POST", f"{FN}/start", "function.update"),
    ("GET", f"{FN}/logs", "function.read"),
    ("GET", f"{FN}/builds/1/logs", "function.read"),
    ("GET", f"{FN}/invoke", "function.invoke"),
    ("DELETE", f"{FN}/invoke/a/b", "function.invoke"),
    ("POST", f"{FN}/async-invoke", "function.invoke"),
    ("GET", f"{FN}/invocations", "function.read"),
    ("GET", RUN, "function.invoke"),
    ("GET", RUN, "function.read"),
    ("GET", f"{RUN}/response", "function.invoke"),
    ("GET", f"{RUN}/response", "function.read"),
    ("DELETE", RUN, "function.invoke"),
    ("POST", f"{RUN}/redrive", "function.invoke"),
    ("POST", f"{RUN}/redeliver", "function.invoke"),
]


def test_every_operation_needs_its_scope(new_app):
    """With the scope alone a request gets past the check; with all others it does not."""
    app = new_app(list(SCOPES))
    every = {f"{kind}.{action}" for kind, actions in SCOPES.items() for action in actions}
    enough = {}
    for method, path, scope in NEEDS:
        enough.setdefault((method, path), set()).add(scope)
    enough["PUT", "/spaces/default/secrets/ABSENT"].add("secret.update")
    tokens = {scope: app.new_token(scope=scope) for scope in every}
    for (method, path), scopes in enough.items():
        for scope in scopes - {"secret.update"}:
            answer = app.request(method, path, token=tokens[scope], json={})
            assert answer.status_code not in (401, 403), (method, path, scope, answer.text)
        others = app.new_token(scope=" ".join(sorted(every - scopes)))
        answer = app.request(method, path, token=others, json={})
        problem_of(answer, 403, "insufficient_scope")
        challenge = answer.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in challenge
        named = re.search('scope="([^"]*)"', challenge)[1].split()
        assert set(named) == scopes, (method, path)


def test_nobody_learns_of_functions_of_other_spaces(server, admin, new_app):
    """Functions that are there and ones that are not look the same: to strangers, and to apps of other spaces."""
    app = new_app(list(SCOPES))
    tails = ["", "/code", "/versions", "/logs", "/invocations", "/invoke", "/invoke/a", "/traffic",
             "/invocations/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/builds/1/logs"]  # fmt: skip
    targets = [("lab", "guarded"), ("lab", "inner"), ("lab", "absent"), ("nowhere", "guarded")]
    for tail in tails:
        for ask in (lambda path: server.client.get(path), lambda path: app.request("GET", path)):
            seen = set()
            for space, name in targets:
                answer = ask(function_path(name, space) + tail)
                body = {key: value for key, value in answer.json().items() if key != "call_id"}
                headers = {"date", "x-call-id", "content-length"}
                seen.add((answer.status_code, str(body), str([(k, v) for k, v in answer.headers.items() if k not in headers])))
            assert len(seen) == 1, (tail, seen)
            assert next(iter(seen))[0] in (401, 403)


def test_an_app_reaches_its_own_space_only(admin, new_app):
    app = new_app(list(SCOPES))
    for method, path, _ in NEEDS:
        if not path.startswith("/spaces/default"):
            continue
        answer = app.request(method, path.replace("/spaces/default", "/spaces/lab"), json={})
        problem_of(answer, 403, "space_not_granted")
    assert [space["name"] for space in app.request("GET", "/spaces").json()["data"]] == ["default"]
    problem_of(app.request("POST", "/spaces", json={"name": "mine"}), 403, "administrator_only")
    problem_of(app.request("GET", "/apps"), 403, "administrator_only")
    patch = {"callback_allow": ["127.0.0.0/8"]}
    problem_of(app.request("PATCH", "/spaces/default", json=patch), 403, "administrator_only")
    problem_of(app.request("GET", "/spaces/%6Cab/functions"), 403, "space_not_granted")
    for path in ("/spaces//lab/functions", "/spaces/lab//functions/"):
        problem_of(app.request("GET", path), 404, "not_found")


def test_runs_of_other_functions_are_not_reached_by_their_ids(admin, new_app):
    app = new_app(["function"], functions=["guarded"])
    other = admin.request("POST", f"{function_path('open')}/async-invoke").json()["id"]
    own = app.request("POST", f"{function_path('guarded')}/async-invoke").json()["id"]
    assert app.status("GET", f"{function_path('guarded')}/invocations/{own}") == 200
    for tail in ("", "/response"):
        assert app.status("GET", f"{function_path('guarded')}/invocations/{other}{tail}") == 404
        problem_of(
            app.request("GET", f"{function_path('open')}/invocations/{other}{tail}"), 403, "function_not_granted"
        )
    assert app.status("DELETE", f"{function_path('guarded')}/invocations/{other}") == 404


def test_a_space_takes_its_apps_along(admin):
    assert admin.status("POST", "/spaces", json={"name": "gone"}) == 201
    app = admin.make_app("app", ["space"], "gone")
    assert app.status("GET", "/spaces/gone") == 200
    assert app.status("DELETE", "/spaces/gone") == 204
    problem_of(app.request("GET", "/spaces"), 401, "token_invalid")
    assert ask_for_token(admin.server, app.client_id, app.secret).status_code == 401
    assert admin.status("POST", "/spaces", json={"name": "gone"}) == 201
    problem_of(app.request("GET", "/spaces/gone"), 401, "token_invalid")
    assert admin.status("DELETE", "/spaces/gone") == 204


def test_access_of_functions(server, admin, new_app):
    app = new_app(["function.invoke"])
    guarded, public, inner = (function_path(name) + "/invoke" for name in ("guarded", "open", "inner"))
    answer = server.client.get(guarded)
    problem = problem_of(answer, 401, "token_missing", fault="platform")
    assert problem["component"] == "auth" and problem["call_id"] == answer.headers["x-call-id"]
    problem_of(server.client.get(inner), 401, "token_missing")
    assert app.request("GET", guarded).json() == {"authorization": None}, "the token is the platform's own"
    problem_of(app.request("GET", inner), 403, "function_internal")
    problem_of(app.request("POST", function_path("inner") + "/async-invoke"), 403, "function_internal")
    assert server.client.get(public).status_code == 200
    for value in ("Bearer of-its-own", "Basic x"):
        answer = server.client.get(public, headers={"Authorization": value})
        assert answer.json() == {"authorization": value}, "a public function checks for itself"
    assert server.client.post(function_path("open") + "/async-invoke").status_code == 202
    problem_of(server.client.get(function_path("open") + "/logs"), 401, "token_missing")


def test_grants_may_be_bound_to_functions(admin, new_app):
    app = new_app(["function", "app"], functions=["guarded", "planned"])
    assert app.invoke("guarded").status_code == 200
    assert [each["name"] for each in app.request("GET", "/spaces/default/functions").json()["data"]] == ["guarded"]
    for name in ("inner", "absent"):
        for tail in ("", "/invoke", "/logs", "/code"):
            problem_of(app.request("GET", function_path(name) + tail), 403, "function_not_granted")
    body = {"name": "other", "template": "python3-http", "source": encode_source(HANDLER)}
    problem_of(app.request("POST", "/spaces/default/functions", json=body), 403, "function_not_granted")
    assert app.status("POST", "/spaces/default/functions", json={**body, "name": "planned"}) == 201
    assert app.status("DELETE", function_path("planned")) == 204
    unbound = {"name": "more", "scopes": ["function.read"]}
    problem_of(app.request("POST", "/spaces/default/apps", json=unbound), 403, "beyond_own_grant")


def test_what_concerns_all_functions_is_not_for_bound_apps(admin, new_app):
    app = new_app(["function", "secret", "app", "space"], functions=["guarded"])
    wide = new_app(["function.invoke"])
    space = "/spaces/default"
    for method, path in (
        ("DELETE", f"{space}?force=true"),
        ("PATCH", space),
        ("POST", f"{space}/signing-secret/rotate"),
        ("GET", f"{space}/audit"),
    ):
        problem_of(app.request(method, path, json={} if method == "PATCH" else None), 403, "function_not_granted")
    assert admin.status("PUT", f"{space}/secrets/SHARED", json={"value": "v"}) == 201
    assert admin.status("PATCH", function_path("inner"), json={"secrets": ["SHARED"]}) == 200
    assert [each["used_by"] for each in app.request("GET", f"{space}/secrets").json()["data"]] == [[]]
    problem_of(app.request("PUT", f"{space}/secrets/SHARED", json={"value": "w"}), 403, "function_not_granted")
    problem_of(app.request("DELETE", f"{space}/secrets/SHARED?force=true"), 403, "function_not_granted")
    problem_of(app.request("DELETE", f"{space}/apps/{wide.client_id}"), 403, "beyond_own_grant")
    assert wide.client_id not in app.request("GET", f"{space}/apps").text
    assert admin.status("GET", f"{space}/apps/{wide.client_id}") == 200
    assert admin.status("DELETE", f"{space}/secrets/SHARED?force=true") == 204


def test_nobody_gives_away_more_than_he_has(admin, new_app):
    app = new_app(["app", "function.read"])
    strong = new_app(["secret"])
    path = "/spaces/default/apps"
    for scopes in (["secret.read"], ["function"], ["app", "space.delete"]):
        answer = app.request("POST", path, json={"name": "more", "scopes": scopes})
        problem_of(answer, 403, "beyond_own_grant")
    own = f"{path}/{app.client_id}"
    problem_of(app.request("PATCH", own, json={"scopes": ["app", "function"]}), 403, "beyond_own_grant")
    problem_of(app.request("POST", f"{path}/{strong.client_id}/rotate"), 403, "beyond_own_grant")
    narrow = app.new_token(scope="app.create")
    answer = app.request("POST", path, token=narrow, json={"name": "more", "scopes": ["function.read"]})
    problem_of(answer, 403, "beyond_own_grant")
    assert app.status("GET", own) == 200, "the app and its token are as they were"
