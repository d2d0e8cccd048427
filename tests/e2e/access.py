"""Apps and tokens of a server that checks them."""

import re

import httpx

from sterna import function_path


def first_credentials(server):
    """The client id and secret that the server has printed at its first start."""
    text = server.log()
    return tuple(re.search(rf"client {word}:\s+(\S+)", text)[1] for word in ("id", "secret"))


def ask_for_token(server, client, secret, **form):
    return server.client.post(
        "/oauth2/token", data={"grant_type": "client_credentials", **form}, auth=httpx.BasicAuth(client, secret)
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
