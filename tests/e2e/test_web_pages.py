"""A server that asks for no tokens is reached by every page in its user's browser; pages must not be able to drive it."""

import json

import pytest

from raw_http2 import Http2Client
from sterna import encode_source, function_path, invoke_path

HANDLER = "def handle(req):\n    return {'body': 'ran'}\n"
APP = "https://app.example.com"
EVIL = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
GUARDED = [
    ("POST", "/spaces/default/functions"),
    ("GET", "/spaces/default/signing-secret"),
    ("DELETE", "/spaces/default?force=true"),
    ("GET", "/spaces/default/functions/kept/logs"),
    ("GET", "/spaces/default/functions/kept/builds/1/logs"),
    ("GET", "/spaces/default/functions/kept/invocations"),
    ("GET", "/metrics"),
    ("POST", "/oauth2/token"),
    ("POST", "/oauth2/revoke"),
]


@pytest.fixture(scope="module", autouse=True)
def functions(server):
    server.deploy("kept", HANDLER)
    server.deploy("open", HANDLER, access="public")
    server.deploy("paged", HANDLER, cors={"allow_origins": [APP]})


def reason(answer):
    return answer.status_code, answer.json()["reason"], answer.json()["component"]


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_pages_of_other_origins_are_refused(server, method, path):
    body = json.dumps({"name": "planted", "template": "python3", "source": encode_source(HANDLER)}).encode()
    for headers in (EVIL, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://localhost:3000"}):
        answer = server.request(method, path, headers=headers, content=body if method == "POST" else None)
        assert reason(answer) == (403, "origin_not_allowed", "auth"), headers
    assert "--auth oauth2" in answer.json()["detail"]
    assert server.request("GET", function_path("planted")).status_code == 404
    assert server.request("GET", function_path("kept")).status_code == 200


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_names_of_others_that_point_here_are_refused(server, method, path):
    own = {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}
    for host in ("evil.example", f"evil.example:{server.address[1]}", "localhost.evil.example"):
        for headers in ({}, own):
            answer = server.request(method, path, headers={"Host": host, **headers})
            assert reason(answer) == (403, "host_not_allowed", "auth"), (host, headers)
    assert "localhost" in answer.json()["detail"]


def test_http2_is_guarded_alike(server):
    with Http2Client(server.address) as client:
        for status, more in ((403, {"authority": "evil.example"}), (403, {"headers": [("origin", "https://evil.example")]}), (200, {})):
            assert client.response(client.request("GET", "/spaces/default/signing-secret", **more))[0] == status, more


def test_the_host_of_an_absolute_target_counts(server):
    with server.open() as client:
        client.send("GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.read().status == 403


def test_what_is_for_everyone_stays_so(server):
    for path in ("/healthz", "/readyz", "/openapi.json", invoke_path("open"), invoke_path("kept")):
        assert server.request("GET", path, headers={"Host": "evil.example", **EVIL}).status_code == 200, path


def test_programs_and_own_pages_go_on(server):
    own = server.url.removeprefix("http://")
    for headers in ({}, {"Host": f"localhost:{server.address[1]}"}, {"Host": "app.localhost"}, {"Host": "[::1]:80"}, {"Host": "sterna"},
                    {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}, {"Origin": f"http://{own}"}):
        assert server.request("GET", "/spaces/default/signing-secret", headers=headers).status_code == 200, headers


def test_pages_call_functions_as_their_cors_says(server):
    page = {"Origin": APP, "Sec-Fetch-Site": "cross-site"}
    assert server.request("POST", invoke_path("paged"), headers=page).status_code == 200
    assert server.request("GET", function_path("paged") + "/invocations", headers=page).status_code == 200
    assert reason(server.request("GET", function_path("paged") + "/invocations", headers=EVIL))[1] == "origin_not_allowed"
    assert reason(server.request("PATCH", function_path("paged"), headers=page, json={}))[1] == "origin_not_allowed"
