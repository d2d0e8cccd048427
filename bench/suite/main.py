"""One whole run: start everything, measure in turn, print the table, keep the results, end everything."""

import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Callable, Mapping, Optional, Sequence

from . import (cold_start, http2, instructions, many_functions, memory, neighbour, results as store, scale_up,
               slow_attack, throughput)
from .async_calls import ACCEPT, BACKLOG, END_TO_END, ONE, AsyncBench
from .compare import comparison
from .functions import FUNCTIONS, GUARDED, UNWALLED
from .http_client import HttpError
from .machine import describe
from .options import Options, parse
from .peers import PEERS, start_peers
from .queues import QUEUES
from .results import Results, Sample
from .server import Server, check_answer
from .sterna import Sterna
from .subjects import subjects
from .table import number, table
from .targets import judge

# What a part of the bench may fail with because of a server; anything else is a bug of the bench.
PART_FAILS = (OSError, HttpError, RuntimeError, ValueError)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def show_sample(sample: Sample) -> None:
    say(f"  {sample.case}  {sample.server}  {number(sample.value)} {sample.unit}")


class Run:
    """The state of one run. The parts fail apart from each other: what was measured is reported in any case."""

    def __init__(self, options: Options, scratch: Path):
        self.options = options
        self.scratch = scratch
        self.results = Results(meta=describe(options.rounds, options.seconds), on_add=show_sample)
        self.failures = throughput.Failures()

    def part(self, name: str, work: Callable[[], None]) -> None:
        say(name)
        try:
            work()
        except PART_FAILS as error:
            self.failures.add(name, "bench", f"{type(error).__name__}: {error}")

    def all(self) -> None:
        if any(case in (*throughput.CASES, "memory", "cold-start", scale_up.CASE, neighbour.CASE, slow_attack.CASE,
                        http2.CASE) for case in self.options.cases):
            self.part("side by side", self.side_by_side)
        self.asynchronous()
        if "sterna" in self.options.servers and "many-functions" in self.options.cases:
            self.part("many functions", self.many_functions)
        if "instructions" in self.options.cases:
            for subject in subjects(self.options.servers, self.options.sterna):
                self.part(f"instructions of {subject.name}",
                          lambda: instructions.measure(subject, self.scratch, self.results))

    def many_functions(self) -> None:
        many_functions.measure(self.options.sterna, self.scratch, self.options.rounds, self.options.seconds,
                               self.results, self.failures)

    def asynchronous(self) -> None:
        options = self.options
        bench = AsyncBench(options.sterna, self.scratch, options.rounds, options.seconds, self.results, self.failures)
        accepting = [case for case in options.cases if case in ACCEPT]
        if accepting:
            servers = [name for name in options.servers if name == "sterna" or name in QUEUES]
            self.part("async acceptance", lambda: bench.accept(accepting, servers))
        for case, work in ((END_TO_END, bench.end_to_end), (ONE, lambda: bench.one(options.single_calls)),
                           (BACKLOG, lambda: bench.backlog(options.backlog))):
            if case in options.cases and "sterna" in options.servers:
                self.part(case, work)

    def side_by_side(self) -> None:
        """All servers up at once: memory at rest first, then the loads, then what only Sterna has."""
        options = self.options
        with ExitStack() as stack:
            sterna = None
            rows = [name for name in options.servers if name in FUNCTIONS]
            if rows:
                sterna = Sterna(options.sterna, self.scratch / "sterna", self.scratch / "sterna.log")
                stack.enter_context(sterna)
            guarded = None
            if GUARDED in options.servers and options.loads:
                guarded = Sterna(options.sterna, self.scratch / "guarded", self.scratch / "guarded.log", guarded=True)
                stack.enter_context(guarded)
            unwalled = None
            if UNWALLED in options.servers and (options.loads or "cold-start" in options.cases):
                unwalled = Sterna(options.sterna, self.scratch / "unwalled", self.scratch / "unwalled.log",
                                  settings=["--sandbox", "off"])
                stack.enter_context(unwalled)
            peers = start_peers([name for name in options.servers if name in PEERS], self.scratch, stack)
            if "memory" in options.cases:
                self.part("memory at rest", lambda: self.memory_at_rest(sterna, peers))
            if options.loads:
                self.part("loads", lambda: self.loads(sterna, {GUARDED: guarded, UNWALLED: unwalled}, rows, peers))
            if sterna and "memory" in options.cases:
                self.part("memory of replicas", lambda: memory.measure_replicas(sterna, options.rounds, self.results))
            if sterna and "cold-start" in options.cases:
                self.part("cold start", lambda: cold_start.measure(sterna, unwalled, rows, options.cold_starts,
                                                                   self.results))
            if "sterna" in rows and scale_up.CASE in options.cases:
                self.part("scale up", lambda: scale_up.measure(sterna, options.scale_ups, self.results))
            if "sterna" in rows and neighbour.CASE in options.cases:
                self.part("neighbour", lambda: neighbour.measure(sterna, options.rounds, options.seconds, self.results))
            if "sterna" in rows and slow_attack.CASE in options.cases:
                self.part("slow attack", lambda: slow_attack.measure(sterna, options.rounds, options.seconds, self.scratch,
                                                                     self.results))
            if "sterna" in rows and http2.CASE in options.cases:
                self.part("http/2", lambda: self.http2(sterna))

    def http2(self, sterna: Sterna) -> None:
        if not sterna.exists("sterna"):
            sterna.deploy("sterna")
        http2.measure(sterna.server("sterna", "sterna"), self.options.rounds, self.options.seconds, self.scratch, self.results)

    def memory_at_rest(self, sterna: Optional[Sterna], peers: Sequence[Server]) -> None:
        ours = []
        if sterna:
            memory.bring_to_rest(sterna)
            ours = [sterna.server(memory.RESTING, "sterna")]
        memory.measure_idle([*ours, *peers], self.results)

    def loads(self, sterna: Optional[Sterna], others: Mapping[str, Optional[Sterna]], rows: Sequence[str],
              peers: Sequence[Server]) -> None:
        """`others` are the same function on servers with other settings, by their rows."""
        for row in rows:
            sterna.deploy(row, function=FUNCTIONS[row])
        servers = [sterna.server(row, row) for row in rows]
        for row, other in others.items():
            if other:
                other.deploy("sterna")
                # Neighbours in time are compared.
                servers.insert(1 if "sterna" in rows else 0, other.server("sterna", row))
        servers += peers
        for server in servers:
            for _, body_bytes in throughput.CASES.values():
                check_answer(server, body_bytes)
        throughput.warm_up(servers, 1, self.failures)
        throughput.measure(servers, self.options.loads, self.options.rounds, self.options.seconds, self.results,
                           self.failures)

    def report(self) -> None:
        if self.results.samples:
            path = self.options.out / f"{self.results.meta['name']}.jsonl"
            store.write(self.results, path)
            verdicts = judge(self.results)
            print(table(self.results, verdicts))
            if verdicts:
                print(f"\n{sum(verdict.passed for verdict in verdicts)} of {len(verdicts)} measured targets pass.")
            print(f"\nResults: {path}")
        if self.options.compare:
            print(f"\nBeside {self.options.compare}:\n" + comparison(store.read(self.options.compare), self.results))
        for failure in self.failures.seen:
            print(f"ERROR {failure}")


def main(arguments: Sequence[str]) -> int:
    """Answers the exit code: 0, or 1 when a server gave errors. Missed targets are shown, not punished."""
    options = parse(arguments)
    # Ending by SIGTERM runs the same clean-up as Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with tempfile.TemporaryDirectory(prefix="sterna-bench-") as folder:
            run = Run(options, Path(folder))
            try:
                run.all()
            finally:  # an interrupted run, too, shows and keeps what it has measured
                run.report()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 1 if run.failures.seen else 0
