"""Runs wrk for one measurement and reads what it says."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("post.lua")
ERRORS = ("connect", "read", "write", "timeout", "status")


class WrkError(Exception):
    """wrk failed, or the server gave errors."""


@dataclass(frozen=True)
class Load:
    connections: int
    body_bytes: int
    seconds: int


@dataclass(frozen=True)
class Measured:
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    errors: dict[str, int]  # only those that happened: connect, read, write, timeout, status (4xx and 5xx)


def parse(output: str) -> Measured:
    """Reads the line that post.lua prints. Raises WrkError when it is not there or nothing was answered."""
    line = next((line for line in output.splitlines() if line.startswith("WRK ")), None)
    if line is None:
        raise WrkError(f"wrk printed no result: {output.strip()[-500:]}")
    found = json.loads(line.removeprefix("WRK "))
    errors = {name: found[name] for name in ERRORS if found[name]}
    if not found["requests"] or not found["duration_us"]:
        raise WrkError(f"no request was answered (errors: {errors})")
    return Measured(found["requests"] / (found["duration_us"] / 1e6), found["p50_us"] / 1000, found["p99_us"] / 1000,
                    errors)


def run(url: str, load: Load, token: str = "") -> Measured:
    """One run with one thread: the second core is the server's. Raises WrkError."""
    headers = ["-H", f"Authorization: Bearer {token}"] if token else []
    argv = ["wrk", "-t1", f"-c{load.connections}", f"-d{load.seconds}s", "--timeout", "10s", "--latency",
            *headers, "-s", str(SCRIPT), url, "--", str(load.body_bytes)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=load.seconds + 60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WrkError(f"wrk did not run: {error}") from error
    if done.returncode != 0:
        raise WrkError(f"wrk ended with {done.returncode}: {done.stderr.strip()}")
    return parse(done.stdout)
