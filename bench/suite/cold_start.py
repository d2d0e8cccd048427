"""A function's cold start, request in to answer out, beside the bare interpreter: `python3 -c pass`, `node -e 0`."""

import os
import shutil
import time
from typing import Callable, Sequence

from .http_client import Connection, HttpError
from .results import Results, Sample
from .sterna import ECHO, NODE_ECHO, Sterna, invoke_request

CASE = "cold-start"
BARE = "python3 -c pass"
BARE_NODE = "node -e 0"
NODE_ROW = "sterna-node"
PYTHON = "/usr/bin/python3"
# The worker before has just ended: what the system still does for that is not part of the next start.
SETTLE_S = 0.1


def bare_ms(program: str, argv: Sequence[str]) -> float:
    started = time.perf_counter()
    pid = os.posix_spawn(program, [program, *argv], os.environ)
    _, status = os.waitpid(pid, 0)
    elapsed = (time.perf_counter() - started) * 1000
    if status != 0:
        raise RuntimeError(f"{program} ended with status {status}")
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
    """`count` samples of each language, ours and the bare interpreter's in turn."""
    measure_one(sterna, "python3-http", ECHO, count, lambda number, ms: results.add(
        Sample(CASE, "sterna", number, "ms", ms)), lambda number: results.add(
        Sample(CASE, BARE, number, "ms", bare_ms(PYTHON, ["-c", "pass"]))))
    node = shutil.which("node")
    if node is not None:
        measure_one(sterna, "node-http", NODE_ECHO, count, lambda number, ms: results.add(
            Sample(CASE, NODE_ROW, number, "ms", ms)), lambda number: results.add(
            Sample(CASE, BARE_NODE, number, "ms", bare_ms(node, ["-e", "0"]))))


def measure_one(sterna: Sterna, template: str, code: bytes, count: int, add: Callable[[int, float], None],
                add_bare: Callable[[int], None]) -> None:
    name = f"cold-{template}"
    sterna.deploy(name, {"idle_seconds": 0.2}, code, template)
    request = invoke_request(name, b"x" * 64)
    with Connection(sterna.port) as connection:
        connection.exchange(request)  # the first start ever is not one of the samples
        for number in range(count):
            sterna.wait_replicas(name, 0)
            time.sleep(SETTLE_S)
            add(number, cold_call_ms(connection, request))
            add_bare(number)
    sterna.call("DELETE", f"/spaces/default/functions/{name}", wanted=(200, 202, 204))
