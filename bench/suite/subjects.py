"""The servers whose instructions are counted: Sterna's server process, and two peers without a compiler in time."""

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Sequence

from .http_client import build_request
from .instructions import Subject
from .peers import PEERS, Ports
from .processes import Child
from .server import Server, free_ports, wait_for_port
from .sterna import Sterna, invoke_request

BODY = b"x" * 64
PATIENCE_S = 120.0  # callgrind is about fifty times slower
# Code that is compiled while it runs makes callgrind's counts those of the compiler.
COUNTED_PEERS = ("nginx", "uvicorn")


def subjects(servers: Sequence[str], binary: Path) -> list[Subject]:
    found = [Subject("sterna", invoke_request("echo", BODY), _sterna(binary))] if "sterna" in servers else []
    for name in COUNTED_PEERS:
        if name in servers:
            path = PEERS[name].path.format(size=len(BODY))
            found.append(Subject(name, build_request("POST", path, BODY), _peer(name)))
    return found


def without_debug_information(binary: Path, scratch: Path) -> Path:
    """A copy that valgrind can load: Debian's gives up on clang's DWARF 5."""
    bare = scratch / "sterna-bare"
    if not bare.exists():
        subprocess.run(["objcopy", "--strip-debug", str(binary), str(bare)], check=True)
    return bare


def _sterna(binary: Path):
    @contextmanager
    def start(under: list[str], scratch: Path) -> Iterator[Server]:
        bare = without_debug_information(binary, scratch)
        settings = ["--runtime-dir", str(binary.parent / "runtimes")]
        with Sterna(bare, scratch / "callgrind", scratch / "callgrind.log", under, settings, PATIENCE_S) as sterna:
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
