"""kill -9 of the server while secrets are written: each is afterwards one that was sent, whole, and not an older one
than was answered."""

import threading

import httpx

from polling import eventually

READER = """
import pathlib
def handle(req):
    return {"body": {file.name: file.read_text() for file in pathlib.Path("/run/secrets").iterdir()}}
"""
NAMES = [f"SECRET_{number}" for number in range(8)]


def value_of(number):
    return f"{number}:" + "x" * 20_000 + f":{number}"


class Writer(threading.Thread):
    """Sets one secret to ever higher numbers until the server is gone."""

    def __init__(self, url, name, number):
        super().__init__()
        self.url, self.name, self.sent, self.answered = url, f"/spaces/default/secrets/{name}", number, number

    def run(self):
        with httpx.Client(base_url=self.url, timeout=20, trust_env=False) as client:
            while True:
                self.sent += 1
                try:
                    answer = client.put(self.name, json={"value": value_of(self.sent)})
                except httpx.HTTPError:
                    return
                assert answer.status_code in (200, 201), answer.text
                self.answered = self.sent


def test_every_secret_is_whole_after_each_kill(server, chance, report, full):
    for name in NAMES:
        server.request("PUT", f"/spaces/default/secrets/{name}", json={"value": value_of(0)})
    server.deploy("reads", READER, secrets=NAMES)
    number, writes = 0, 0
    for _ in range(50 if full else 6):
        writers = [Writer(server.url, name, number) for name in NAMES]
        for writer in writers:
            writer.start()
        wanted = chance.randrange(5, 60)
        eventually(lambda: sum(writer.answered - number for writer in writers) >= wanted, 30, every=0.001)  # noqa: B023
        server.kill()
        for writer in writers:
            writer.join()
        server.start()
        seen = server.call("reads").json()
        for name, writer in zip(NAMES, writers):
            kept = int(seen[name].split(":")[0])
            assert seen[name] == value_of(kept)
            assert writer.answered <= kept <= writer.sent, (name, writer.answered, kept, writer.sent)
            writes += writer.answered - number
        number = max(writer.sent for writer in writers)
        for name in NAMES:
            server.request("PUT", f"/spaces/default/secrets/{name}", json={"value": value_of(number)})
    report(f"{writes} values answered before the kills")
