"""The servers that Sterna is measured against: one process each, no access log, on loopback."""

import platform
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Sequence

from .processes import Child
from .server import Server, free_ports, wait_for_port

BENCH = Path(__file__).resolve().parent.parent
SOURCES = BENCH / "peers"
PYTHON = "/usr/bin/python3"  # Debian's, which has the packages
KIB = 1024


@dataclass(frozen=True)
class Peer:
    argv: Callable[[int, Path], Sequence[str]]  # from port and scratch folder
    path: str = "/"
    echoes: bool = True
    needs_npm: bool = False


def nginx_config(port: int, scratch: Path, sizes: Sequence[int] = (64, KIB, 64 * KIB)) -> str:
    locations = []
    for size in sizes:
        body = "$kib" * (size // KIB) + "x" * (size % KIB)
        locations.append(f'    location = /{size} {{ return 200 "{body}"; }}')
    text = (SOURCES / "nginx.conf.in").read_text()
    for mark, value in {"@DIR@": str(scratch), "@PORT@": str(port), "@KIB@": "x" * KIB,
                        "@LOCATIONS@": "\n".join(locations)}.items():
        text = text.replace(mark, value)
    return text


def _nginx(port: int, scratch: Path) -> Sequence[str]:
    config = scratch / "nginx.conf"
    config.write_text(nginx_config(port, scratch))
    return ["/usr/sbin/nginx", "-e", "stderr", "-p", str(scratch), "-c", str(config)]


def _uvicorn(port: int, _scratch: Path) -> Sequence[str]:
    return [PYTHON, "-m", "uvicorn", "asgi_echo:app", "--app-dir", str(SOURCES), "--port", str(port),
            "--loop", "uvloop", "--http", "httptools", "--lifespan", "off", "--no-access-log",
            "--log-level", "warning", "--timeout-keep-alive", "600", "--backlog", "1024"]


def _workerd(port: int, _scratch: Path) -> Sequence[str]:
    # The package's own `workerd` is a node script that starts this program and stays beside it.
    arch = {"x86_64": "64", "aarch64": "arm64"}[platform.machine()]
    program = BENCH / f"node_modules/@cloudflare/workerd-linux-{arch}/bin/workerd"
    return [str(program), "serve", str(SOURCES / "workerd.capnp"), "--socket-addr", f"http=127.0.0.1:{port}"]


def _node(script: str) -> Callable[[int, Path], Sequence[str]]:
    return lambda port, _scratch: ["node", str(SOURCES / script), str(port)]


PEERS = {
    "nginx": Peer(_nginx, path="/{size}", echoes=False),
    "node:http": Peer(_node("node_http.mjs")),
    "fastify": Peer(_node("fastify_echo.mjs"), needs_npm=True),
    "uvicorn": Peer(_uvicorn),
    "flask+waitress": Peer(lambda port, _scratch: [PYTHON, str(SOURCES / "flask_echo.py"), str(port)]),
    "workerd": Peer(_workerd, needs_npm=True),
    "functions-framework": Peer(_node("functions_framework.cjs"), needs_npm=True),
}


def install_npm_peers() -> None:
    """Installs what bench/package-lock.json names, once. Raises CalledProcessError."""
    if not (BENCH / "node_modules/.package-lock.json").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=BENCH, check=True, stdout=subprocess.DEVNULL)


def start_peers(names: Sequence[str], scratch: Path, stack: ExitStack) -> list[Server]:
    """Starts the named ones, all at once, and waits until each listens; `stack` ends them."""
    if any(PEERS[name].needs_npm for name in names):
        install_npm_peers()
    servers = []
    for name, port in zip(names, free_ports(len(names))):
        peer = PEERS[name]
        log = scratch / f"{name.replace(':', '-')}.log"
        child = stack.enter_context(Child(peer.argv(port, scratch), log, {"NODE_ENV": "production"}))
        servers.append(Server(name, port, child, peer.path, peer.echoes))
    for server in servers:
        wait_for_port(server.name, server.port, server.child)
    return servers
