"""Tokens: who gets one and for how long (RFC 6749), requests that carry one (RFC 6750), their revocation (RFC 7009)."""

import re
import sqlite3
import threading

import pytest

from access import App, SCOPES, ask_for_token, basic, revoke
from polling import eventually
from sterna import problem_of


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


def test_tokens_do_not_wait_for_management(server, admin):
    """The management thread stands still: somebody else writes the audit log."""
    audit = sqlite3.connect(server.data_dir / "audit.db", isolation_level=None)
    audit.execute("BEGIN IMMEDIATE")
    put = threading.Thread(target=lambda: admin.status("PUT", "/spaces/lab/secrets/HELD_UP", json={"value": "x"}))
    put.start()
    registry = sqlite3.connect(f"file:{server.data_dir}/sterna.db?mode=ro", uri=True)
    eventually(lambda: registry.execute("SELECT count(*) FROM secrets WHERE name = 'HELD_UP'").fetchone()[0])
    token = admin.new_token()
    was_held_up = put.is_alive()
    audit.execute("ROLLBACK")
    put.join()
    assert was_held_up
    assert admin.status("GET", "/spaces", token=token) == 200
    assert admin.status("DELETE", "/spaces/lab/secrets/HELD_UP") == 204
