"""An HTTP client that sends exactly the bytes it is given and keeps exactly the bytes that come."""

import socket
from dataclasses import dataclass, field


class Closed(Exception):
    """The server ended the connection before a whole answer came; `received` is what did come."""

    def __init__(self, received=b""):
        super().__init__(f"closed after {received[:200]!r}")
        self.received = received


@dataclass
class Answer:
    version: str
    status: int
    reason: str
    headers: list = field(default_factory=list)
    body: bytes = b""

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        return values[0] if values else None


class RawClient:
    def __init__(self, address, timeout=15.0, receive_buffer=None):
        host, port = address
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def request(self, method, target, headers=(), body=b"", host="sterna.localhost", version="HTTP/1.1"):
        lines = [f"{method} {target} {version}"] + ([f"Host: {host}"] if host is not None else [])
        lines += [f"{name}: {value}" for name, value in headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def read_some(self):
        try:
            part = self.socket.recv(65536)
        except ConnectionError:
            part = b""
        if not part:
            raise Closed(self.buffer)
        self.buffer += part

    def take(self, count):
        while len(self.buffer) < count:
            self.read_some()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def take_until(self, mark):
        while mark not in self.buffer:
            self.read_some()
        taken, _, self.buffer = self.buffer.partition(mark)
        return taken

    def read_head(self):
        lines = self.take_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, reason = (lines[0].split(" ", 2) + [""])[:3]
        headers = [
            tuple(line.split(": ", 1)) if ": " in line else (line.rstrip(":"), "") for line in lines[1:]
        ]
        return Answer(version, int(status), reason, headers)

    def read_chunk(self):
        """The next chunk's data; empty after the last one."""
        size = int(self.take_until(b"\r\n").split(b";")[0], 16)
        data = self.take(size)
        assert self.take(2) == b"\r\n"
        return data

    def read(self, method="GET"):
        """One answer; an interim one (100) comes on its own."""
        answer = self.read_head()
        if method == "HEAD" or answer.status < 200 or answer.status in (204, 304):
            return answer
        if (answer.header("Transfer-Encoding") or "").lower() == "chunked":
            while chunk := self.read_chunk():
                answer.body += chunk
        elif answer.header("Content-Length") is not None:
            answer.body = self.take(int(answer.header("Content-Length")))
        else:
            answer.body = self.read_to_end()
        return answer

    def read_to_end(self):
        """What comes until the server closes."""
        try:
            while True:
                self.read_some()
        except Closed:
            rest, self.buffer = self.buffer, b""
            return rest

    def is_closed(self):
        """Whether the server has closed and nothing is left to read. Waits up to the timeout."""
        return not self.buffer and self.read_to_end() == b""


def parse_address(text):
    host, _, port = text.strip().rpartition(":")
    return host.strip("[]"), int(port)
