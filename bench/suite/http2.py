"""The echo over HTTP/2 beside HTTP/1.1, from the same client (h2load): what the frames and their headers cost."""

import re
import subprocess
import time
from pathlib import Path

from .results import Results, Sample
from .server import Server
from .throughput import SETTLE_S

CASE = "http2-64-c32"
HTTP1, HTTP2, STREAMS = "http/1.1", "http/2", "http/2, 8 streams"
CONNECTIONS = 32
ROWS = {HTTP1: ["--h1"], HTTP2: ["-m1"], STREAMS: ["-m8"]}


def parse(output: str) -> float:
    """Requests a second. Raises RuntimeError when one failed, or the output is no result."""
    rate = re.search(r"finished in [^,]+, ([\d.]+) req/s", output)
    kinds = re.search(r"requests: .* (\d+) failed, (\d+) errored, (\d+) timeout", output)
    if rate is None or kinds is None:
        raise RuntimeError(f"h2load printed no result: {output[-500:]}")
    statuses = re.search(r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", output)
    if any(int(count) for count in kinds.groups()) or statuses is None:
        raise RuntimeError(f"h2load had failures: {kinds[0]}")
    return float(rate[1])


def run(server: Server, options: list[str], seconds: int, body: Path) -> float:
    done = subprocess.run(["h2load", *options, f"-c{CONNECTIONS}", "-t1", f"-D{seconds}", "-d", str(body),
                           server.url_for(body.stat().st_size)],
                          capture_output=True, text=True, timeout=seconds + 60, check=False)
    return parse(done.stdout + done.stderr)


def measure(server: Server, rounds: int, seconds: int, scratch: Path, results: Results) -> None:
    body = scratch / "h2load-body"
    body.write_bytes(b"x" * 64)
    for number in range(rounds):
        for row, options in ROWS.items():
            results.add(Sample(CASE, row, number, "req/s", run(server, options, seconds, body)))
            time.sleep(SETTLE_S)
