"""A thousand deployed functions: does the server start in time, and does finding one of them cost anything?"""

from pathlib import Path

from . import wrk
from .results import Results, Sample
from .sterna import Sterna
from .throughput import Failures, one_round, warm_up

START_UP = "start-up"
LOOKUP = "lookup"
COUNT = 1000


def row(count: int) -> str:
    return "1 function" if count == 1 else f"{count:,} functions"


def name_of(number: int) -> str:
    return f"echo-{number:04}"


def fill(binary: Path, data_dir: Path, log: Path, count: int) -> None:
    """Deploys `count` functions into a new data directory and stops the server again."""
    with Sterna(binary, data_dir, log) as sterna:
        for number in range(count):
            sterna.deploy(name_of(number))


def measure(binary: Path, scratch: Path, rounds: int, seconds: int, results: Results,
            failures: Failures) -> None:
    """Start-up beside a server with one function, then the echo of one in the middle beside that one, interleaved."""
    folders = {number: scratch / f"functions-{number}" for number in (1, COUNT)}
    logs = {number: scratch / f"functions-{number}.log" for number in folders}
    for number, folder in folders.items():
        fill(binary, folder, logs[number], number)
    for attempt in range(rounds):
        for number, folder in folders.items():
            with Sterna(binary, folder, logs[number]) as sterna:
                results.add(Sample(START_UP, row(number), attempt, "ms", sterna.start_up_ms))
    with Sterna(binary, folders[1], logs[1]) as one, Sterna(binary, folders[COUNT], logs[COUNT]) as many:
        servers = [many.server(name_of(COUNT // 2), row(COUNT)), one.server(name_of(0), row(1))]
        warm_up(servers, 1, failures)
        for attempt in range(rounds):
            one_round(servers, LOOKUP, attempt, wrk.Load(32, 64, seconds), results, failures)
