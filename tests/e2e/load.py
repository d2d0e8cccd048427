"""Many calls at once, each with a nonce that its answer must carry."""

import json
import time
from collections import Counter

from raw_http import Closed, RawClient
from senders import Senders
from sterna import invoke_path

# Answers with the caller's nonce, the version in its environment, and an id of the worker.
NONCE = """
import os, time, uuid

WORKER = uuid.uuid4().hex

def handle(req):
    seconds = float(req.query.get("seconds", "0"))
    if seconds:
        time.sleep(seconds)
    return {
        "headers": {"X-Version": os.environ.get("VERSION", ""), "X-Worker": WORKER},
        "body": req.query["nonce"] + " " + req.body.decode(),
    }
"""


class Load(Senders):
    """Calls a NONCE function from several threads until told to stop, or until `total` calls are done."""

    def __init__(self, address, name, threads=8, total=None):
        self.address, self.name, self.total = address, name, total
        self.outcomes = Counter()  # (status, reason or version)
        self.lost = []
        self.longest = 0.0
        self.next_nonce = iter(range(10**9)).__next__
        super().__init__(threads)

    def done(self):
        return sum(self.outcomes.values())

    def run(self):
        client = RawClient(self.address, timeout=60)
        while not self.stopping.is_set():
            with self.lock:
                number = self.next_nonce()
            if self.total is not None and number >= self.total:
                break
            nonce = f"nonce-{number}"
            began = time.monotonic()
            try:
                client.request("POST", f"{invoke_path(self.name)}?nonce={nonce}", body=nonce.encode())
                answer = client.read()
            except (Closed, OSError) as error:
                with self.lock:
                    self.lost.append((nonce, repr(error)))
                client.close()
                client = RawClient(self.address, timeout=60)
                continue
            with self.lock:
                self.longest = max(self.longest, time.monotonic() - began)
                self.note(nonce, answer)
        client.close()

    def note(self, nonce, answer):
        if answer.status == 200:
            self.outcomes[200, answer.header("X-Version")] += 1
            if answer.body.decode() != f"{nonce} {nonce}":
                self.mistakes.append((nonce, answer.body))
        else:
            self.outcomes[answer.status, json.loads(answer.body)["reason"]] += 1
