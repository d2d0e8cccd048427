"""Starts Sterna and speaks its management API as any client does."""

import base64
import re
import time
from pathlib import Path
from typing import Optional, Sequence

from .functions import FUNCTIONS, Function
from .http_client import Answer, HttpError, ask_for_token, build_request, call_json
from .processes import Child, wait_until
from .server import Server

PATH = "/spaces/default/functions"


class Sterna:
    """One running server. Use as a context manager; raises TimeoutError, RuntimeError and HttpError."""

    def __init__(self, binary: Path, data_dir: Path, log: Path, under: Sequence[str] = (),
                 settings: Sequence[str] = (), patience_s: float = 30.0, guarded: bool = False):
        """`under` goes before the program on the command line, `settings` after its own; a guarded server checks tokens."""
        address = data_dir / "address"
        data_dir.mkdir(parents=True, exist_ok=True)
        address.unlink(missing_ok=True)
        started = time.perf_counter()
        argv = [*under, str(binary), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(data_dir),
                "--auth", "oauth2" if guarded else "none", *settings]
        self.token = ""
        self.child = Child(argv, log)
        try:
            wait_until("sterna's address", lambda: self._still_alive() and address.exists() and
                       address.read_text().strip() != "", patience_s, 0.001)
            self.port = int(address.read_text().strip().rstrip("/").rpartition(":")[2])
            wait_until("sterna to be ready", self._ready, patience_s, 0.001)
            if guarded:
                self.token = ask_for_token(self.port, *first_credentials(log))
        except BaseException:
            self.child.stop()
            raise
        self.start_up_ms = (time.perf_counter() - started) * 1000

    def __enter__(self) -> "Sterna":
        return self

    def __exit__(self, *_exception) -> None:
        self.child.stop()

    def _still_alive(self) -> bool:
        if not self.child.alive():
            raise RuntimeError(f"sterna ended at its start: {self.child.tail()}")
        return True

    def _ready(self) -> bool:
        self._still_alive()
        try:
            return call_json(self.port, "GET", "/readyz").status == 200
        except (OSError, HttpError):
            return False

    def call(self, method: str, path: str, document: Optional[dict] = None, wanted: Sequence[int] = (200,)) -> Answer:
        answer = call_json(self.port, method, path, document, self.token)
        if answer.status not in wanted:
            raise HttpError(f"{method} {path} answered {answer.status}: {answer.body[:500].decode(errors='replace')}")
        return answer

    def deploy(self, name: str, limits: Optional[dict] = None, function: Function = FUNCTIONS["sterna"]) -> None:
        """Deploys Python's echo, or another function, under this name and waits until it is Running."""
        files = {path: base64.b64encode(content).decode() for path, content in function.files().items()}
        document = {"name": name, "template": function.template, "access": "token" if self.token else "public",
                    "source": {"files": files},
                    **function.fields, "limits": {**function.fields.get("limits", {}), **(limits or {})}}
        self.call("POST", PATH, document, (201,))
        self.wait_running(name)

    def wait_running(self, name: str) -> None:
        def running() -> bool:
            function = self.get(name)
            if function["status"] == "Failed":
                raise RuntimeError(f"{name} failed: {function.get('status_reason')}")
            return function["status"] == "Running"

        wait_until(f"{name} to be Running", running, 60)

    def get(self, name: str) -> dict:
        return self.call("GET", f"{PATH}/{name}").json()

    def exists(self, name: str) -> bool:
        return self.call("GET", f"{PATH}/{name}", wanted=(200, 404)).status == 200

    def wait_replicas(self, name: str, count: int) -> None:
        """Until exactly `count` replicas are there, all of them able to take calls."""

        def there() -> bool:
            metrics = self.get(name)["metrics"]
            return metrics["replicas"] == count and metrics["available_replicas"] == count

        wait_until(f"{name} to have {count} replicas", there, 60, 0.02)

    def server(self, name: str, row: str) -> Server:
        """The function as something to measure, under the name of its row in the table."""
        return Server(row, self.port, self.child, invoke_path(name), token=self.token)


def first_credentials(log: Path) -> tuple[str, ...]:
    """The client id and secret that a guarded server prints at its first start."""
    text = log.read_text(errors="replace")
    found = [re.search(rf"client {word}:\s+(\S+)", text) for word in ("id", "secret")]
    if not all(found):
        raise RuntimeError(f"sterna printed no credentials: {text[-500:]}")
    return tuple(each[1] for each in found)


def invoke_path(name: str) -> str:
    return f"{PATH}/{name}/invoke"


def invoke_request(name: str, body: bytes) -> bytes:
    return build_request("POST", invoke_path(name), body)
