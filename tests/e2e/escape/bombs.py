"""What a hostile function takes without end: run inside the sandbox as `bombs.py KIND`. Says where it was stopped, if it lives."""

import ctypes
import os
import signal
import socket
import sys
import threading

libc = ctypes.CDLL(None, use_errno=True)


def until_refused(step, most):
    for count in range(most):
        try:
            step(count)
        except (OSError, RuntimeError) as error:
            return f"{count} {error}"
    return f"never: {most}"


def fork():
    def step(_):
        if os.fork() == 0:
            try:
                while True:
                    os.fork()
            except OSError:
                pass
            threading.Event().wait(30)

    return until_refused(step, 10_000)


def threads():
    return until_refused(lambda _: threading.Thread(target=threading.Event().wait, args=(30,), daemon=True).start(), 100_000)


def memory():
    kept = []
    return until_refused(lambda _: kept.append(bytearray(b"x" * (1 << 20))), 4096)


def disk():
    def fill(path):
        with open(path, "wb", buffering=0) as file:
            return until_refused(lambda _: file.write(bytes(1 << 20)), 4096)

    return [fill("/tmp/bomb"), fill("/dev/shm/bomb")]


def inodes():
    os.mkdir("/tmp/many")
    return until_refused(lambda n: os.close(os.open(f"/tmp/many/{n}", os.O_CREAT | os.O_WRONLY)), 1_000_000)


def giant_file():
    with open("/tmp/giant", "wb") as file:
        return until_refused(lambda n: os.truncate(file.fileno(), 1 << (30 + n)), 20)


def descriptors():
    kept = []
    return until_refused(lambda _: kept.append(os.dup(0)), 1_000_000)


def sockets():
    kept = []

    def step(_):
        pair = socket.socketpair()
        pair[0].setblocking(False)
        kept.append(pair)
        try:
            while True:
                pair[0].send(bytes(1 << 16))
        except BlockingIOError:
            pass

    return until_refused(step, 100_000)


def segments():
    return until_refused(lambda n: check(libc.shmget(n + 1, 1 << 24, 0o1600)), 100_000)


def watches():
    return until_refused(lambda _: check(libc.inotify_init()), 100_000)


def timers():
    return until_refused(lambda _: check(libc.timer_create(1, None, ctypes.byref(ctypes.c_void_p()))), 1_000_000)


def log():
    while True:
        os.write(1, b"x" * 60_000 + b"\n")
        os.write(2, b"y" * 60_000 + b"\n")


def nothing():
    return "harmless"


def leave():
    os.kill(-1, signal.SIGKILL)  # the worker, too


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


if __name__ == "__main__":
    print(globals()[sys.argv[1]]())
