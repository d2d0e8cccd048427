"""A function's cold start, request in to answer out, beside the bare interpreter: `python3 -c pass`, `node -e 0`."""

import os
import shutil
import time
from typing import Sequence

from .functions import FUNCTIONS
from .http_client import Connection, HttpError
from .results import Results, Sample
from .sterna import Sterna, invoke_request

CASE = "cold-start"
BARE = "python3 -c pass"
BARE_NODE = "node -e 0"
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


def measure(sterna: Sterna, rows: Sequence[str], count: int, results: Results) -> None:
    """`count` samples of each of these functions, ours and the bare interpreter's in turn."""
    node = shutil.which("node")
    bare = {"sterna": (BARE, PYTHON, ["-c", "pass"])}
    if node is not None:
        bare["sterna-node"] = bare["sterna-cpp"] = (BARE_NODE, node, ["-e", "0"])
    for row in rows:
        if row in bare:
            measure_one(sterna, row, bare[row], count, results)


def measure_one(sterna: Sterna, row: str, bare: tuple[str, str, Sequence[str]], count: int, results: Results) -> None:
    name = f"cold-{row}"
    bare_row, program, argv = bare
    sterna.deploy(name, {"idle_seconds": 0.2}, FUNCTIONS[row])
    request = invoke_request(name, b"x" * 64)
    first = len(results.of(CASE, bare_row))  # `node -e 0` stands beside two functions
    with Connection(sterna.port) as connection:
        connection.exchange(request)  # the first start ever is not one of the samples
        for number in range(count):
            sterna.wait_replicas(name, 0)
            time.sleep(SETTLE_S)
            results.add(Sample(CASE, row, number, "ms", cold_call_ms(connection, request)))
            results.add(Sample(CASE, bare_row, first + number, "ms", bare_ms(program, argv)))
    sterna.call("DELETE", f"/spaces/default/functions/{name}", wanted=(200, 202, 204))
