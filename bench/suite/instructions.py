"""Instructions per request, counted by valgrind's callgrind: unlike times, they do not swing with the machine."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, ContextManager

from .http_client import Connection, HttpError
from .results import Results, Sample
from .server import Server

CONNECTIONS = (1, 32)
FEW, MANY = 640, 3200  # requests of the two runs; what is there without requests falls out of the difference


@dataclass(frozen=True)
class Subject:
    """Something that is run under callgrind: `start` gets callgrind's command line and answers a running server."""

    name: str
    request: Callable[[Server], bytes]
    start: Callable[[list[str], Path], ContextManager[Server]]


def collected(log: str) -> int:
    """What callgrind counted, over all processes whose logs these are. Raises ValueError when it counted nothing."""
    found = re.findall(r"Collected\s*:\s*(\d+)", log)
    if not found:
        raise ValueError(f"callgrind counted nothing: {log.strip()[-500:]}")
    return sum(int(count) for count in found)


def per_request(few: int, many: int) -> float:
    return (many - few) / (MANY - FEW)


def exchange_all(port: int, request: bytes, connections: int, requests: int) -> None:
    """`requests` in waves: one on each connection, then all their answers. Raises HttpError unless all are 200."""
    open_ones = [Connection(port, 120.0) for _ in range(connections)]
    try:
        for _ in range(requests // connections):
            for one in open_ones:
                one.send(request)
            for one in open_ones:
                answer = one.receive()
                if answer.status != 200:
                    raise HttpError(f"answered {answer.status} under callgrind: {answer.body[:300]!r}")
    finally:
        for one in open_ones:
            one.__exit__()


def measure(subject: Subject, scratch: Path, results: Results) -> None:
    """Two runs for each number of connections. Forked processes count (nginx's worker), started programs do not."""
    for connections in CONNECTIONS:
        counts = [_run(subject, scratch, connections, requests) for requests in (FEW, MANY)]
        results.add(Sample(f"instructions-c{connections}", subject.name, 0, "instr/req", per_request(*counts)))


def _run(subject: Subject, scratch: Path, connections: int, requests: int) -> int:
    name = re.sub(r"\W", "-", subject.name)
    logs = f"callgrind-{name}-{connections}-{requests}"
    under = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={scratch / logs}.%p.log"]
    with subject.start(under, scratch) as server:
        exchange_all(server.port, subject.request(server), connections, requests)
        server.child.stop(60)
    return collected("".join(log.read_text() for log in sorted(scratch.glob(f"{logs}.*.log"))))
