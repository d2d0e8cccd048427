"""Resident memory: servers at rest, and what each further replica of a Python function adds."""

import time
from pathlib import Path
from typing import Iterable, Sequence

from .processes import tree
from .results import Results, Sample
from .server import Server
from .sterna import Sterna

IDLE = "memory-idle"
REPLICA = "memory-replica"
NAME = "replica-echo"
RESTING = "resting-echo"
REPLICAS = (1, 5)


def kib_of(text: str, field: str) -> int:
    """A field of /proc/PID/smaps_rollup in KiB; 0 when it is not there."""
    for line in text.splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return 0


def mib(pids: Iterable[int], field: str) -> float:
    """The sum over those that are still there. `Rss` counts shared pages fully, `Pss` a process's part of them."""
    total = 0
    for pid in pids:
        try:
            total += kib_of(Path(f"/proc/{pid}/smaps_rollup").read_text(), field)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total / 1024


def settled_tree_pss(pid: int, patience_s: float = 10.0) -> float:
    """The Pss of all its processes, once two readings 0.25 s apart agree within 1 % or `patience_s` are over."""
    deadline = time.monotonic() + patience_s
    last = mib(tree(pid), "Pss")
    while time.monotonic() < deadline:
        time.sleep(0.25)
        now = mib(tree(pid), "Pss")
        if abs(now - last) <= 0.01 * last:
            return now
        last = now
    return last


def measure_idle(servers: Sequence[Server], results: Results) -> None:
    """Call before any load. Peers by the Rss of all they started; Sterna's server process by Rss, and all of Sterna by
    Pss, because its zygotes share most of their pages with each other."""
    for server in servers:
        all_pss = settled_tree_pss(server.child.pid)
        if server.name == "sterna":
            results.add(Sample(IDLE, "sterna", 0, "MiB", mib([server.child.pid], "Rss")))
            results.add(Sample(IDLE, "sterna, all (Pss)", 0, "MiB", all_pss))
        else:
            results.add(Sample(IDLE, server.name, 0, "MiB", mib(tree(server.child.pid), "Rss")))


def bring_to_rest(sterna: Sterna) -> None:
    """Deploys a function and lets it scale to zero: only then is the zygote up, as on a server in use."""
    sterna.deploy(RESTING, {"idle_seconds": 0.2})
    sterna.wait_replicas(RESTING, 0)


def measure_replicas(sterna: Sterna, rounds: int, results: Results) -> None:
    """How much all of Sterna's processes grow from 1 to 5 idle replicas, per added replica."""
    few, many = REPLICAS
    sterna.deploy(NAME, {"min_replicas": few, "max_replicas": many})
    for number in range(rounds):
        before = _pss_with(sterna, few)
        after = _pss_with(sterna, many)
        results.add(Sample(REPLICA, "sterna", number, "MiB", (after - before) / (many - few)))
    sterna.call("DELETE", f"/spaces/default/functions/{NAME}", wanted=(200, 202, 204))


def _pss_with(sterna: Sterna, replicas: int) -> float:
    path = f"/spaces/default/functions/{NAME}"
    sterna.call("PATCH", path, {"limits": {"min_replicas": replicas, "max_replicas": replicas}})
    sterna.wait_running(NAME)
    sterna.wait_replicas(NAME, replicas)
    return settled_tree_pss(sterna.child.pid)
