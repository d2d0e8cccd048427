"""The servers that Sterna is measured against: one process each, no access log, on loopback."""

import platform
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, NamedTuple, Optional, Sequence

from .processes import Child
from .server import Server, free_ports, wait_for_port

BENCH = Path(__file__).resolve().parent.parent
SOURCES = BENCH / "peers"
PYTHON = "/usr/bin/python3"  # Debian's, which has the packages
KIB = 1024


class Ports(NamedTuple):
    own: int
    behind: int = 0  # of the server that it passes requests to


@dataclass(frozen=True)
class Peer:
    argv: Callable[[Ports, Path], Sequence[str]]  # from ports and scratch folder
    path: str = "/"
    echoes: bool = True
    needs_npm: bool = False
    behind: Optional[str] = None  # the peer that it passes requests to, started for it alone


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


def _nginx(ports: Ports, scratch: Path) -> Sequence[str]:
    config = scratch / "nginx.conf"
    config.write_text(nginx_config(ports.own, scratch))
    return ["/usr/sbin/nginx", "-e", "stderr", "-p", str(scratch), "-c", str(config)]


def _nginx_proxy(ports: Ports, scratch: Path) -> Sequence[str]:
    config = scratch / "nginx-proxy.conf"
    text = (SOURCES / "nginx_proxy.conf.in").read_text()
    for mark, value in {"@DIR@": str(scratch), "@PORT@": str(ports.own), "@BEHIND@": str(ports.behind)}.items():
        text = text.replace(mark, value)
    config.write_text(text)
    return ["/usr/sbin/nginx", "-e", "stderr", "-p", str(scratch), "-c", str(config)]


def _uvicorn(ports: Ports, _scratch: Path) -> Sequence[str]:
    return [PYTHON, "-m", "uvicorn", "asgi_echo:app", "--app-dir", str(SOURCES), "--port", str(ports.own),
            "--loop", "uvloop", "--http", "httptools", "--lifespan", "off", "--no-access-log",
            "--log-level", "warning", "--timeout-keep-alive", "600", "--backlog", "1024"]


def _workerd(ports: Ports, _scratch: Path) -> Sequence[str]:
    # The package's own `workerd` is a node script that starts this program and stays beside it.
    arch = {"x86_64": "64", "aarch64": "arm64"}[platform.machine()]
    program = BENCH / f"node_modules/@cloudflare/workerd-linux-{arch}/bin/workerd"
    return [str(program), "serve", str(SOURCES / "workerd.capnp"), "--socket-addr", f"http=127.0.0.1:{ports.own}"]


def _node(script: str) -> Callable[[Ports, Path], Sequence[str]]:
    return lambda ports, _scratch: ["node", str(SOURCES / script), str(ports.own)]


PEERS = {
    "nginx": Peer(_nginx, path="/{size}", echoes=False),
    "node:http": Peer(_node("node_http.mjs")),
    "nginx+node:http": Peer(_nginx_proxy, behind="node:http"),
    "fastify": Peer(_node("fastify_echo.mjs"), needs_npm=True),
    "uvicorn": Peer(_uvicorn),
    "flask+waitress": Peer(lambda ports, _scratch: [PYTHON, str(SOURCES / "flask_echo.py"), str(ports.own)]),
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
    def start(name: str, argv: Sequence[str]) -> Child:
        log = scratch / f"{name.replace(':', '-')}.log"
        return stack.enter_context(Child(argv, log, {"NODE_ENV": "production"}))

    servers = []
    ports = iter(free_ports(2 * len(names)))
    for name in names:
        peer, own = PEERS[name], Ports(next(ports), next(ports))
        if peer.behind is not None:
            behind = start(f"{name}-behind", PEERS[peer.behind].argv(Ports(own.behind), scratch))
            wait_for_port(peer.behind, own.behind, behind)
        servers.append(Server(name, own.own, start(name, peer.argv(own, scratch)), peer.path, peer.echoes))
    for server in servers:
        wait_for_port(server.name, server.port, server.child)
    return servers
