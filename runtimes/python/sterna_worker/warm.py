"""The zygote: an interpreter with everything loaded that functions usually need, so that a cold start is a fork."""

import gc
import importlib
import os
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


def run_zygote(control_fd):
    """Serves the control socket until it closes; answers the exit code."""
    for name in _MODULES:
        try:
            importlib.import_module(name)
        except ImportError:
            pass
    gc.collect()
    gc.disable()
    gc.freeze()  # a collection in a worker must not touch, and so copy, the pages of what is shared
    return _sterna.run_zygote(control_fd, boot.RUNTIME, _binds(), rehearse, _serve)


def _binds():
    """Where this interpreter lives when that is not in /usr."""
    prefixes = {os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    return sorted(prefix for prefix in prefixes if os.path.commonpath([prefix, "/usr"]) != "/usr")


def rehearse():
    """Serves one made-up call in a fork that does not know its function yet: what this touches need not be touched, and its
    pages copied, during a cold start."""


def _serve(socket_fd, claim_fd, output_fd):
    os.close(output_fd)  # it is standard output and error already
    boot.run(socket_fd, claim_fd)
