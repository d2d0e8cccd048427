"""Apps and their secrets, from the first start on; what ends with them; the command line that logs in as one."""

from access import App, SCOPES, ask_for_token, first_credentials
from command_line import Cli
from polling import eventually
from sterna import problem_of


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
    slow = {"requests_per_second": 0.000001, "burst": 1}
    problem_of(admin.request("PATCH", path, json={"rate_limit": slow}), 409, "last_administrator")
    assert admin.status("GET", path) == 200, "its token still is good"


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
