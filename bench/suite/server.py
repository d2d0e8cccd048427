"""A running server as the measurements see it, and the check that it does the work before it is timed."""

import os
import socket
from dataclasses import dataclass

from .http_client import Connection, HttpError, build_request
from .processes import Child, wait_until


@dataclass(frozen=True)
class Server:
    name: str
    port: int
    child: Child
    path: str = "/"  # `{size}` in it stands for the body's size
    echoes: bool = True  # nginx sends a constant body of the same size instead
    token: str = ""  # that its requests carry

    def path_for(self, body_bytes: int) -> str:
        return self.path.format(size=body_bytes)

    def url_for(self, body_bytes: int) -> str:
        return f"http://127.0.0.1:{self.port}{self.path_for(body_bytes)}"


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on now; different from each other."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for_port(name: str, port: int, child: Child, patience_s: float = 30.0) -> None:
    """Raises TimeoutError, or RuntimeError with the program's last words when it has ended."""

    def listening() -> bool:
        if not child.alive():
            raise RuntimeError(f"{name} ended at its start: {child.tail()}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    wait_until(f"{name} to listen", listening, patience_s, 0.02)


def check_answer(server: Server, body_bytes: int) -> None:
    """Raises HttpError unless two POSTs on one connection are answered with 200 and what was sent."""
    with Connection(server.port) as connection:
        for _ in range(2):
            body = os.urandom(body_bytes)
            answer = connection.exchange(build_request("POST", server.path_for(body_bytes), body, token=server.token))
            wanted = answer.body == body if server.echoes else len(answer.body) == body_bytes
            if answer.status != 200 or not wanted:
                raise HttpError(f"{server.name} answered {answer.status} with {len(answer.body)} bytes to a POST of "
                                f"{body_bytes}, not the same bytes: {answer.body[:200]!r}")
