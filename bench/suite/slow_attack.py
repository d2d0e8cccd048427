"""Calls on one connection while slowhttptest holds 1,000 others with each of its four slow clients."""

import resource
from pathlib import Path

from .functions import FUNCTIONS
from .paced import latencies
from .processes import Child, wait_until
from .results import Results, Sample
from .stats import percentile, spread
from .sterna import Sterna, invoke_path

CASE = "slow-attack"
ALONE = "no attack"
CALLED = "attacked"
CONNECTIONS = 1000
RANGE = "range headers"
ATTACKS = {
    "slow headers": ["-H", "-i", "1"],
    "slow body": ["-B", "-i", "1", "-s", "100000"],
    RANGE: ["-R"],
    "slow read": ["-X", "-w", "1", "-y", "64", "-n", "1", "-z", "1", "-k", "3"],
}


def attack(sterna: Sterna, row: str, seconds: float, log: Path) -> Child:
    """Opens all connections within a second; those of `range` are answered at once, so they come all the time."""
    url = f"http://127.0.0.1:{sterna.port}{invoke_path(CALLED)}"
    rate = round(CONNECTIONS / (seconds + 1)) if row == RANGE else CONNECTIONS
    return Child(["slowhttptest", *ATTACKS[row], "-c", str(CONNECTIONS), "-r", str(rate), "-l", str(round(seconds) + 30),
                  "-p", "10", "-u", url], log)


def sockets_of(pid: int) -> int:
    return sum(1 for path in Path(f"/proc/{pid}/fd").iterdir() if _is_socket(path))


def _is_socket(path: Path) -> bool:
    try:
        return str(path.readlink()).startswith("socket:")
    except OSError:
        return False  # closed meanwhile


def measure_one(sterna: Sterna, row: str, number: int, seconds: float, log: Path, results: Results) -> None:
    if row == ALONE:
        found = latencies(sterna, CALLED, seconds)
    else:
        with attack(sterna, row, seconds, log) as child:
            held = 1 if row == RANGE else CONNECTIONS * 9 // 10
            wait_until("the attack's connections", lambda: sockets_of(child.pid) >= held, 20, 0.02)
            found = latencies(sterna, CALLED, seconds)
    p99 = percentile(found, 99)
    results.add(Sample(CASE, row, number, "ms", p99, p50_ms=spread(found).median, p99_ms=p99))


def measure(sterna: Sterna, rounds: int, seconds: float, scratch: Path, results: Results) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))  # slowhttptest has ours
    sterna.deploy(CALLED, {"min_replicas": 1}, FUNCTIONS["sterna"])
    for number in range(rounds):
        for row in (ALONE, *ATTACKS):
            measure_one(sterna, row, number, seconds, scratch / "slowhttptest.log", results)
    sterna.call("DELETE", f"/spaces/default/functions/{CALLED}", wanted=(200, 202, 204))
