"""A function's cold start, request in to answer out, beside the bare interpreter: `python3 -c pass`, `node -e 0`."""

import os
import shutil
import time
from contextlib import ExitStack
from typing import Mapping, Optional, Sequence

from .functions import FUNCTIONS, UNWALLED
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


def measure(sterna: Sterna, unwalled: Optional[Sterna], rows: Sequence[str], count: int, results: Results) -> None:
    """`count` samples of each of these functions, ours and the bare interpreter's in turn; of the Python one those of a
    server without a sandbox, too."""
    node = shutil.which("node")
    bare = {"sterna": (BARE, PYTHON, ["-c", "pass"])}
    if node is not None:
        bare["sterna-node"] = bare["sterna-cpp"] = (BARE_NODE, node, ["-e", "0"])
    for row in rows:
        if row in bare:
            others = {UNWALLED: unwalled} if unwalled and row == "sterna" else {}
            measure_one({row: sterna, **others}, row, bare[row], count, results)


def measure_one(servers: Mapping[str, Sterna], function: str, bare: tuple[str, str, Sequence[str]], count: int,
                results: Results) -> None:
    """`servers` by their rows: the same function on each."""
    name = f"cold-{function}"
    bare_row, program, argv = bare
    request = invoke_request(name, b"x" * 64)
    first = len(results.of(CASE, bare_row))  # `node -e 0` stands beside two functions
    with ExitStack() as stack:
        connections = {}
        for row, sterna in servers.items():
            sterna.deploy(name, {"idle_seconds": 0.2}, FUNCTIONS[function])
            connections[row] = stack.enter_context(Connection(sterna.port))
            connections[row].exchange(request)  # the first start ever is not one of the samples
        for number in range(count):
            for row, sterna in servers.items():
                sterna.wait_replicas(name, 0)
                time.sleep(SETTLE_S)
                results.add(Sample(CASE, row, number, "ms", cold_call_ms(connections[row], request)))
            results.add(Sample(CASE, bare_row, first + number, "ms", bare_ms(program, argv)))
    for sterna in servers.values():
        sterna.call("DELETE", f"/spaces/default/functions/{name}", wanted=(200, 202, 204))
