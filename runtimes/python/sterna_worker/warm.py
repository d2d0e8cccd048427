"""The zygote: an interpreter with everything loaded that functions usually need, so that a cold start
is a fork."""

import gc
import importlib
import json
import logging
import os
import socket
import struct
import sys

import _sterna

from . import boot

# What handlers import most; a name that this Python does not have is left out.
_MODULES = (
    "base64 bisect collections concurrent.futures csv dataclasses datetime decimal email.message enum functools gzip hashlib "
    "heapq hmac html http.client io itertools json logging.handlers math operator pathlib queue random re secrets shutil "
    "socket ssl statistics string struct subprocess tempfile textwrap threading typing unicodedata urllib.error urllib.parse "
    "urllib.request uuid xml.etree.ElementTree zipfile zlib zoneinfo"
).split()


# Does what most handlers do.
_REHEARSAL = """
import json
import logging
import os

logger = logging.getLogger(__name__)


class Shop:
    def __init__(self, name):
        self.name = name

    def greet(self, times=1, *rest, **more):
        return [f"{self.name} {n}" for n in range(times)]


def handle(req):
    shop = Shop(os.environ.get("NAME", "Sterna"))
    logger.info("call %s", req.path)
    print("greeted", end="")
    body = {"q": req.query.get("q"), "accept": req.headers.get("Accept"), "text": req.body.decode(), "names": shop.greet(2)}
    return {"status_code": 200, "body": json.dumps(json.loads(json.dumps(body))), "headers": {"Content-Type": "application/json"}}
"""
# The interpreter adapts code to its use in the first runs, which writes to it: done once here, all
# workers share the result.
_REHEARSALS = 20
_QUEUED = b"\1"  # the state of the first slot of a claim page
_CLAIM_PAGE_BYTES = 4096


def run_zygote(control_fd):
    """Serves the control socket until it closes; answers the exit code."""
    for name in _MODULES:
        try:
            importlib.import_module(name)
        except ImportError:
            pass
    for _ in range(_REHEARSALS):
        rehearse()
    gc.collect()
    gc.freeze()  # a collection in a worker must not touch, and so copy, the pages of what is shared
    return _sterna.run_zygote(control_fd, boot.RUNTIME, _binds(), rehearse, _serve)


def _binds():
    """Where this interpreter lives when that is not in /usr."""
    prefixes = {
        os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)
    }
    return sorted(prefix for prefix in prefixes if os.path.commonpath([prefix, "/usr"]) != "/usr")


def rehearse():
    """Serves a made-up call in a fork that does not know its function yet. A page of memory that this
    touches is copied now, not during a cold start, where copying pages is most of the time."""
    before = sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__, sys.path[0]
    ours, theirs = socket.socketpair()
    claim_fd = os.memfd_create("claims")
    os.pwrite(claim_fd, _QUEUED.ljust(_CLAIM_PAGE_BYTES, b"\0"), 0)
    source_fd = os.memfd_create("handler")
    os.write(source_fd, _REHEARSAL.encode())
    init = {"bundle": "/proc/self/fd", "handler": str(source_fd), "env": {}, "concurrency": 1}
    ours.sendall(
        _frame(1, json.dumps(init).encode())
        + _frame(
            2,
            struct.pack("<5I", 4, 1, 3, 1, 18)
            + b"POST/q=1"
            + struct.pack("<2I", 6, 4)
            + b"Accepttext"
            + b"body",
            call=1,
        )
        + _frame(6)
    )
    boot.Worker(_sterna.Channel(theirs.detach(), claim_fd)).serve()
    ours.close()
    os.close(source_fd)

    sys.modules.pop(str(source_fd), None)
    sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__, sys.path[0] = before
    logging.root.handlers.clear()
    logging.root.setLevel(logging.WARNING)
    os.chdir("/")
    gc.disable()


def _frame(kind, payload=b"", call=0):
    return struct.pack("<IBBHQ", len(payload), kind, 0, 0, call) + payload


def _serve(socket_fd, claim_fd, output_fd, orders_fd):
    os.close(output_fd)  # it is standard output and error already
    boot.run(socket_fd, claim_fd, orders_fd)
