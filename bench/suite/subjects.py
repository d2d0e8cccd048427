"""The servers whose instructions are counted: Sterna's server process, and two peers without a compiler in time."""

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Sequence

from .http_client import build_request
from .functions import GUARDED
from .instructions import Subject
from .peers import PEERS, Ports
from .processes import Child
from .server import Server, free_ports, wait_for_port
from .sterna import Sterna

BODY = b"x" * 64
PATIENCE_S = 120.0  # callgrind is about fifty times slower
# Code that is compiled while it runs makes callgrind's counts those of the compiler.
COUNTED_PEERS = ("nginx", "uvicorn")


def subjects(servers: Sequence[str], binary: Path) -> list[Subject]:
    found = [Subject(name, _request, _sterna(binary, guarded=name == GUARDED))
             for name in ("sterna", GUARDED) if name in servers]
    return found + [Subject(name, _request, _peer(name)) for name in COUNTED_PEERS if name in servers]


def _request(server: Server) -> bytes:
    return build_request("POST", server.path_for(len(BODY)), BODY, token=server.token)


def without_debug_information(binary: Path, scratch: Path) -> Path:
    """A copy that valgrind can load: Debian's gives up on clang's DWARF 5."""
    bare = scratch / "sterna-bare"
    if not bare.exists():
        subprocess.run(["objcopy", "--strip-debug", str(binary), str(bare)], check=True)
    return bare


def _sterna(binary: Path, guarded: bool):
    @contextmanager
    def start(under: list[str], scratch: Path) -> Iterator[Server]:
        bare = without_debug_information(binary, scratch)
        settings = ["--runtime-dir", str(binary.parent / "runtimes")]
        place = scratch / ("callgrind-token" if guarded else "callgrind")
        with Sterna(bare, place, place.with_suffix(".log"), under, settings, PATIENCE_S, guarded) as sterna:
            if sterna.exists("echo"):
                sterna.wait_running("echo")
            else:
                sterna.deploy("echo", {"min_replicas": 1})
            sterna.wait_replicas("echo", 1)
            yield sterna.server("echo", "sterna")

    return start


def _peer(name: str):
    @contextmanager
    def start(under: list[str], scratch: Path) -> Iterator[Server]:
        peer, port = PEERS[name], free_ports(1)[0]
        with Child([*under, *peer.argv(Ports(port), scratch)], scratch / f"callgrind-{name}.out") as child:
            wait_for_port(name, port, child, PATIENCE_S)
            yield Server(name, port, child, peer.path, peer.echoes)

    return start
