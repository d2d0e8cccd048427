"""A Python function's cold start, request in to answer out, beside a bare `python3 -c pass`."""

import os
import time

from .http_client import Connection, HttpError
from .results import Results, Sample
from .sterna import Sterna, invoke_request

CASE = "cold-start"
BARE = "python3 -c pass"
NAME = "cold-echo"
PYTHON = "/usr/bin/python3"
# The worker before has just ended: what the system still does for that is not part of the next start.
SETTLE_S = 0.1


def bare_python_ms() -> float:
    started = time.perf_counter()
    pid = os.posix_spawn(PYTHON, [PYTHON, "-c", "pass"], os.environ)
    _, status = os.waitpid(pid, 0)
    elapsed = (time.perf_counter() - started) * 1000
    if status != 0:
        raise RuntimeError(f"{PYTHON} ended with status {status}")
    return elapsed


def cold_call_ms(connection: Connection, request: bytes) -> float:
    """Raises HttpError when the answer is not 200 or a warm worker gave it: that would not be a cold start."""
    started = time.perf_counter()
    answer = connection.exchange(request)
    elapsed = (time.perf_counter() - started) * 1000
    if answer.status != 200:
        raise HttpError(f"a cold start answered {answer.status}: {answer.body[:300]!r}")
    if "cold" not in answer.headers.get("server-timing", ""):
        raise HttpError("an answer that should have been a cold start came from a warm worker")
    return elapsed


def measure(sterna: Sterna, count: int, results: Results) -> None:
    """`count` samples of each, in turn."""
    sterna.deploy(NAME, {"idle_seconds": 0.2})
    request = invoke_request(NAME, b"x" * 64)
    with Connection(sterna.port) as connection:
        connection.exchange(request)  # the first start ever is not one of the samples
        for number in range(count):
            sterna.wait_replicas(NAME, 0)
            time.sleep(SETTLE_S)
            results.add(Sample(CASE, "sterna", number, "ms", cold_call_ms(connection, request)))
            results.add(Sample(CASE, BARE, number, "ms", bare_python_ms()))
    sterna.call("DELETE", f"/spaces/default/functions/{NAME}", wanted=(200, 202, 204))
