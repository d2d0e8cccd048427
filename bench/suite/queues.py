"""What else accepts durable work, at the same durability: nothing is acknowledged before it is synced."""

import json
import socket
import sqlite3
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional, Sequence

from .async_load import Accepted, Latency, LoadError, parse_accepted, run
from .processes import Child
from .server import free_ports, wait_for_port
from .stats import percentile

TARGET = "bench"  # NATS subject, Redis key
BODY_BYTES = 64
ACCEPTS = Callable[[int, float], Accepted]  # from connections and seconds


@dataclass(frozen=True)
class Queue:
    """Something running that accepts work; `accept` measures it."""

    name: str
    accept: ACCEPTS


def _tool(tool: Path, protocol: str, port: int) -> ACCEPTS:
    options = ["--protocol", protocol, "--body-bytes", str(BODY_BYTES), "--seconds"]
    return lambda connections, seconds: parse_accepted(
        run(tool, "accept", port, TARGET, connections, [*options, str(seconds)]))


def start_jetstream(tool: Path, scratch: Path, stack: ExitStack) -> Queue:
    """Debian's nats-server has no `sync_interval: always` yet: the store's folder has the attribute S instead, with
    which every write to its files is synchronous, so that a publish is on disk when it is acknowledged."""
    store, port = scratch / "jetstream", free_ports(1)[0]
    store.mkdir()
    subprocess.run(["chattr", "+S", str(store)], check=True)
    argv = ["nats-server", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(store)]
    child = stack.enter_context(Child(argv, scratch / "jetstream.log"))
    wait_for_port("nats-server", port, child)
    create_stream(port)
    return Queue("jetstream", _tool(tool, "nats", port))


def create_stream(port: int) -> None:
    """Raises LoadError when the server does not create it."""
    wanted = json.dumps({"name": "BENCH", "subjects": [TARGET], "storage": "file", "num_replicas": 1}).encode()
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(b'CONNECT {"verbose":false}\r\nSUB _INBOX.create 1\r\n'
                           b"PUB $JS.API.STREAM.CREATE.BENCH _INBOX.create %d\r\n%s\r\n" % (len(wanted), wanted))
        answer = b""
        while b"did_create" not in answer:
            part = connection.recv(65536)
            answer += part
            if not part or b'"error"' in answer:
                raise LoadError(f"nats-server created no stream: {answer[-300:]!r}")


def start_redis(tool: Path, scratch: Path, stack: ExitStack) -> Queue:
    store, port = scratch / "redis", free_ports(1)[0]
    store.mkdir()
    argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(store), "--save", "",
            "--appendonly", "yes", "--appendfsync", "always"]
    child = stack.enter_context(Child(argv, scratch / "redis.log"))
    wait_for_port("redis-server", port, child)
    return Queue("redis stream", _tool(tool, "redis", port))


def start_sqlite(_tool: Path, scratch: Path, stack: ExitStack) -> Queue:
    """One row a commit, as a web application would: no server and no connections in its way."""
    database = sqlite3.connect(scratch / "insert.db", isolation_level=None)
    stack.callback(database.close)
    for line in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
                 "CREATE TABLE work (id INTEGER PRIMARY KEY, body BLOB)"):
        database.execute(line)
    return Queue("sqlite insert", lambda _connections, seconds: insert_for(database, seconds))


def insert_for(database: sqlite3.Connection, seconds: float) -> Accepted:
    body, took = b"x" * BODY_BYTES, []
    began = last = time.perf_counter()
    while last - began < seconds:
        database.execute("INSERT INTO work (body) VALUES (?)", (body,))
        now = time.perf_counter()
        took.append((now - last) * 1000)
        last = now
    return Accepted(len(took) / (last - began), Latency(percentile(took, 50), percentile(took, 99)))


QUEUES = {"jetstream": start_jetstream, "redis stream": start_redis, "sqlite insert": start_sqlite}


def start_queues(names: Sequence[str], tool: Optional[Path], scratch: Path, stack: ExitStack) -> list[Queue]:
    """Starts the named ones; `stack` ends them."""
    return [QUEUES[name](tool, scratch, stack) for name in names]
