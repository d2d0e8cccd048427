"""Child processes that are ended whatever happens: each has its own process group, ended by its id."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable, Mapping, Optional, Sequence


class Child:
    """One started program and all it started. Use as a context manager; `stop` may be called more than once."""

    def __init__(self, argv: Sequence[str], log: Path, env: Optional[Mapping[str, str]] = None,
                 cwd: Optional[Path] = None):
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                list(argv), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=cwd,
                env={**os.environ, **(env or {})}, start_new_session=True)
        self.pid = self._process.pid

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_exception) -> None:
        self.stop()

    def alive(self) -> bool:
        return self._process.poll() is None

    def tail(self) -> str:
        """The end of what the program has printed, for error messages."""
        return self.log.read_text(errors="replace")[-2000:].strip()

    def stop(self, patience_s: float = 15.0) -> None:
        """SIGTERM, then SIGKILL after `patience_s`; then the rest of its group."""
        if self.alive():
            self._process.terminate()
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # the group is empty: the usual case


def tree(root: int) -> list[int]:
    """`root` and all its living descendants, as /proc tells now."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            parent = parent_of(int(entry))
            if parent is not None:
                children.setdefault(parent, []).append(int(entry))
    found, open_list = [], [root]
    while open_list:
        pid = open_list.pop()
        found.append(pid)
        open_list.extend(children.get(pid, []))
    return found


def parent_of(pid: int) -> Optional[int]:
    """None when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name may hold spaces and parentheses; what follows its last parenthesis does not.
    return int(text.rpartition(")")[2].split()[1])


def wait_until(what: str, check: Callable[[], bool], patience_s: float, step_s: float = 0.005) -> None:
    """Raises TimeoutError, naming `what`, when `check` has not answered true within `patience_s`."""
    deadline = time.monotonic() + patience_s
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {patience_s:g} s for {what}")
        time.sleep(step_s)
