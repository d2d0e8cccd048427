"""Requests a second and latencies of the echo, interleaved: every server in turn, round after round."""

import time
from typing import Mapping, Sequence

from . import wrk
from .results import Results, Sample
from .server import Server

# What a server still does for the load before must not fall into the next one's time.
SETTLE_S = 0.2

CASES: Mapping[str, tuple[int, int]] = {  # name: connections, bytes of the body
    "echo-64-c1": (1, 64),
    "echo-64-c32": (32, 64),
    "echo-64-c256": (256, 64),
    "echo-1k-c32": (32, 1024),
    "echo-64k-c32": (32, 64 * 1024),
}


class Failures:
    """Errors that servers gave while they were measured; any makes the whole bench fail."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def add(self, case: str, server: str, text: str) -> None:
        self.seen.append(f"{case}: {server}: {text}")


def warm_up(servers: Sequence[Server], seconds: int, failures: Failures) -> None:
    """A load that is not counted: compilers in time, worker started."""
    for server in servers:
        _load(server, "warm-up", wrk.Load(32, 64, seconds), failures)


def measure(servers: Sequence[Server], cases: Sequence[str], rounds: int, seconds: int, results: Results,
            failures: Failures) -> None:
    """Adds a sample for each round, case and server that answered."""
    for number in range(rounds):
        for case in cases:
            connections, body_bytes = CASES[case]
            one_round(servers, case, number, wrk.Load(connections, body_bytes, seconds), results, failures)


def one_round(servers: Sequence[Server], case: str, number: int, load: wrk.Load, results: Results,
              failures: Failures) -> None:
    for server in servers:
        found = _load(server, case, load, failures)
        if found is not None:
            results.add(Sample(case, server.name, number, "req/s", found.requests_per_second, found.p50_ms,
                               found.p99_ms))


def _load(server: Server, case: str, load: wrk.Load, failures: Failures) -> wrk.Measured | None:
    """None when nothing was answered; answers beside errors still count as measured."""
    try:
        found = wrk.run(server.url_for(load.body_bytes), load, server.token)
    except wrk.WrkError as error:
        failures.add(case, server.name, str(error))
        return None
    if found.errors:
        failures.add(case, server.name, ", ".join(f"{count} {kind} errors" for kind, count in found.errors.items()))
    time.sleep(SETTLE_S)
    return found
