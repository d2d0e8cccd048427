"""More than an app, a space or an address may ask for: 429 before the body is read. The limits refill so slowly that none of
them does while a test runs."""

import re

import httpx
import pytest

from access import App, ask_for_token, name_for, start_for_administrator
from command_line import Cli
from sterna import function_path, invoke_path

HANDLER = """
def handle(req):
    if req.path == '/stream':
        return {'body': (b'x' * 16384 for _ in range(40))}
    return {'body': b'x' * int(req.query.get('bytes', 2))}
"""
SLOW = 0.001
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = start_for_administrator(tmp_path_factory.mktemp("server") / "data", "--failed-logins-per-minute", "0")
    yield server
    assert server.stop() == 0, server.log()[-4000:]


@pytest.fixture
def space(server, request):
    """A space of its own with a public function."""
    name = name_for(request)
    assert server.client.post("/spaces", json={"name": name}).status_code == 201
    server.deploy("f", HANDLER, space=name, access="public")
    yield name
    server.client.delete(f"/spaces/{name}?force=true")


def limit(server, space, **fields):
    answer = server.admin.request("PATCH", f"/spaces/{space}", json={"rate_limit": fields}, headers=MERGE)
    assert answer.status_code == 200, answer.text
    return answer.json()


def limit_app(server, app, space, **fields):
    answer = server.admin.request("PATCH", f"/spaces/{space}/apps/{app.client_id}", json={"rate_limit": fields}, headers=MERGE)
    assert answer.status_code == 200, answer.text


def anonymous(server, space, **options):
    return httpx.post(server.url + invoke_path("f", space=space), trust_env=False, **options)


def check_refusal(answer, least, most):
    assert answer.status_code == 429, answer.text
    problem = answer.json()
    assert (problem["reason"], problem["component"]) == ("rate_limited", "gateway")
    assert answer.headers["x-sterna-fault"] == "platform"
    assert least <= int(answer.headers["retry-after"]) <= most
    return problem


def refused(server, space, limit):
    text = server.admin.request("GET", "/metrics").text
    found = re.search(rf'^sterna_refused_total{{limit="{limit}",space="{space}"}} (\d+)', text, re.MULTILINE)
    return int(found[1]) if found else 0


def test_requests_of_a_space(server, space):
    limit(server, space, requests_per_second=SLOW, burst=3)
    assert [anonymous(server, space).status_code for _ in range(3)] == [200] * 3
    problem = check_refusal(anonymous(server, space), 900, 1000)
    assert "rate_limit.requests_per_second" in problem["detail"]
    assert problem["call_id"]
    answer = server.admin.request("POST", function_path("f", space) + "/async-invoke")
    check_refusal(answer, 900, 1000)
    assert refused(server, space, "space_requests") == 2
    # Its managers can still help themselves, and others go on.
    assert server.admin.status("POST", function_path("f", space) + "/stop") == 200
    assert server.admin.status("POST", function_path("f", space) + "/start") == 200
    limit(server, space, requests_per_second=None, burst=None)
    assert anonymous(server, space).status_code == 200


def test_the_body_of_a_refused_call_is_not_read(server, space):
    limit(server, space, requests_per_second=SLOW, burst=1)
    assert anonymous(server, space).status_code == 200
    with server.open() as client:
        client.send(f"POST {invoke_path('f', space=space)} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6000000\r\nExpect: 100-continue\r\n\r\n")
        assert client.read().status == 429


def test_requests_of_an_app(server, space):
    app = server.admin.make_app("slow", ["function", "app"], space=space)
    other = server.admin.make_app("other", ["function"], space=space)
    limit_app(server, app, space, requests_per_second=SLOW, burst=4)
    assert app.status("GET", f"/spaces/{space}/functions") == 200
    assert app.status("GET", function_path("f", space) + "/logs") == 200
    assert app.status("GET", function_path("f", space) + "/invocations") == 200
    answer = ask_for_token(server, app.client_id, app.secret)
    assert answer.status_code == 200, "another token is one request, and no new beginning"
    for method, path in (
        ("GET", f"/spaces/{space}/functions"),
        ("DELETE", function_path("f", space)),
        ("GET", function_path("f", space) + "/logs"),
        ("GET", function_path("f", space) + "/invocations"),
    ):
        check_refusal(app.request(method, path, token=answer.json()["access_token"]), 900, 1000)
    check_refusal(ask_for_token(server, app.client_id, app.secret), 900, 1000)
    assert app.invoke("f", space).status_code == 200, "public functions ask for no app"
    assert other.status("GET", f"/spaces/{space}/functions") == 200
    assert refused(server, space, "app_requests") == 5


