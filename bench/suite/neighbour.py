"""The latency of one function beside another that takes all it can get: processors, memory, processes."""

import threading
import time
from typing import Optional

from .functions import FUNCTIONS, Function
from .http_client import Connection, HttpError
from .paced import latencies
from .results import Results, Sample
from .sterna import Sterna, invoke_request
from .stats import percentile, spread

CASE = "neighbour"
ALONE = "alone"
QUIET, HOG = "neighbour-quiet", "neighbour-hog"
HOG_LIMITS = {"cpus": 0.5, "memory_mb": 128, "max_pids": 32, "max_replicas": 1, "timeout_seconds": 30}
HOGS = {"beside a CPU hog": "cpu", "beside a memory bomb": "memory", "beside a fork bomb": "fork"}
# Each goes on in children until `seconds` are over, or until its worker is ended for the memory that they take.
GREEDY = b"""import os, signal, subprocess, sys, time

CODE = {
    "cpu": "while True: pass",
    "memory": "kept = []\\nwhile True: kept.append(bytearray(b'x' * (1 << 20)))",
    "fork": "import os\\nwhile True:\\n  try: os.fork()\\n  except OSError: pass",
}

def handle(req):
    kind, until = req.query["kind"], time.monotonic() + float(req.query["seconds"])
    running = []
    while time.monotonic() < until:
        running = [each for each in running if each.poll() is None]
        if len(running) < (4 if kind == "cpu" else 1):
            try:
                running.append(subprocess.Popen([sys.executable, "-c", CODE[kind]], start_new_session=True))
            except OSError:
                pass
        time.sleep(0.01)
    for each in running:
        try:
            os.killpg(each.pid, signal.SIGKILL)
        except OSError:
            pass
    return {"body": kind}
"""


def measure_one(sterna: Sterna, row: str, number: int, seconds: float, kind: Optional[str], results: Results) -> None:
    hog = None
    if kind:
        # A function for each measurement: the pauses after a worker's end must not grow from one to the next.
        name = f"{HOG}-{kind}-{number}"
        sterna.deploy(name, HOG_LIMITS, Function("python3-http", lambda: {"handler.py": GREEDY}))
        hog = threading.Thread(target=keep_calling, args=(sterna, name, kind, time.monotonic() + seconds + 1))
        hog.start()
        time.sleep(0.5)  # under way
    found = latencies(sterna, QUIET, seconds)
    if hog:
        hog.join()
        sterna.call("DELETE", f"/spaces/default/functions/{name}", wanted=(200, 202, 204))
    p99 = percentile(found, 99)
    results.add(Sample(CASE, row, number, "ms", p99, p50_ms=spread(found).median, p99_ms=p99))


def keep_calling(sterna: Sterna, name: str, kind: str, until: float) -> None:
    """Calls again when a call has ended early. A hog may be ended by its limits, that is what they are for: answers do not count."""
    while (left := until - time.monotonic()) > 0:
        query = b"/invoke?kind=%s&seconds=%.1f " % (kind.encode(), left)
        call_once(sterna, invoke_request(name, b"").replace(b"/invoke ", query, 1))
        time.sleep(0.01)


def call_once(sterna: Sterna, request: bytes) -> None:
    try:
        with Connection(sterna.port) as connection:
            connection.exchange(request)
    except (OSError, HttpError):
        pass


def measure(sterna: Sterna, rounds: int, seconds: float, results: Results) -> None:
    sterna.deploy(QUIET, {"min_replicas": 1}, FUNCTIONS["sterna"])
    for number in range(rounds):
        for row, kind in {ALONE: None, **HOGS}.items():
            measure_one(sterna, row, number, seconds, kind, results)
    sterna.call("DELETE", f"/spaces/default/functions/{QUIET}", wanted=(200, 202, 204))
