"""One caller that asks for one answer after the other with pauses: somebody who waits for latency, not a load."""

import time

from .http_client import Connection, HttpError
from .sterna import Sterna, invoke_request

PAUSE_S = 0.002


def latencies(sterna: Sterna, function: str, seconds: float) -> list[float]:
    """Milliseconds of each call. Raises HttpError and OSError when one fails."""
    request = invoke_request(function, b"x" * 64)
    found = []
    with Connection(sterna.port) as connection:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            started = time.perf_counter()
            answer = connection.exchange(request)
            found.append((time.perf_counter() - started) * 1000)
            if answer.status != 200:
                raise HttpError(f"{function} answered {answer.status}: {answer.body[:200]!r}")
            time.sleep(PAUSE_S)
    return found
