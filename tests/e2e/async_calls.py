"""Hands asynchronous invocations in and looks at what becomes of them."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass

from polling import eventually
from sterna import function_path

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ENDED = {"succeeded", "failed", "cancelled", "expired"}


def async_path(name, path="", space="default"):
    return f"{function_path(name, space)}/async-invoke{path}"


def invocation_path(name, call_id, suffix="", space="default"):
    return f"{function_path(name, space)}/invocations/{call_id}{suffix}"


@dataclass
class Call:
    """One accepted invocation."""

    server: object
    name: str
    id: str
    space: str = "default"

    @property
    def path(self):
        return invocation_path(self.name, self.id, space=self.space)

    def get(self, **params):
        answer = self.server.request("GET", self.path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def until(self, state, within=20.0):
        """The resource, once it has this state."""

        def reached():
            found = self.get()
            assert found["state"] == state, found
            return found

        return eventually(reached, within)

    def ended(self, within=20.0):
        """The resource, once the invocation has ended."""

        def reached():
            found = self.get(wait=1)
            assert found["state"] in ENDED, found
            return found

        return eventually(reached, within)

    def until_delivery(self, delivery, within=20.0):
        def reached():
            found = self.get()
            assert found["callback"]["delivery"] == delivery, found
            return found

        return eventually(reached, within)

    def response(self):
        return self.server.request("GET", self.path + "/response")

    def cancel(self):
        return self.server.request("DELETE", self.path)

    def redrive(self):
        return self.server.request("POST", self.path + "/redrive")

    def redeliver(self):
        return self.server.request("POST", self.path + "/redeliver")

    def runs(self):
        """How often the function has begun, by the lines that it printed."""
        lines = self.server.logs(self.name, self.space, call_id=self.id)
        return len([line for line in lines if line["text"] == "run"])


def submit(server, name, path="", callback=None, space="default", headers=None, **options):
    """The answer to POST async-invoke."""
    sent = [*(headers or {}).items()] if not isinstance(headers, list) else headers
    if callback is not None:
        sent = [*sent, ("X-Callback-Url", callback)]
    return server.request("POST", async_path(name, path, space), headers=sent, **options)


def call(server, name, path="", callback=None, space="default", headers=None, **options):
    """A Call; the submission must have been accepted."""
    return accepted(server, submit(server, name, path, callback, space, headers, **options), name, space)


def accepted(server, answer, name, space="default"):
    """Checks a 202 to the letter, and answers its Call. A repeated one tells how far the first has come."""
    assert answer.status_code == 202, (answer.status_code, answer.text)
    found = answer.json()
    assert ULID.fullmatch(found["id"]) and answer.headers["X-Call-Id"] == found["id"]
    repeated = answer.headers.get("Idempotency-Replayed") == "true"
    assert found["state"] == "queued" or repeated, found
    assert answer.headers["Location"] == invocation_path(name, found["id"], space=space)
    return Call(server, name, found["id"], space)


# Standard Webhooks


def signature(secret, callback):
    """What one entry of webhook-signature must be for this secret."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{callback.header('webhook-id')}.{callback.header('webhook-timestamp')}.".encode() + callback.body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def signatures_of(callback):
    return callback.header("webhook-signature").split(" ")
