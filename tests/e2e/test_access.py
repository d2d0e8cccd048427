"""Apps, tokens and scopes: who may do what, and that nobody learns what is not his."""

import base64
import re

import pytest

from access import App, ask_for_token, first_credentials
from command_line import Cli
from polling import eventually
from sterna import Server, encode_source, function_path, problem_of

HANDLER = "def handle(req):\n    return {'body': {'authorization': req.headers.get('Authorization')}}\n"
SCOPES = {
    "function": ["create", "read", "update", "delete", "invoke"],
    **{kind: ["create", "read", "update", "delete"] for kind in ("trigger", "app", "space", "secret")},
}


def deploy(app, name, space="default", **fields):
    body = {"name": name, "template": "python3-http", "source": encode_source(HANDLER), **fields}
    answer = app.request("POST", f"/spaces/{space}/functions", json=body)
    assert answer.status_code == 201, answer.text
    eventually(lambda: app.request("GET", function_path(name, space)).json()["status"] == "Running", 60)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("access") / "data", auth="oauth2").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def admin(server):
    """The administrator, and what all tests look at: functions of two spaces."""
    admin = App.administrator(server)
    assert admin.status("POST", "/spaces", json={"name": "lab"}) == 201
    for space in ("default", "lab"):
        deploy(admin, "guarded", space)
        deploy(admin, "open", space, access="public")
        deploy(admin, "inner", space, access="internal")
    return admin


@pytest.fixture
def new_app(admin, request):
    """Makes an app of `default` that goes with the test."""
    made = []

    def make(scopes, space="default", **fields):
        name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[-50:].strip("-") + f"-{len(made)}"
        made.append((space, admin.make_app(name, scopes, space, **fields)))
        return made[-1][1]

    yield make
    for space, app in made:
        path = f"/spaces/{space}/apps" if space else "/apps"
        assert admin.status("DELETE", f"{path}/{app.client_id}") in (204, 404)


def basic(text):
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


# First start.


def test_the_first_start_prints_an_administrator_once(server, admin):
    log = server.log()
    client, secret = first_credentials(server)
    assert log.count(secret) == 1
    assert f"sterna login --url {server.url} --client-id {client}" in log
    assert secret not in "".join(path.read_text(errors="replace") for path in server.data_dir.glob("*.db*"))
    assert admin.request("GET", f"/apps/{client}").json()["scopes"] == list(SCOPES)


def test_somebody_stays_administrator(admin):
    path = f"/apps/{admin.client_id}"
    problem_of(admin.request("DELETE", path), 409, "last_administrator")
    problem_of(admin.request("PATCH", path, json={"disabled": True}), 409, "last_administrator")
    problem_of(admin.request("PATCH", path, json={"scopes": ["app"]}), 409, "last_administrator")
    assert admin.status("GET", path) == 200, "its token still is good"


# Tokens (RFC 6749).


