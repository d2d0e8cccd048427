"""Asynchronous invocation: acceptances a second beside other durable queues, calls through to their callbacks, one call
alone beside an fdatasync, and a backlog of a million."""

from contextlib import ExitStack
from pathlib import Path
from typing import Sequence

from .async_load import Accepted, LoadError, parse_accepted, parse_through, run
from .functions import FUNCTIONS, Function
from .memory import mib
from .queues import BODY_BYTES, Queue, start_queues
from .results import Results, Sample
from .sterna import PATH, Sterna
from .throughput import Failures

ACCEPT = {"async-accept-c64": 64, "async-accept-c256": 256}  # case: connections
END_TO_END, ONE, BACKLOG = "async-end-to-end", "async-one", "async-backlog"
CASES = (*ACCEPT, END_TO_END, ONE, BACKLOG)
RATE = "calls/s"

# Runs for longer than any measurement, so that what is accepted stays queued: draining it is a case of its own.
BLOCKER = Function("python3-http", lambda: {"handler.py": b"""import time


def handle(req):
    time.sleep(3000)
"""})
KEPT = {"max_replicas": 1, "timeout_seconds": 3000}
NAME = "bench"
# Nobody listens there: the kept calls have a callback like all others, and none of them gets as far as it.
NO_RECEIVER = "http://127.0.0.1:9/"
SETTINGS = ("--callback-allow", "127.0.0.0/8", "--drain-seconds", "0")
WINDOW, CONNECTIONS = 1000, 64  # end to end: accepted calls without a callback, and connections that accept them
BACKLOG_PATIENCE_S = 900.0


def async_path() -> str:
    return f"{PATH}/{NAME}/async-invoke"


class AsyncBench:
    """One run's asynchronous cases. Parts raise OSError, HttpError, RuntimeError, ValueError."""

    def __init__(self, binary: Path, scratch: Path, rounds: int, seconds: int, results: Results, failures: Failures):
        self.binary, self.scratch = binary, scratch
        self.tool = binary.parent / "async_load"
        self.rounds, self.seconds = rounds, seconds
        self.results, self.failures = results, failures
        self._started = 0

    def accept(self, cases: Sequence[str], servers: Sequence[str]) -> None:
        """Every server in turn, round after round. Sterna begins each time with an empty queue, as the peers' lists
        and streams cost the same at any length."""
        with ExitStack() as stack:
            queues = start_queues([name for name in servers if name != "sterna"], self.tool, self.scratch, stack)
            if "sterna" in servers:
                queues.insert(0, Queue("sterna", self._accept_fresh))
            for number in range(self.rounds):
                for case in cases:
                    for queue in queues:
                        self._accept_once(case, queue, number)

    def _accept_once(self, case: str, queue: Queue, number: int) -> None:
        try:
            found = queue.accept(ACCEPT[case], self.seconds)
        except LoadError as error:
            self.failures.add(case, queue.name, str(error))
            return
        self.results.add(Sample(case, queue.name, number, RATE, found.per_second, found.latency.p50_ms,
                                found.latency.p99_ms))

    def _accept_fresh(self, connections: int, seconds: float) -> Accepted:
        with self._sterna(BLOCKER, KEPT) as sterna:
            return self._accept(sterna, connections, ["--seconds", str(seconds)])

    def _accept(self, sterna: Sterna, connections: int, length: Sequence[str]) -> Accepted:
        options = ["--callback", NO_RECEIVER, "--body-bytes", str(BODY_BYTES), *length]
        return parse_accepted(run(self.tool, "accept", sterna.port, async_path(), connections, options,
                                  BACKLOG_PATIENCE_S))

    def _sterna(self, function: Function, limits: dict) -> Sterna:
        """A new server with one function, deployed."""
        self._started += 1
        sterna = Sterna(self.binary, self.scratch / f"async-{self._started}", self.scratch / "async.log",
                        settings=SETTINGS)
        try:
            sterna.deploy(NAME, limits, function)
        except BaseException:
            sterna.child.stop()
            raise
        return sterna

    def end_to_end(self) -> None:
        """As many calls as get through with at most WINDOW of them on their way, five times as long as other cases."""
        with self._sterna(FUNCTIONS["sterna"], {"min_replicas": 1}) as sterna:
            self._through(sterna, ["--seconds", "1"])
            for number in range(self.rounds):
                found = self._through(sterna, ["--seconds", str(5 * self.seconds)])
                self.results.add(Sample(END_TO_END, "sterna", number, RATE, found.completed_per_second,
                                        found.callback.p50_ms, found.callback.p99_ms))
                self.results.add(Sample(END_TO_END, "sterna, accepted", number, RATE, found.accepted_per_second,
                                        found.accept.p50_ms, found.accept.p99_ms))
                self.results.add(Sample(END_TO_END, "sterna, backlog", number, "calls", found.backlog_at_end))

    def _through(self, sterna: Sterna, length: Sequence[str]):
        options = ["--window", str(WINDOW), "--body-bytes", str(BODY_BYTES), *length]
        return parse_through(run(self.tool, "through", sterna.port, async_path(), CONNECTIONS, options))

    def one(self, count: int) -> None:
        """One call at a time, each after an fdatasync of 1 KiB on the same file system."""
        with self._sterna(FUNCTIONS["sterna"], {"min_replicas": 1}) as sterna:
            options = ["--window", "1", "--body-bytes", str(BODY_BYTES), "--sync-file", str(self.scratch / "sync")]
            run(self.tool, "through", sterna.port, async_path(), 1, [*options, "--count", "20"])
            for number in range(self.rounds):
                found = parse_through(run(self.tool, "through", sterna.port, async_path(), 1,
                                          [*options, "--count", str(count)]))
                for row, latency in (("sterna, 202", found.accept), ("sterna, callback", found.callback),
                                     ("fdatasync", found.sync)):
                    self.results.add(Sample(ONE, row, number, "ms", latency.p50_ms, latency.p50_ms, latency.p99_ms))

    def backlog(self, count: int) -> None:
        """Memory with `count` queued, acceptances beside a server with an empty queue, and starting again."""
        row = f"{count:,} queued"
        with self._sterna(BLOCKER, KEPT) as full:
            folder = self.scratch / f"async-{self._started}"
            self._accept(full, 256, ["--count", str(count)])
            self.results.add(Sample(f"{BACKLOG}-memory", row, 0, "MiB", mib([full.child.pid], "Rss")))
            for number in range(self.rounds):
                for name, found in ((row, self._accept(full, 256, ["--seconds", str(self.seconds)])),
                                    ("empty queue", self._accept_fresh(256, self.seconds))):
                    self.results.add(Sample(f"{BACKLOG}-accept", name, number, RATE, found.per_second,
                                            found.latency.p50_ms, found.latency.p99_ms))
        for number in range(self.rounds):
            with Sterna(self.binary, folder, self.scratch / "async.log", settings=SETTINGS) as again:
                self.results.add(Sample(f"{BACKLOG}-start", row, number, "ms", again.start_up_ms))
