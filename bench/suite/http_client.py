"""A small HTTP/1.1 client over one kept-alive socket, cheap enough to time single requests with."""

import json
import socket
from dataclasses import dataclass
from typing import Optional


class HttpError(Exception):
    """The server answered something unusable, or something else than was needed."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]  # names in lower case; the last of repeated ones
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body) if self.body else {}


def build_request(method: str, path: str, body: bytes = b"", content_type: str = "application/octet-stream",
                  token: str = "") -> bytes:
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    head = (f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n"
            f"{authorization}Content-Length: {len(body)}\r\n\r\n")
    return head.encode() + body


class Connection:
    """One socket to 127.0.0.1. Raises OSError (also for time-outs) and HttpError. One thread."""

    def __init__(self, port: int, timeout_s: float = 30.0):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pending = b""

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_exception) -> None:
        self._socket.close()

    def send(self, request: bytes) -> None:
        self._socket.sendall(request)

    def receive(self) -> Answer:
        head = self._take_until(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ", 2)[1])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return Answer(status, headers, self._body(status, headers))

    def exchange(self, request: bytes) -> Answer:
        self.send(request)
        return self.receive()

    def _body(self, status: int, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        if "content-length" in headers:
            return self._take(int(headers["content-length"]))
        if status == 204:
            return b""
        raise HttpError("the answer has neither a length nor chunks")

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._take_until(b"\r\n").split(b";")[0], 16):
            body += self._take(size)
            self._take(2)
        while self._take_until(b"\r\n"):
            pass  # trailers
        return body

    def _take_until(self, mark: bytes) -> bytes:
        while mark not in self._pending:
            self._fill()
        found, _, self._pending = self._pending.partition(mark)
        return found

    def _take(self, size: int) -> bytes:
        while len(self._pending) < size:
            self._fill()
        found, self._pending = self._pending[:size], self._pending[size:]
        return found

    def _fill(self) -> None:
        part = self._socket.recv(262144)
        if not part:
            raise HttpError("the server closed the connection within an answer")
        self._pending += part


def call_json(port: int, method: str, path: str, document: Optional[dict] = None, token: str = "") -> Answer:
    """One exchange on a connection of its own, with a JSON body when there is a document."""
    body = json.dumps(document).encode() if document is not None else b""
    with Connection(port) as connection:
        return connection.exchange(build_request(method, path, body, "application/json", token))


def ask_for_token(port: int, client_id: str, secret: str) -> str:
    """A token for a client of the server (OAuth 2, client credentials). Raises HttpError."""
    form = f"grant_type=client_credentials&client_id={client_id}&client_secret={secret}".encode()
    with Connection(port) as connection:
        answer = connection.exchange(build_request("POST", "/oauth2/token", form, "application/x-www-form-urlencoded"))
    if answer.status != 200:
        raise HttpError(f"no token: {answer.status} {answer.body[:200]!r}")
    return answer.json()["access_token"]
