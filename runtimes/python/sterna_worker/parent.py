"""A worker that has loaded its function and pauses, so that replicas are forked from it."""

import contextlib
import fcntl
import os
import select
import signal
import stat
import sys
import threading

import _sterna

_PRIVATE_FOLDERS = ("/tmp", "/dev/shm")  # each replica has its own, empty
_SHARED_KINDS = ("socket:", "pipe:", "anon_inode:")  # what two processes cannot both use
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)  # a fork has none


class Opened:
    """What this process has open and shares, at a time."""

    def __init__(self):
        self.descriptors = _descriptors()
        self.shared_memory = _shared_memory()

    def added_descriptors(self):
        """(number, kind) of those that are there now and were not then."""
        found = sorted(_descriptors().items())
        return [(fd, kind) for fd, kind in found if self.descriptors.get(fd) != kind]


def _descriptors():
    """Number -> kind."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that was listed with
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


def _shared_memory():
    """Lines of what can be written to and is shared with every fork."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        return {line for line in maps if "w" in (mode := line.split(" ", 2)[1]) and mode.endswith("s")}


def _is_written(fd):
    """Whether it is a file that is open for writing."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    return stat.S_ISREG(os.fstat(fd).st_mode) and flags & os.O_ACCMODE != os.O_RDONLY


def obstacle(before, orders_fd):
    """Why this process cannot be forked, in words for the function's log; None when it can be. `before`:
    Opened before the handler was loaded."""
    if orders_fd < 0:
        return "workers cannot be forked on this server (it takes root and x86-64)"
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        names = [each.name for each in threading.enumerate() if each is not threading.main_thread()]
        known = f" ({', '.join(names)})" if names else ""
        return f"{threads - 1} more thread(s) run after the import{known}: start them in after_fork()"
    for fd, kind in before.added_descriptors():
        if kind.startswith(_SHARED_KINDS) or _is_written(fd):
            return f"the import leaves descriptor {fd} ({kind}) open: open it in after_fork()"
    if _shared_memory() - before.shared_memory:
        return "the import leaves shared memory (mmap, or a lock or value of multiprocessing): make it in after_fork()"
    for folder in _PRIVATE_FOLDERS:
        if os.listdir(folder):
            return f"the import leaves files in {folder}, which every worker has for itself: write them in after_fork()"
    if any(signal.getitimer(each)[0] for each in _TIMERS):
        return "the import leaves a timer running (signal.setitimer, signal.alarm): start it in after_fork()"
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return "the import leaves a child process running: start it in after_fork()"
    return None


def wait(channel, orders_fd):
    """Forks a replica for each order. Answers the replica's descriptors there; None when the paused
    worker shall end."""
    server_fd = channel.fileno()
    poll = select.poll()
    poll.register(server_fd, select.POLLIN)
    poll.register(orders_fd, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if server_fd in ready and _shall_end(channel):
            return None
        if orders_fd in ready:
            try:
                replica = _sterna.fork_replica(orders_fd)
            except ConnectionError:
                return None
            if replica is not None:
                return replica


def _shall_end(channel):
    """Calls that were sent before the server knew that this worker pauses are not its to claim."""
    arrived = channel.receive(False)
    return arrived is None or any(kind == _sterna.SHUTDOWN for kind, *_ in arrived)


def reopen_files(before):
    """What is open for reading since the import has one position for all forks, and a folder may be the parent's: the
    replica opens its own in the same place."""
    for fd, kind in before.added_descriptors():
        mode = os.fstat(fd).st_mode
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        if flags & os.O_PATH or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            continue
        own = os.open(kind if stat.S_ISDIR(mode) else f"/proc/self/fd/{fd}", flags)
        if stat.S_ISREG(mode):
            os.lseek(own, os.lseek(fd, 0, os.SEEK_CUR), os.SEEK_SET)
        os.dup2(own, fd, os.get_inheritable(fd))
        os.close(own)


def reseed():
    """Replicas must not draw the same numbers. `random` does that by itself."""
    random = getattr(sys.modules.get("numpy"), "random", None)
    if random is not None:
        with contextlib.suppress(Exception):
            random.seed()