def test_a_token_is_given_for_basic_and_for_a_form(server, admin):
    by_basic = ask_for_token(server, admin.client_id, admin.secret)
    by_form = server.client.post(
        "/oauth2/token",
        data={"grant_type": "client_credentials", "client_id": admin.client_id, "client_secret": admin.secret},
    )
    for answer in (by_basic, by_form):
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["pragma"] == "no-cache"
        assert answer.headers["content-type"] == "application/json"
        body = answer.json()
        assert body["token_type"] == "Bearer" and body["expires_in"] == 3600
        assert body["scope"] == " ".join(SCOPES)
        assert re.fullmatch("sterna_token_[0-9A-Za-z]{43}", body["access_token"])
        assert admin.status("GET", "/spaces", token=body["access_token"]) == 200
    assert by_basic.json()["access_token"] != by_form.json()["access_token"]


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GRANT = "grant_type=client_credentials"
REFUSED_TOKENS = {
    "no credentials": ({}, GRANT, 401, "invalid_client"),
    "unknown client": (basic("01ARZ3NDEKTSV4RRFFQ69G5FAV:x"), GRANT, 401, "invalid_client"),
    "empty secret": (basic("{id}:"), GRANT, 401, "invalid_client"),
    "wrong secret": (basic("{id}:wrong"), GRANT, 401, "invalid_client"),
    "basic that is no base64": ({"Authorization": "Basic ???"}, GRANT, 401, "invalid_client"),
    "basic without a colon": (basic("abc"), GRANT, 401, "invalid_client"),
    "basic without anything": ({"Authorization": "Basic"}, GRANT, 401, "invalid_client"),
    "another scheme": ({"Authorization": "Digest x"}, GRANT, 401, "invalid_client"),
    "grant type missing": ({"good": ""}, "", 400, "invalid_request"),
    "grant type password": ({"good": ""}, "grant_type=password&username=a", 400, "unsupported_grant_type"),
    "grant type code": ({"good": ""}, "grant_type=authorization_code&code=x", 400, "unsupported_grant_type"),
    "grant type twice": ({"good": ""}, f"{GRANT}&{GRANT}", 400, "invalid_request"),
    "scope twice": ({"good": ""}, f"{GRANT}&scope=app&scope=app", 400, "invalid_request"),
    "secret in both places": ({"good": ""}, f"{GRANT}&client_secret=x", 400, "invalid_request"),
    "another client in the form": ({"good": ""}, f"{GRANT}&client_id=x", 400, "invalid_request"),
    "unknown scope": ({"good": ""}, f"{GRANT}&scope=everything", 400, "invalid_scope"),
    "scopes by comma": ({"good": ""}, f"{GRANT}&scope=app,space", 400, "invalid_scope"),
    "broken escape": ({"good": ""}, f"{GRANT}&scope=%zz", 400, "invalid_request"),
    "json": ({"good": "", "Content-Type": "application/json"}, '{"grant_type": "x"}', 400, "invalid_request"),
}


