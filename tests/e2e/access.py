"""Apps and tokens of a server that checks them."""

import base64
import re

import httpx

from polling import eventually
from sterna import Server, encode_source, function_path

HANDLER = "def handle(req):\n    return {'body': {'authorization': req.headers.get('Authorization')}}\n"
SCOPES = {
    "function": ["create", "read", "update", "delete", "invoke"],
    **{kind: ["create", "read", "update", "delete"] for kind in ("trigger", "app", "space", "secret")},
}


def name_for(request):
    """For what a test makes: its own name in the form of names."""
    return re.sub("[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:60].strip("-")


def start_for_administrator(data_dir, *options):
    """A server that checks tokens, whose client is the administrator, `server.admin`."""
    server = Server(data_dir, *options, auth="oauth2").start()
    server.admin = App.administrator(server)
    server.client.headers["Authorization"] = f"Bearer {server.admin.token}"
    return server


def first_credentials(server):
    """The client id and secret that the server has printed at its first start."""
    text = server.log()
    return tuple(re.search(rf"client {word}:\s+(\S+)", text)[1] for word in ("id", "secret"))


def ask_for_token(server, client, secret, **form):
    return server.client.post(
        "/oauth2/token", data={"grant_type": "client_credentials", **form}, auth=httpx.BasicAuth(client, secret)
    )


def basic(text):
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def revoke(server, app, token, **form):
    return server.client.post(
        "/oauth2/revoke", data={"token": token, **form}, headers=basic(f"{app.client_id}:{app.secret}")
    )


class App:
    """One app of a server; its requests carry its token."""

    def __init__(self, server, client_id, secret, scope=None):
        self.server = server
        self.client_id = client_id
        self.secret = secret
        self.token = self.new_token(**({"scope": scope} if scope else {}))

    @staticmethod
    def administrator(server):
        return App(server, *first_credentials(server))

    def new_token(self, **form):
        answer = ask_for_token(self.server, self.client_id, self.secret, **form)
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    def request(self, method, path, token=None, **options):
        headers = {**options.pop("headers", {}), "Authorization": f"Bearer {token or self.token}"}
        return self.server.client.request(method, path, headers=headers, **options)

    def make_app(self, name, scopes, space="default", **fields):
        """Another app, made with this one's token."""
        path = f"/spaces/{space}/apps" if space else "/apps"
        answer = self.request("POST", path, json={"name": name, "scopes": scopes, **fields})
        assert answer.status_code == 201, answer.text
        return App(self.server, answer.json()["client_id"], answer.json()["client_secret"])

    def status(self, method, path, **options):
        return self.request(method, path, **options).status_code

    def invoke(self, name, space="default", **options):
        return self.request("GET", function_path(name, space) + "/invoke", **options)


def deploy(app, name, space="default", **fields):
    """A function that shows the Authorization it got."""
    body = {"name": name, "template": "python3-http", "source": encode_source(HANDLER), **fields}
    answer = app.request("POST", f"/spaces/{space}/functions", json=body)
    assert answer.status_code == 201, answer.text
    eventually(lambda: app.request("GET", function_path(name, space)).json()["status"] == "Running", 60)
