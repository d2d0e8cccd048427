"""What a result was measured with: kept beside the numbers, and the name of the result's file."""

import datetime
import os
import platform
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def describe(rounds: int, seconds: int) -> dict:
    now = datetime.datetime.now(datetime.timezone.utc)
    commit = _git("rev-parse", "--short", "HEAD") or "unknown"
    if _git("status", "--porcelain", "--untracked-files=no"):
        commit += "-changed"
    return {"name": f"{now:%Y%m%dT%H%M%SZ}-{commit}", "time": now.isoformat(timespec="seconds"), "commit": commit,
            "cores": os.cpu_count(), "machine": platform.machine(), "kernel": platform.release(),
            "load_before": os.getloadavg()[0], "rounds": rounds, "seconds": seconds}


def _git(*arguments: str) -> str:
    """Empty where there is no repository."""
    done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip()