@pytest.mark.parametrize("case", REFUSED_TOKENS)
def test_no_token_for(server, admin, case):
    headers, body, status, error = REFUSED_TOKENS[case]
    headers = {**FORM, **{key: value.replace("{id}", admin.client_id) for key, value in headers.items()}}
    if "good" in headers:
        del headers["good"]
        headers |= basic(f"{admin.client_id}:{admin.secret}")
    answer = server.client.post("/oauth2/token", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["cache-control"] == "no-store"
    assert "access_token" not in answer.text
    assert ("www-authenticate" in answer.headers) == (status == 401)


def test_secrets_do_not_go_into_urls(server, admin):
    query = f"{GRANT}&client_id={admin.client_id}&client_secret={admin.secret}"
    answer = server.client.post(f"/oauth2/token?{query}", content="", headers=FORM)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    for method in ("GET", "PUT", "DELETE"):
        answer = server.client.request(method, f"/oauth2/token?{query}")
        assert answer.status_code == 405 and answer.headers["allow"] == "POST"


def test_large_forms_are_refused(server, admin):
    answer = server.client.post(
        "/oauth2/token", content=GRANT + "&x=" + "y" * 20_000, headers=FORM | basic(f"{admin.client_id}:{admin.secret}")
    )
    problem_of(answer, 413, "body_too_large")


def test_a_token_has_at_most_the_scopes_of_its_app(server, new_app):
    app = new_app(["function.read", "function.invoke", "secret"])
    for wanted, given in [
        ("function.read", "function.read"),
        ("secret.read function.invoke", "function.invoke secret.read"),
        ("secret", "secret"),
        ("secret.create secret.read secret.update secret.delete", "secret"),
    ]:
        answer = ask_for_token(server, app.client_id, app.secret, scope=wanted)
        assert answer.json()["scope"] == given
    for wanted in ("function", "function.update", "app", "space.read", "secret function.delete"):
        answer = ask_for_token(server, app.client_id, app.secret, scope=wanted)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope"), wanted
    narrow = app.new_token(scope="secret.read")
    assert app.status("GET", "/spaces/default/secrets", token=narrow) == 200
    problem_of(app.request("GET", "/spaces/default/functions", token=narrow), 403, "insufficient_scope")


def test_an_app_has_so_many_tokens_and_the_oldest_go(new_app):
    app = new_app(["function.read"])
    tokens = [app.token] + [app.new_token() for _ in range(100)]
    statuses = [app.status("GET", "/spaces/default/functions", token=token) for token in tokens]
    assert statuses == [401] + [200] * 100


# Requests with tokens (RFC 6750).


def test_without_a_token_a_request_is_asked_for_one(server, admin):
    for headers in ({}, basic("a:b"), {"Authorization": "sterna"}):
        answer = server.client.get("/spaces/default/functions", headers=headers)
        problem_of(answer, 401, "token_missing")
        assert answer.headers["www-authenticate"] == 'Bearer realm="sterna"'
    answer = server.client.get(f"/spaces/default/functions?access_token={admin.token}")
    problem_of(answer, 401, "token_missing")


def test_wrong_tokens_are_refused_all_the_same(server, admin):
    answers = []
    for token in ("x", admin.token[:-1], admin.token + "0", admin.token.lower(), admin.secret, "y" * 10_000):
        answer = server.client.get("/spaces", headers={"Authorization": f"Bearer {token}"})
        problem_of(answer, 401, "token_invalid")
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        answers.append((answer.text, answer.headers["www-authenticate"]))
    assert len(set(answers)) == 1


def test_malformed_authorization_is_refused(server, admin):
    for value in ("Bearer", "Bearer a b"):
        answer = server.client.get("/spaces", headers={"Authorization": value})
        problem_of(answer, 400, "bad_authorization")
    twice = [("Authorization", f"Bearer {admin.token}"), ("Authorization", f"Bearer {admin.token}")]
    problem_of(server.client.get("/spaces", headers=twice), 400, "bad_authorization")


def test_a_refused_upload_is_not_waited_for(server):
    """An unknown client must not make the server take 64 MiB."""
    with server.open() as client:
        head = "PUT /spaces/default/functions/guarded/code HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n"
        client.send(head.encode())
        assert client.read("PUT").status == 401


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


# Scopes.

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


# Spaces.


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
    for path in ("/spaces//lab/functions", "/spaces/%6Cab/functions", "/spaces/lab//functions/"):
        problem_of(app.request("GET", path), 403, "space_not_granted")


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


# Functions.


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


# Apps.


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


def test_the_secret_is_shown_once(admin, new_app):
    app = new_app(["function.read"])
    path = f"/spaces/default/apps/{app.client_id}"
    for answer in (admin.request("GET", path), admin.request("GET", "/spaces/default/apps"),
                   admin.request("PATCH", path, json={"description": "d"})):  # fmt: skip
        assert answer.status_code == 200 and "client_secret" not in answer.text and app.secret not in answer.text
    assert app.secret not in admin.server.log()


def test_tokens_end_at_once_with_what_they_were_given_for(admin, new_app):
    for change in ({"disabled": True}, {"scopes": ["function.invoke"]}, {"functions": ["open"]}):
        app = new_app(["function.read"])
        path = f"/spaces/default/apps/{app.client_id}"
        assert app.status("GET", "/spaces/default/functions") == 200
        assert admin.status("PATCH", path, json={"description": "no change of what it may do"}) == 200
        assert app.status("GET", "/spaces/default/functions") == 200
        assert admin.status("PATCH", path, json=change) == 200
        problem_of(app.request("GET", "/spaces/default/functions"), 401, "token_invalid")
    assert ask_for_token(admin.server, app.client_id, app.secret).status_code == 200
    assert admin.status("PATCH", path, json={"disabled": True}) == 200
    assert ask_for_token(admin.server, app.client_id, app.secret).status_code == 401
    assert admin.status("PATCH", path, json={"disabled": False}) == 200
    assert ask_for_token(admin.server, app.client_id, app.secret).status_code == 200


def test_a_deleted_app_is_out_at_once(admin, new_app):
    app = new_app(["function.read"])
    assert admin.status("DELETE", f"/spaces/default/apps/{app.client_id}") == 204
    problem_of(app.request("GET", "/spaces/default/functions"), 401, "token_invalid")
    answer = ask_for_token(admin.server, app.client_id, app.secret)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_a_rotated_secret_ends_the_old_one(admin, new_app):
    app = new_app(["function.read"])
    answer = admin.request("POST", f"/spaces/default/apps/{app.client_id}/rotate")
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    problem_of(app.request("GET", "/spaces/default/functions"), 401, "token_invalid")
    assert ask_for_token(admin.server, app.client_id, app.secret).status_code == 401
    app.secret = answer.json()["client_secret"]
    assert app.status("GET", "/spaces/default/functions", token=app.new_token()) == 200


def test_tokens_do_not_outlive_their_app(server, admin, new_app):
    near = eventually(lambda: admin.request("GET", "/spaces/default").headers["date"], 5)
    assert near
    past = new_app(["function.read"])
    path = f"/spaces/default/apps/{past.client_id}"
    assert admin.status("PATCH", path, json={"expires_at": "2020-01-01T00:00:00Z"}) == 200
    assert ask_for_token(server, past.client_id, past.secret).status_code == 401
    assert admin.status("PATCH", path, json={"expires_at": "2999-01-01T00:00:00Z"}) == 200
    assert ask_for_token(server, past.client_id, past.secret).json()["expires_in"] == 3600


# Revocation (RFC 7009).


def revoke(server, app, token, **form):
    return server.client.post(
        "/oauth2/revoke", data={"token": token, **form}, headers=basic(f"{app.client_id}:{app.secret}")
    )


def test_a_revoked_token_is_out_at_once(server, new_app):
    app = new_app(["function.read"])
    other = app.new_token()
    answer = revoke(server, app, app.token, token_type_hint="access_token")
    assert answer.status_code == 200 and answer.text == ""
    problem_of(app.request("GET", "/spaces/default/functions"), 401, "token_invalid")
    assert app.status("GET", "/spaces/default/functions", token=other) == 200
    for unknown in (app.token, "nothing"):
        assert revoke(server, app, unknown).status_code == 200, "as good as revoked"


def test_only_the_app_itself_revokes(server, new_app):
    app, stranger = new_app(["function.read"]), new_app(["function.read"])
    answer = revoke(server, stranger, app.token)
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")
    stranger.secret = "wrong"
    assert revoke(server, stranger, app.token).status_code == 401
    assert server.client.post("/oauth2/revoke", data={"token": app.token}).status_code == 401
    assert app.status("GET", "/spaces/default/functions") == 200
    assert server.client.get("/oauth2/revoke").status_code == 405


# The audit log.


def audited(app, path="/spaces/default/audit"):
    answer = app.request("GET", path)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def test_what_changes_something_is_kept_in_the_audit_log(server, admin, new_app):
    app = new_app(["app.read", "secret.create"])
    assert app.status("PUT", "/spaces/default/secrets/AUDITED", json={"value": "hunter2"}) == 201
    assert app.status("DELETE", "/spaces/default/functions/open?force=true") == 403
    assert app.status("GET", "/spaces/default/apps") == 200
    own = eventually(lambda: [e for e in audited(app) if e["app"] and e["app"]["id"] == app.client_id][:2], 10)
    refused, made = own
    assert (refused["method"], refused["path"]) == ("DELETE", "/spaces/default/functions/open")
    assert (refused["status"], refused["reason"]) == (403, "insufficient_scope")
    assert (made["status"], made["reason"], made["address"]) == (201, "", "127.0.0.1")
    assert "hunter2" not in str(audited(admin, "/audit")) and app.secret not in str(audited(admin, "/audit"))
    assert server.client.delete("/spaces/default/functions/open").status_code == 401
    assert audited(admin)[0]["app"] is not None, "strangers do not fill it"
    problem_of(app.request("GET", "/audit"), 403, "administrator_only")
    problem_of(new_app(["function"]).request("GET", "/spaces/default/audit"), 403, "insufficient_scope")
    assert admin.status("DELETE", "/spaces/default/secrets/AUDITED") == 204


def test_the_audit_log_survives_a_kill(start_server):
    server = start_server()
    assert server.client.put("/spaces/default/secrets/KEY", json={"value": "v"}).status_code == 201
    server.kill()
    server.start()
    entry = server.client.get("/spaces/default/audit").json()["data"][0]
    assert (entry["method"], entry["path"], entry["app"]) == ("PUT", "/spaces/default/secrets/KEY", None)


# Expiry and restarts.


def test_a_token_expires(start_server):
    server = start_server("--token-seconds", "1", auth="oauth2")
    admin = App.administrator(server)
    assert ask_for_token(server, admin.client_id, admin.secret).json()["expires_in"] == 1
    eventually(lambda: admin.status("GET", "/spaces") == 401, 10)
    problem_of(admin.request("GET", "/spaces"), 401, "token_invalid")
    assert admin.status("GET", "/spaces", token=admin.new_token()) == 200


def test_tokens_and_revocations_survive_kills(start_server):
    server = start_server(auth="oauth2")
    admin = App.administrator(server)
    app = admin.make_app("app", ["function.read"])
    kept, revoked = app.new_token(), app.new_token()
    gone = admin.make_app("gone", ["function.read"])
    assert revoke(server, app, revoked).status_code == 200
    assert admin.status("DELETE", "/spaces/default/apps/gone") == 204
    server.kill()
    server.start()
    assert server.log().count("had no administrator") == 1, "there is one already"
    for token, status in ((kept, 200), (app.token, 200), (revoked, 401), (gone.token, 401)):
        assert app.status("GET", "/spaces/default/functions", token=token) == status
    assert admin.status("GET", "/apps") == 200


def test_a_lost_secret_is_replaced_on_the_machine_itself(start_server):
    server = start_server(auth="oauth2")
    client, _ = first_credentials(server)
    assert server.stop() == 0
    server.auth = "none"
    server.start()
    secret = server.client.post(f"/apps/{client}/rotate").json()["client_secret"]
    assert server.stop() == 0
    server.auth = "oauth2"
    server.start()
    assert App(server, client, secret).status("GET", "/spaces") == 200


def test_metrics_may_be_open(start_server):
    server = start_server("--open-metrics", auth="oauth2")
    assert server.client.get("/metrics").status_code == 200
    problem_of(server.client.get("/spaces"), 401, "token_missing")


# The command line.


def test_the_command_line_logs_in(server, admin, tmp_path):
    cli = Cli(server.url, tmp_path, {"XDG_CONFIG_HOME": str(tmp_path / "config")})
    refused = cli.run("list")
    assert refused.returncode == 1 and f"sterna login --url {server.url}" in refused.stderr
    refused = cli.run("invoke", "guarded")
    assert refused.returncode == 4 and f"sterna login --url {server.url}" in refused.stderr
    assert cli.run("login", "--client-id", admin.client_id, data="wrong\n").returncode == 1
    assert "scopes: function" in cli.ok("login", "--client-id", admin.client_id, data=admin.secret + "\n")
    assert (tmp_path / "config/sterna/logins.json").stat().st_mode & 0o777 == 0o600
    assert "guarded" in cli.ok("list")
    assert cli.ok("invoke", "guarded")
    made = cli.json("apps", "create", "cli", "--scope", "function.invoke", "--function", "guarded")
    assert "cli" in cli.ok("apps", "list") and "function.invoke" in cli.ok("apps", "get", "cli")

    names = {"STERNA_CLIENT_ID": made["client_id"], "STERNA_CLIENT_SECRET": made["client_secret"]}
    weak = Cli(server.url, tmp_path, names)
    assert weak.ok("invoke", "guarded")
    lacking = weak.run("list")
    assert lacking.returncode == 1 and "lacks the scope function.read" in lacking.stderr
    assert weak.run("invoke", "inner").returncode == 4
    token = App(server, made["client_id"], made["client_secret"]).token
    assert Cli(server.url, tmp_path, {"STERNA_TOKEN": token}).ok("invoke", "guarded")

    rotated = cli.json("apps", "rotate", "cli")
    assert rotated["client_secret"] != made["client_secret"]
    assert "Log in again" in weak.run("invoke", "guarded").stderr
    assert "true" in cli.ok("apps", "update", "cli", "--disable")
    assert "deleted" in cli.ok("apps", "delete", "cli")
    assert "Logged out" in cli.ok("logout")
    assert cli.run("list").returncode == 1