def test_an_app_that_calls(server, space):
    server.deploy("g", HANDLER, space=space)
    app = server.admin.make_app("slow", ["function.invoke"], space=space)
    limit_app(server, app, space, requests_per_second=SLOW, burst=2)
    assert [app.invoke("g", space).status_code for _ in range(3)] == [200, 200, 429]
    answer = app.request("POST", function_path("g", space) + "/async-invoke")
    check_refusal(answer, 900, 1000)


def test_bytes_in_and_out(server, space):
    limit(server, space, bytes_per_second=1000)
    assert anonymous(server, space, content=b"x" * 500_000).status_code == 200
    problem = check_refusal(anonymous(server, space), 400, 500)
    assert "rate_limit.bytes_per_second" in problem["detail"]
    limit(server, space, bytes_per_second=0)
    assert anonymous(server, space).status_code == 200
    limit(server, space, bytes_per_second=1000)
    assert len(anonymous(server, space, params={"bytes": 50_000}).content) == 50_000
    check_refusal(anonymous(server, space), 40, 50)
    assert refused(server, space, "space_bytes") == 2


def test_streams_are_slowed_down_not_cut(server, space):
    limit(server, space, bytes_per_second=500_000)
    answer = httpx.get(server.url + invoke_path("f", "/stream", space), trust_env=False, timeout=60)
    assert len(answer.content) == 40 * 16384


def test_who_may_raise_what(server, space):
    manager = server.admin.make_app("manager", ["app", "space", "function"], space=space)
    answer = manager.request("PATCH", f"/spaces/{space}", json={"rate_limit": {"requests_per_second": 5}}, headers=MERGE)
    assert (answer.status_code, answer.json()["reason"]) == (403, "administrator_only")
    limit_app(server, manager, space, requests_per_second=1000)
    path = f"/spaces/{space}/apps"
    fast = {"name": "fast", "scopes": ["function"], "rate_limit": {"requests_per_second": 1001}}
    for answer in (
        manager.request("POST", path, json=fast),
        manager.request("POST", path, json={"name": "fast", "scopes": ["function"]}),
        manager.request("PATCH", f"{path}/manager", json={"rate_limit": None}, headers=MERGE),
    ):
        assert (answer.status_code, answer.json()["reason"]) == (403, "beyond_own_grant"), answer.text
    fast["rate_limit"]["requests_per_second"] = 999
    assert manager.status("POST", path, json=fast) == 201
    audit = server.admin.request("GET", f"/spaces/{space}/audit").json()["data"]
    assert ("PATCH", f"/spaces/{space}", 403) in [(entry["method"], entry["path"], entry["status"]) for entry in audit]


def test_limits_survive_a_restart(start_server):
    server = start_server("--space-requests-per-second", str(SLOW), "--space-burst", "2")
    server.deploy("f", HANDLER)
    assert [server.call("f").status_code for _ in range(3)] == [200, 200, 429]
    assert server.client.patch("/spaces/default", json={"rate_limit": {"requests_per_second": SLOW, "burst": 4}}).status_code == 200
    server.stop()
    server.start()
    server.wait_for_status("f", "Running")
    assert [server.call("f").status_code for _ in range(5)] == [200] * 4 + [429]


def test_apps_have_the_servers_limit(start_server):
    server = start_server("--app-requests-per-second", str(SLOW), "--app-burst", "4", auth="oauth2")
    admin = App.administrator(server)  # one request: its token
    assert [admin.status("GET", "/spaces") for _ in range(4)] == [200, 200, 200, 429]


