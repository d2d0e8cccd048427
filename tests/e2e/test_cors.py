"""Pages of other origins: preflight requests, and what browsers need to see in answers."""

import pytest

from access import App
from raw_http2 import Http2Client
from sterna import Server, function_path, invoke_path

APP = "https://app.example.com"
HANDLER = """
def handle(req):
    if req.path == '/raise':
        raise ValueError('on purpose')
    return {'body': 'ran', 'headers': [['Access-Control-Allow-Origin', 'https://function.example'], ['access-control-max-age', '9'],
                                       ['X-Own', 'kept']]}
"""
CORS = {"allow_origins": [APP, "http://localhost:5173"], "allow_headers": ["X-One"], "allow_credentials": True, "max_age_seconds": 77}
PREFLIGHT = {"Origin": APP, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type,x-one"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One that asks for tokens."""
    server = Server(tmp_path_factory.mktemp("server") / "data", auth="oauth2").start()
    admin = server.admin = App.administrator(server)
    server.client.headers["Authorization"] = f"Bearer {admin.token}"
    server.deploy("named", HANDLER, cors=CORS)
    server.deploy("all", HANDLER, access="public", cors={"allow_origins": ["*"], "allow_headers": ["*"], "allow_methods": ["*"]})
    server.deploy("plain", HANDLER)
    del server.client.headers["Authorization"]
    yield server
    assert server.stop() == 0, server.log()[-4000:]


def allowed(answer):
    return answer.headers.get_list("access-control-allow-origin")


def preflight(server, name, path="", **headers):
    return server.client.options(invoke_path(name, path), headers={**PREFLIGHT, **headers})


def test_preflight_needs_no_token_and_runs_nothing(server):
    answer = preflight(server, "named", "/some/path?q=1")
    assert answer.status_code == 204
    assert allowed(answer) == [APP]
    assert answer.headers["access-control-allow-methods"] == "GET, POST, PUT, PATCH, DELETE"
    assert answer.headers["access-control-allow-headers"] == "X-One"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-max-age"] == "77"
    assert "Origin" in [name for line in answer.headers.get_list("vary") for name in line.split(", ")]
    assert answer.content == b""
    function = server.admin.request("GET", function_path("named")).json()
    assert function["metrics"]["invocations"] == 0


@pytest.mark.parametrize("path", ["/async-invoke", "/invocations", "/invocations/01ARZ3NDEKTSV4RRFFQ69G5FAV"])
def test_preflight_of_asynchronous_calls(server, path):
    answer = server.client.options(function_path("named") + path, headers=PREFLIGHT)
    assert answer.status_code == 204
    assert allowed(answer) == [APP]


def test_stars_take_what_is_asked_for(server):
    answer = preflight(server, "all", Origin="null", **{"Access-Control-Request-Headers": "authorization, x-two,,bad name"})
    assert answer.status_code == 204
    assert allowed(answer) == ["*"]
    assert answer.headers["access-control-allow-methods"] == "PUT"
    assert answer.headers["access-control-allow-headers"] == "authorization, x-two"
    assert "access-control-allow-credentials" not in answer.headers


def test_origins_that_are_not_listed_get_no_permission(server):
    answer = preflight(server, "named", Origin="https://evil.example")
    assert answer.status_code == 403
    assert answer.json()["reason"] == "origin_not_allowed"
    assert allowed(answer) == []
    actual = server.admin.request("GET", invoke_path("named"), headers={"Origin": "https://evil.example"})
    assert (actual.text, allowed(actual), actual.headers["vary"]) == ("ran", [], "Origin")


@pytest.mark.parametrize("headers", [{}, {"Origin": APP}, {"Access-Control-Request-Method": "PUT"}])
def test_other_options_requests_are_refused_as_ever(server, headers):
    answer = server.client.options(invoke_path("named"), headers=headers)
    assert answer.status_code == 405
    assert answer.json()["reason"] == "method_not_allowed"


def test_functions_without_settings_know_no_preflight(server):
    for name in ("plain", "unknown"):
        answer = preflight(server, name)
        assert answer.status_code == 405
        assert allowed(answer) == []


def test_answers_can_be_read(server):
    answer = server.admin.request("GET", invoke_path("named"), headers={"Origin": APP})
    assert answer.text == "ran"
    assert allowed(answer) == [APP]
    assert answer.headers["vary"] == "Origin"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "X-Call-Id" in answer.headers["access-control-expose-headers"].split(", ")
    assert "access-control-max-age" not in answer.headers
    assert answer.headers["x-own"] == "kept"


def test_without_settings_the_functions_own_headers_stay(server):
    answer = server.admin.request("GET", invoke_path("plain"), headers={"Origin": APP})
    assert allowed(answer) == ["https://function.example"]


def test_refusals_can_be_read(server):
    answer = server.client.get(invoke_path("named"), headers={"Origin": APP})
    assert (answer.status_code, allowed(answer)) == (401, [APP])
    answer = server.admin.request("GET", invoke_path("named", "/a/b/c/d"), headers={"Origin": APP})
    assert (answer.status_code, allowed(answer)) == (404, [APP])
    answer = server.admin.request("GET", invoke_path("named", "/raise"), headers={"Origin": APP})
    assert (answer.status_code, allowed(answer)) == (500, [APP])
    answer = server.admin.request("POST", invoke_path("named"), headers={"Origin": APP}, content=b"x" * (6 * 2**20 + 1))
    assert (answer.status_code, allowed(answer)) == (413, [APP])


def test_nothing_stays_for_the_connections_next_request(server):
    with server.open() as client:
        path = invoke_path("all")
        client.request("GET", path, [("Origin", APP)])
        assert client.read().all("access-control-allow-origin") == ["*"]
        client.request("GET", "/healthz", [("Origin", APP)])
        assert client.read().all("access-control-allow-origin") == []


def test_over_http2(server):
    headers = [(name.lower(), value) for name, value in PREFLIGHT.items()]
    with Http2Client(server.address) as client:
        status, found, _ = client.response(client.request("OPTIONS", invoke_path("named"), headers))
        assert (status, found["access-control-allow-origin"]) == (204, APP)
        status, found, _ = client.response(client.request("GET", invoke_path("named"), headers[:1]))
        assert (status, found["access-control-allow-origin"]) == (401, APP)
        status, found, _ = client.response(client.request("GET", "/healthz", headers[:1]))
        assert (status, "access-control-allow-origin" in found) == (200, False)


def test_answers_that_are_kept_can_be_read(server):
    headers = {"Origin": APP, "Idempotency-Key": "once"}
    for _ in range(2):
        answer = server.admin.request("POST", invoke_path("named"), headers=headers)
        assert (answer.text, allowed(answer)) == ("ran", [APP])
    accepted = server.admin.request("POST", function_path("named") + "/async-invoke", headers={"Origin": APP})
    assert (accepted.status_code, allowed(accepted)) == (202, [APP])
    resource = server.admin.request("GET", accepted.headers["location"] + "?wait=30", headers={"Origin": APP})
    assert (resource.json()["state"], allowed(resource)) == ("succeeded", [APP])
    kept = server.admin.request("GET", accepted.headers["location"] + "/response", headers={"Origin": APP})
    assert (kept.text, allowed(kept)) == ("ran", [APP])


def test_settings_are_checked_patched_and_removed(server):
    path = function_path("plain")
    merge = {"Content-Type": "application/merge-patch+json"}

    def patch(cors):
        return server.admin.request("PATCH", path, headers=merge, json={"cors": cors})

    answer = patch({"allow_origins": ["*"], "allow_credentials": True})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["cors.allow_origins"]
    assert patch({"allow_origins": [APP]}).json()["cors"]["allow_origins"] == [APP]
    answer = patch({"max_age_seconds": 1})
    assert (answer.json()["cors"]["max_age_seconds"], answer.json()["cors"]["allow_origins"]) == (1, [APP])
    assert patch(None).json()["cors"] is None
