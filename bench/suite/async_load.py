"""Runs the load generator (bench/tools) for one measurement and reads what it says."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

PATIENCE_S = 180.0


class LoadError(RuntimeError):
    """The generator failed, or found what must not be: refusals, lost or invented calls, other bodies."""


@dataclass(frozen=True)
class Latency:
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Accepted:
    """What `async_load accept` found."""

    per_second: float
    latency: Latency


@dataclass(frozen=True)
class Through:
    """What `async_load through` found: both rates are over the time of sending, before the last ones were awaited."""

    accepted_per_second: float
    completed_per_second: float
    backlog_at_end: int
    duplicates: int
    accept: Latency
    callback: Latency
    sync: Latency


def parse_accepted(text: str) -> Accepted:
    """Raises LoadError when something was refused or nothing was accepted."""
    found = json.loads(text)
    _no_refusals(found)
    if not found["accepted"]:
        raise LoadError("nothing was accepted")
    return Accepted(found["accepted"] / found["seconds"], Latency(**found["accept"]))


def parse_through(text: str) -> Through:
    """Raises LoadError when something was refused, lost or invented, or came back with another body."""
    found = json.loads(text)
    _no_refusals(found)
    wrong = {name: found[name] for name in ("lost", "invented", "wrong_bodies") if found[name]}
    if wrong or not found["completed"]:
        raise LoadError(f"of {found['accepted']} accepted calls {found['completed']} completed in time, {wrong}")
    seconds = found["seconds"]
    return Through(found["accepted"] / seconds, found["completed"] / seconds, found["backlog_at_end"],
                   found["duplicates"], Latency(**found["accept"]), Latency(**found["callback"]),
                   Latency(**found["sync"]))


def _no_refusals(found: dict) -> None:
    if found["refused"]:
        raise LoadError(f"{found['refused']} refused, the first: {found['first_refusal']}")


def run(tool: Path, mode: str, port: int, target: str, connections: int, options: Sequence[str],
        patience_s: float = PATIENCE_S) -> str:
    """The generator's line of JSON. Raises LoadError."""
    argv = [str(tool), mode, "--port", str(port), "--target", target, "--connections", str(connections), *options]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=patience_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LoadError(f"async_load did not run: {error}") from error
    if done.returncode != 0:
        raise LoadError(done.stderr.strip() or f"async_load ended with {done.returncode}")
    return done.stdout
