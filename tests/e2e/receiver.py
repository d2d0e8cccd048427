"""A callback receiver: a real HTTP server on loopback that keeps every request as it came and answers by a script."""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field

from polling import eventually

REASONS = {200: "OK", 204: "No Content", 404: "Not Found", 503: "Service Unavailable"}


@dataclass(frozen=True)
class Answer:
    """What the receiver does with one request; `raw` is sent instead of an answer, b"" closes without a word.

    Both times are in seconds: `delay` before the answer, `hold` after `raw` until the connection is closed.
    """

    status: int = 204
    headers: tuple = ()
    body: bytes = b""
    delay: float = 0.0
    hold: float = 0.0
    raw: bytes | None = None

    def encoded(self):
        if self.raw is not None:
            return self.raw
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.status != 204:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


CLOSE = Answer(raw=b"")
GARBAGE = Answer(raw=b"\x00\x01 this is no HTTP \r\n\r\n")
CUT_SHORT = Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Le")


@dataclass
class Callback:
    method: str
    target: str
    headers: list = field(default_factory=list)  # pairs, in the order in which they came
    body: bytes = b""
    at: float = 0.0  # time.monotonic()

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        assert len(values) == 1, f"{name}: {values}"
        return values[0]

    def names(self):
        return {name.lower() for name, _ in self.headers}


class Receiver:
    """Serves until closed. Every path has a script of its own: its last answer is given again and again."""

    def __init__(self, port=0):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.scripts = {}
        self.callbacks = []
        self.open_sockets = set()
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.closing.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for each in self.open_sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def script(self, path, *answers):
        """Sets what requests to `path` are answered from now on, one after the other; answers the path's URL."""
        with self.lock:
            self.scripts[path] = list(answers)
        return self.url(path)

    def received(self, path=None, call_id=None):
        with self.lock:
            found = list(self.callbacks)
        return [
            each
            for each in found
            if (path is None or each.target.partition("?")[0] == path)
            and (call_id is None or call_id in each.all("X-Call-Id"))
        ]

    def wait(self, path=None, count=1, within=15.0, call_id=None):
        """The callbacks of a path, when at least `count` are there."""

        def enough():
            found = self.received(path, call_id)
            assert len(found) >= count, f"{len(found)} of {count} callbacks to {path}"
            return found

        return eventually(enough, within)

    def one(self, path=None, within=15.0, call_id=None):
        return self.wait(path, 1, within, call_id)[0]

    # The server's side

    def accept(self):
        while not self.closing.is_set():
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        with self.lock:
            self.open_sockets.add(peer)
        try:
            stream = peer.makefile("rb")
            while callback := read_request(stream):
                answer = self.note(callback)
                if answer.delay and self.closing.wait(answer.delay):
                    return
                peer.sendall(answer.encoded())
                if answer.raw is not None:
                    self.closing.wait(answer.hold)
                    return
        except (OSError, ValueError):
            return  # the sender went away
        finally:
            with self.lock:
                self.open_sockets.discard(peer)
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
            peer.close()

    def note(self, callback):
        path = callback.target.partition("?")[0]
        with self.lock:
            self.callbacks.append(callback)
            script = self.scripts.get(path) or [Answer()]
            return script.pop(0) if len(script) > 1 else script[0]


def read_request(stream):
    """The next request of a connection; None at its end."""
    first = stream.readline().decode("latin-1").rstrip("\r\n")
    if not first:
        return None
    method, target, _ = first.split(" ", 2)
    headers = []
    while line := stream.readline().decode("latin-1").rstrip("\r\n"):
        name, _, value = line.partition(":")
        headers.append((name, value.strip(" ")))
    callback = Callback(method, target, headers)
    if callback.all("Transfer-Encoding"):
        callback.body = read_chunks(stream)
    else:
        callback.body = read_exactly(stream, int((callback.all("Content-Length") or ["0"])[0]))
    callback.at = time.monotonic()
    return callback


def read_exactly(stream, size):
    data = stream.read(size)
    if len(data) != size:
        raise ValueError("cut short")
    return data


def read_chunks(stream):
    body = b""
    while size := int(stream.readline().split(b";")[0], 16):
        body += read_exactly(stream, size)
        stream.readline()
    while stream.readline().strip():
        pass
    return body