@pytest.mark.parametrize("path", ["/spaces", invoke_path("f"), function_path("f") + "/logs"])
def test_guessed_tokens(start_server, path):
    server = start_server("--failed-logins-per-minute", "3", auth="oauth2")
    admin = App.administrator(server)
    assert [admin.request("GET", path, token="guess").status_code for _ in range(4)] == [401, 401, 401, 429]
    answer = admin.request("GET", path, token="guess")
    assert (answer.json()["reason"], answer.json()["component"]) == ("rate_limited", "auth")
    assert 1 <= int(answer.headers["retry-after"]) <= 20
    assert answer.headers["x-sterna-fault"] == "platform"
    assert admin.status("GET", "/spaces") == 200, "a good token is taken: others may be behind that address"
    assert httpx.get(server.url + "/spaces", trust_env=False).status_code == 401, "no token is no guess"
    assert refused(Metered(server, admin), "", "bad_tokens") == 2


def test_guessed_secrets(start_server):
    server = start_server("--failed-logins-per-minute", "3", auth="oauth2")
    admin = App.administrator(server)
    guesses = [ask_for_token(server, admin.client_id, f"sterna_secret_{i}").status_code for i in range(3)]
    assert guesses == [401] * 3
    for answer in (
        ask_for_token(server, admin.client_id, "sterna_secret_3"),
        ask_for_token(server, admin.client_id, admin.secret),  # nobody learns that this one is right
        server.client.post("/oauth2/revoke", data={"token": "x"}, auth=("a", "b")),
    ):
        assert answer.status_code == 429
        assert answer.json()["reason"] == "rate_limited"
        assert 1 <= int(answer.headers["retry-after"]) <= 20
    assert admin.status("GET", "/spaces") == 200


def test_secrets_that_are_guessed_at_once(start_server):
    """Heads come before bodies, so all of these pass the look at the head."""
    server = start_server("--failed-logins-per-minute", "3", auth="oauth2")
    admin = App.administrator(server)
    form = f"grant_type=client_credentials&client_id={admin.client_id}&client_secret="
    bodies = [form + f"guess-{i:04}" for i in range(40)] + [form + admin.secret]
    clients = [server.open() for _ in bodies]
    for client, body in zip(clients, bodies, strict=True):
        client.send(
            "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        )
        assert client.read().status == 100
    answers = []
    for client, body in zip(clients, bodies, strict=True):
        answers.append(client.send(body).read())
        client.close()
    assert [answer.status for answer in answers[:4]] == [401, 401, 401, 429]
    assert [answer.status for answer in answers].count(401) <= 4, "what refills meanwhile"
    assert answers[-1].status == 429, "nobody learns that this one is right"
    answer = ask_for_token(server, admin.client_id, admin.secret)
    assert answer.status_code == 200 or int(answer.headers["retry-after"]) <= 20, "the excess is not paid for"


def test_a_lower_limit_locks_nobody_out(server, space):
    limit(server, space, requests_per_second=SLOW, burst=2000)
    assert [anonymous(server, space).status_code for _ in range(50)] == [200] * 50
    limit(server, space, requests_per_second=0.02, burst=5)
    assert [anonymous(server, space).status_code for _ in range(6)] == [200] * 5 + [429]
    check_refusal(anonymous(server, space), 30, 50)


class Metered:
    def __init__(self, server, admin):
        self.admin = admin


def test_command_line(server, space, tmp_path):
    cli = Cli(server.url, tmp_path, {"STERNA_TOKEN": server.admin.token})
    cli.ok("spaces", "limits", space, "requests_per_second=2.5", "burst=9")
    assert cli.json("spaces", "limits", space)["rate_limit"] == {"requests_per_second": 2.5, "burst": 9, "bytes_per_second": None}
    cli.ok("spaces", "limits", space, "requests_per_second=none", "burst=default")
    assert cli.json("spaces", "get", space)["rate_limit"] == {"requests_per_second": 0, "burst": None, "bytes_per_second": None}
    cli.ok("--space", space, "apps", "create", "slow", "--scope", "function", "--limit", "burst=3")
    cli.ok("--space", space, "apps", "update", "slow", "--limit", "requests_per_second=1")
    assert cli.json("--space", space, "apps", "get", "slow")["rate_limit"]["requests_per_second"] == 1
    assert cli.run("spaces", "limits", space, "speed=3").returncode != 0
