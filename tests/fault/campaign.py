"""Many asynchronous calls whose ids and bodies are written down before they are sent, and what must hold at the end."""

import json
import os
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from async_calls import async_path
from polling import eventually
from raw_http import Closed, RawClient
from senders import Senders
from sterna import function_path

# Callbacks to the receiver, and functions that tell the RunCounter of their runs.
OPTIONS = ("--callback-allow", "127.0.0.0/8", "--allow-network-host")
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

# Answers the body that it was sent, and tells RUNS_PORT of every run. Needs network host.
ECHO_AND_TELL = """
import os, socket, time

RUNS = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
RUNS.connect(("127.0.0.1", int(os.environ["RUNS_PORT"])))

def handle(req):
    RUNS.send(req.headers["X-Call-Id"].encode())
    time.sleep(SECONDS)
    return {"headers": {"Content-Type": "application/octet-stream"}, "body": req.body}
"""


class RunCounter:
    """Counts the runs of functions, also of those whose end nobody has seen."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.runs = Counter()
        self.thread = threading.Thread(target=self.count, daemon=True)
        self.thread.start()

    def count(self):
        while call_id := self.socket.recv(100):
            self.runs[call_id.decode()] += 1

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.socket.getsockname())
        self.thread.join(10)
        self.socket.close()

    def of(self, call_id):
        return self.runs[call_id]

    def total(self):
        return sum(dict(self.runs).values())

    def repeated(self):
        return sum(count - 1 for count in dict(self.runs).values())

    def deploy(self, server, name, seconds=0.001, limits=None, **fields):
        """Deploys a function whose runs are counted here."""
        source = ECHO_AND_TELL.replace("SECONDS", str(seconds))
        server.deploy(name, source, env={"RUNS_PORT": str(self.socket.getsockname()[1])},
                      limits={"network": "host", **(limits or {})}, **fields)  # fmt: skip


def new_id():
    number = (int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    return "".join(CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


@dataclass
class Sent:
    """What the sender knows of one call."""

    body: bytes
    accepted: bool = False  # a 202, or 409 call_id_in_use to the second try of the same request
    refused: list = field(default_factory=list)  # other answers


class Campaign(Senders):
    """Sends calls from several threads until `total` are sent, through every restart of the server."""

    def __init__(self, server, name, callback, total, threads=8, refusals=(), body_bytes=40):
        """`callback`: URL, or None. `refusals`: reasons of refused calls that are no mistake."""
        self.server, self.name, self.callback, self.total = server, name, callback, total
        self.expected_refusals, self.body_bytes = set(refusals), body_bytes
        self.calls = {}
        self.remaining = total
        super().__init__(threads)

    def accepted(self):
        with self.lock:
            return {call_id: sent for call_id, sent in self.calls.items() if sent.accepted}

    # The sender's side

    def run(self):
        client = None
        while call_id := self.next_id():
            for attempt in (1, 2):
                try:
                    client = client or RawClient(self.server.address, timeout=60)
                    self.send(client, call_id, attempt)
                    break
                except (Closed, OSError):
                    client = None
                    if not self.wait_for_server() or CROCKFORD.index(call_id[-1]) % 2:
                        break  # half of those that were cut off stay what nobody knows
        if client:
            client.close()

    def next_id(self):
        with self.lock:
            if self.remaining == 0 or self.stopping.is_set():
                return None
            self.remaining -= 1
            call_id = new_id()
            self.calls[call_id] = Sent(call_id.encode().ljust(self.body_bytes, b"."))
            return call_id

    def wait_for_server(self):
        """Until the server answers again; False when it does not."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not self.stopping.is_set():
            try:
                RawClient(self.server.address, timeout=5).close()
                return True
            except OSError:
                time.sleep(0.05)
        return False

    def send(self, client, call_id, attempt):
        sent = self.calls[call_id]
        headers = [("X-Call-Id", call_id)] + ([("X-Callback-Url", self.callback)] if self.callback else [])
        answer = client.request("POST", async_path(self.name), headers, sent.body).read()
        reason = json.loads(answer.body).get("reason") if answer.status >= 400 else None
        with self.lock:
            if answer.status == 202 or (attempt == 2 and reason == "call_id_in_use"):
                sent.accepted = True
            else:
                sent.refused.append(reason)
                if reason not in self.expected_refusals:
                    self.mistakes.append((call_id, answer.status, reason))

    # What must hold

    def listed(self):
        """All invocations of the function by id, as the list tells; none may be there twice."""
        found, cursor = {}, None
        while True:
            params = {"limit": 500, **({"cursor": cursor} if cursor else {})}
            page = self.server.request("GET", function_path(self.name) + "/invocations", params=params).json()
            for each in page["data"]:
                assert each["id"] not in found, each["id"]
                found[each["id"]] = each
            cursor = page["paging"]["next_cursor"]
            if not cursor:
                return found

    def wait_until_settled(self, within):
        """Until nothing is queued, running, or waiting for its delivery."""

        def settled():
            for params in ({"state": "queued"}, {"state": "running"}, {"delivery": "pending"}):
                page = self.server.request("GET", function_path(self.name) + "/invocations", params={**params, "limit": 1})
                assert page.status_code == 200 and page.json()["data"] == [], (params, page.text[:500])
            return True

        eventually(settled, within, 0.1)

    def check(self, callbacks, state="succeeded"):
        """Every accepted call is settled once and its callback came with its body, and nothing else did."""
        assert self.mistakes == []
        accepted, listed = self.accepted(), self.listed()
        assert set(accepted) <= set(listed), f"lost: {sorted(set(accepted) - set(listed))[:5]}"
        assert set(listed) <= set(self.calls), f"invented: {sorted(set(listed) - set(self.calls))[:5]}"
        wrong = [each for each in listed.values() if each["state"] != state]
        assert not wrong, f"{len(wrong)} are not {state}, such as {wrong[0]}"
        if self.callback:
            self.check_callbacks(callbacks, listed)
        return listed

    def check_callbacks(self, callbacks, listed):
        undelivered = [each for each in listed.values() if each["callback"]["delivery"] != "delivered"]
        assert not undelivered, f"{len(undelivered)} undelivered, such as {undelivered[0]}"
        came = Counter(call_id for call_id, _ in callbacks)
        assert set(listed) <= set(came), f"no callback: {sorted(set(listed) - set(came))[:5]}"
        assert set(came) <= set(listed), f"invented callbacks: {sorted(set(came) - set(listed))[:5]}"
        assert [call_id for call_id, body in callbacks if body != self.calls[call_id].body] == []

    def summary(self, callbacks, runs):
        twice = len(callbacks) - len({call_id for call_id, _ in callbacks})
        return (f"{len(self.accepted())} of {len(self.calls)} calls accepted, {runs.repeated()} repeated runs,"
                f" {twice} repeated callbacks")  # fmt: skip


def pairs(receiver):
    """Call id and body of every callback of an in-process receiver."""
    return [(each.header("X-Call-Id"), each.body) for each in receiver.received()]
