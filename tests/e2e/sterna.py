"""Starts the real program, and speaks its management API."""

import base64
import json
import os
import pathlib
import signal
import subprocess

import httpx

import processes
from polling import eventually
from raw_http import RawClient, parse_address

ROOT = pathlib.Path(__file__).parents[2]
BINARY = pathlib.Path(os.environ.get("STERNA_BIN", ROOT / "build" / "sterna")).resolve()
# A sanitized server takes its workers from here: the interpreter, which is not sanitized, could not load sanitized ones.
RUNTIME_OPTIONS = ["--runtime-dir", os.environ["STERNA_TEST_RUNTIMES"]] if "STERNA_TEST_RUNTIMES" in os.environ else []
# Sanitizers make the program several times slower.
PATIENCE = 60 if "asan" in str(BINARY) or "tsan" in str(BINARY) else 20
# A compiler may have to run before.
BUILD_PATIENCE = 120


class Server:
    """One `sterna serve`. `start` again after `stop` or `kill` goes on with the same data directory."""

    def __init__(self, data_dir, *options, environment=None, prefix=(), auth="none", ca=None):
        self.data_dir = pathlib.Path(data_dir)
        self.options = options
        self.environment = environment or {}
        self.prefix = prefix
        self.auth = auth
        self.ca = ca  # a certificate file: the server speaks HTTPS
        self.log_path = self.data_dir.with_name(self.data_dir.name + ".log")
        self.process = None
        self.address = None
        self.client = None

    def command(self, *arguments):
        return [*self.prefix, str(BINARY), *arguments]

    def start(self, log=None):
        """`log`: a descriptor for what it prints, instead of the file."""
        address_file = self.data_dir / "address"
        address_file.unlink(missing_ok=True)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("STERNA_")}
        with self.log_path.open("ab") as file:
            self.process = subprocess.Popen(
                self.command("serve", "--listen", "127.0.0.1:0", "--data-dir", self.data_dir, "--auth", self.auth,
                             *RUNTIME_OPTIONS, *self.options),
                env={**clean, **self.environment}, stdin=subprocess.DEVNULL, stdout=log or file, stderr=log or file,
            )  # fmt: skip
        self.address = parse_address(eventually(lambda: self.read_address(address_file), PATIENCE))
        self.client = httpx.Client(base_url=self.url, timeout=60, trust_env=False, verify=str(self.ca) if self.ca else True)
        return self

    def read_address(self, path):
        if self.process.poll() is not None:
            raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.log()[-4000:]}")
        text = path.read_text() if path.exists() else ""
        return text if text.strip() else None

    @property
    def url(self):
        return f"{'https' if self.ca else 'http'}://{self.address[0]}:{self.address[1]}"

    def log(self):
        return self.log_path.read_text(errors="replace")

    def pid(self):
        """Of the server itself, below what `prefix` starts."""
        if not self.prefix:
            return self.process.pid
        return next(
            each.pid for each in processes.descendants(self.process.pid) if each.name() == BINARY.name
        )

    def processes(self):
        """Zygotes and workers: everything that the server started."""
        return processes.descendants(self.pid())

    def memory_kib(self, field="Rss"):
        return processes.process(self.pid()).memory_kib(field)

    def status_kib(self, field):
        return processes.process(self.pid()).status_kib(field)

    def open(self, **options):
        return RawClient(self.address, **options)

    def kill(self):
        """kill -9 of the server alone."""
        os.kill(self.pid(), signal.SIGKILL)
        self.process.wait(10)
        self.client.close()

    def stop(self, within=40):
        """SIGTERM. Answers the exit status; fails when something of the server is left."""
        started = self.processes() if self.process.poll() is None else []
        cgroups = {folder for each in started for folder in each.cgroups()}
        own = set(processes.process(os.getpid()).cgroups())
        os.kill(self.pid(), signal.SIGTERM)
        status = self.process.wait(within)
        self.client.close()
        eventually(lambda: not [each for each in started if each.is_alive()], 5)
        eventually(lambda: not [folder for folder in cgroups - own if folder.exists()], 5)
        assert not [mount for mount in processes.mounts() if str(self.data_dir) in mount]
        return status

    # The management API.

    def request(self, method, path, **options):
        return self.client.request(method, path, **options)

    def deploy(self, name, source, space="default", wait_for="Running", **fields):
        """Creates or replaces a function from the text of its handler, or from a dict of files, and waits for its status."""
        body = {"name": name, "template": "python3-http", "source": encode_source(source), **fields}
        answer = self.client.put(function_path(name, space), json=body)
        if answer.status_code == 404:
            answer = self.client.post(f"/spaces/{space}/functions", json=body)
        assert answer.status_code in (200, 201), answer.text
        if wait_for:
            self.wait_for_status(name, wait_for, space)
        return answer.json()

    def get(self, name, space="default"):
        answer = self.client.get(function_path(name, space))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait_for_status(self, name, status, space="default"):
        def reached():
            function = self.get(name, space)
            assert function["status"] == status, function
            return function

        return eventually(reached, BUILD_PATIENCE)

    def replicas(self, name, space="default"):
        return self.get(name, space)["metrics"]["replicas"]

    def call(self, name, path="", method="GET", space="default", **options):
        return self.client.request(method, invoke_path(name, path, space), **options)

    def logs(self, name, space="default", **params):
        answer = self.client.get(function_path(name, space) + "/logs", params=params)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]


def encode_source(source):
    if isinstance(source, dict):
        return {"files": {path: to_base64(text) for path, text in source.items()}}
    return {"code": to_base64(source)}


def to_base64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def function_path(name, space="default"):
    return f"/spaces/{space}/functions/{name}"


def invoke_path(name, path="", space="default"):
    return f"{function_path(name, space)}/invoke{path}"


def problem_of(answer, status, reason, fault=None):
    """Checks that an answer is this problem document, and answers the document."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"].split(";")[0] == "application/problem+json"
    problem = answer.json()
    assert problem["reason"] == reason, problem
    assert problem["status"] == status
    assert isinstance(problem["title"], str) and isinstance(problem["type"], str)
    assert "detail" in problem
    known = {"gateway", "auth", "registry", "queue", "pool", "worker", "function", "callback", "trigger"}
    assert problem["component"] in known, problem
    if fault:
        assert answer.headers["x-sterna-fault"] == fault
        if fault == "function" or "call_id" in problem:
            assert problem["call_id"] == answer.headers["x-call-id"]
    return problem
