"""A worker that has loaded its function and pauses, so that replicas are forked from it."""

import contextlib
import os
import select
import sys
import threading

import _sterna

_PRIVATE_FOLDERS = ("/tmp", "/dev/shm")  # each replica has its own, empty
_SHARED_KINDS = ("socket:", "pipe:", "anon_inode:")  # what two processes cannot both use


def descriptors():
    """What is open: number -> kind."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that was listed with
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


def obstacle(before, orders_fd):
    """Why this process cannot be forked, in words for the function's log; None when it can be. `before`:
    what was open before the handler was loaded."""
    if orders_fd < 0:
        return "workers cannot be forked on this server (it takes root and x86-64)"
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        names = [each.name for each in threading.enumerate() if each is not threading.main_thread()]
        known = f" ({', '.join(names)})" if names else ""
        return f"{threads - 1} more thread(s) run after the import{known}: start them in after_fork()"
    for fd, kind in sorted(descriptors().items()):
        if before.get(fd) != kind and kind.startswith(_SHARED_KINDS):
            return f"the import leaves descriptor {fd} ({kind}) open: open it in after_fork()"
    for folder in _PRIVATE_FOLDERS:
        if os.listdir(folder):
            return f"the import leaves files in {folder}, which every worker has for itself: write them in after_fork()"
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


def reseed():
    """Replicas must not draw the same numbers. `random` does that by itself."""
    random = getattr(sys.modules.get("numpy"), "random", None)
    if random is not None:
        with contextlib.suppress(Exception):
            random.seed()
