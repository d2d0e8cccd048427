"""What Sterna's issue asks for, as data, and the verdicts. Pure."""

from dataclasses import dataclass
from typing import Callable, Optional

from . import slow_attack
from .functions import GUARDED, UNWALLED
from .results import Results
from .stats import paired_ratios, percentile, spread


@dataclass(frozen=True)
class Target:
    """One promise: `measure` answers the number that is held against `bound`, None when it was not measured."""

    case: str
    server: str  # the row beside which it is shown
    text: str
    bound: float
    at_least: bool
    measure: Callable[[Results], Optional[float]]


@dataclass(frozen=True)
class Verdict:
    target: Target
    value: float

    @property
    def passed(self) -> bool:
        return self.value >= self.target.bound if self.target.at_least else self.value <= self.target.bound


def ratio_to(results: Results, case: str, ours: str, theirs: str, what: str = "value") -> Optional[float]:
    """The middle one of the rounds' ratios; None without common rounds."""
    ratios = paired_ratios(results.by_round(case, ours, what), results.by_round(case, theirs, what))
    return spread(ratios).median if ratios else None


def tail_ratio(results: Results, case: str, server: str) -> Optional[float]:
    """p99 divided by p50: the middle one of the rounds."""
    ratios = paired_ratios(results.by_round(case, server, "p99_ms"), results.by_round(case, server, "p50_ms"))
    return spread(ratios).median if ratios else None


def median(results: Results, case: str, server: str) -> Optional[float]:
    values = results.values(case, server)
    return spread(values).median if values else None


def _throughput(case: str, peer: str) -> Target:
    return Target(case, peer, "req/s at least 1.5x", 1.5, True, lambda results: ratio_to(results, case, "sterna", peer))


def _row_throughput(row: str, case: str, peer: str, bound: float) -> Target:
    return Target(case, peer, f"{row} at least {bound:g}x", bound, True,
                  lambda results: ratio_to(results, case, row, peer))


def _cold_start(server: str, interpreter: str) -> Callable[[Results], Optional[float]]:
    def measure(results: Results) -> Optional[float]:
        ours, bare = median(results, "cold-start", server), median(results, "cold-start", interpreter)
        return ours / bare if ours is not None and bare else None

    return measure


def _cold_cost(results: Results) -> Optional[float]:
    """Milliseconds that the sandbox adds to a cold start: the middle one of the pairs."""
    walled, bare = results.by_round("cold-start", "sterna"), results.by_round("cold-start", UNWALLED)
    added = [walled[number] - bare[number] for number in walled.keys() & bare.keys()]
    return spread(added).median if added else None


def _cold_tail(results: Results) -> Optional[float]:
    values = results.values("cold-start", "sterna")
    return percentile(values, 99) / spread(values).median if values else None


def _at_most(case: str, server: str, bound: float, text: str) -> Target:
    return Target(case, server, text, bound, False, lambda results: median(results, case, server))


ACCEPTED_PER_SECOND = 20_000
QUEUES = ("jetstream", "redis stream", "sqlite insert")


def _acceptance(case: str) -> Callable[[Results], Optional[float]]:
    """1 when either is just reached: the absolute number, or 1.5 times the best of the other queues."""

    def measure(results: Results) -> Optional[float]:
        ours = median(results, case, "sterna")
        if ours is None:
            return None
        ratios = [ratio_to(results, case, "sterna", queue) for queue in QUEUES]
        worst = min((ratio for ratio in ratios if ratio is not None), default=0.0)
        return max(ours / ACCEPTED_PER_SECOND, worst / 1.5)

    return measure


def _accepts(case: str) -> Target:
    return Target(case, "sterna", "1: 20,000/s, or 1.5x the best", 1, True, _acceptance(case))


MILLION = "1,000,000 queued"

TARGETS = (
    Target("echo-64-c1", "nginx", "p50 at most 2.5x", 2.5, False,
           lambda results: ratio_to(results, "echo-64-c1", "sterna", "nginx", "p50_ms")),
    Target("echo-64-c32", "sterna", "p99 at most 5x p50", 5, False,
           lambda results: tail_ratio(results, "echo-64-c32", "sterna")),
    _throughput("echo-64-c32", "uvicorn"),
    _throughput("echo-64-c32", "node:http"),
    _throughput("echo-64-c256", "uvicorn"),
    _throughput("echo-64-c256", "node:http"),
    _row_throughput(GUARDED, "echo-64-c32", "sterna", 0.95),
    _row_throughput(GUARDED, "echo-64-c256", "sterna", 0.95),
    _row_throughput("sterna", "echo-64-c32", UNWALLED, 0.9),
    _row_throughput("sterna", "echo-64-c256", UNWALLED, 0.9),
    _row_throughput("sterna-node", "echo-64-c32", "node:http", 2),
    _row_throughput("sterna-node", "echo-64-c32", "fastify", 2),
    _row_throughput("sterna-node", "echo-64-c256", "node:http", 2),
    _row_throughput("sterna-node", "echo-64-c256", "fastify", 2),
    _row_throughput("sterna-cpp", "echo-64-c32", "nginx", 1),
    _row_throughput("sterna-cpp", "echo-64-c256", "nginx", 1),
    _row_throughput("sterna-http", "echo-64-c32", "nginx+node:http", 0.9),
    _row_throughput("sterna-http", "echo-64-c256", "nginx+node:http", 0.9),
    Target("cold-start", "python3 -c pass", "p50 at most 0.7x", 0.7, False,
           _cold_start("sterna", "python3 -c pass")),
    Target("cold-start", "sterna-node", "p50 at most 0.5x node -e 0", 0.5, False,
           _cold_start("sterna-node", "node -e 0")),
    Target("cold-start", "sterna-cpp", "p50 at most 0.3x node -e 0", 0.3, False,
           _cold_start("sterna-cpp", "node -e 0")),
    Target("cold-start", "sterna", "p99 at most 3x p50", 3, False, _cold_tail),
    Target("cold-start", UNWALLED, "sterna at most 15 ms more", 15, False, _cold_cost),
    _at_most("scale-up", "imports for 1 s", 100, "at most 100 ms"),
    *(Target("neighbour", hog, "p99 at most 3x", 3, False,
             lambda results, hog=hog: ratio_to(results, "neighbour", hog, "alone", "p99_ms"))
      for hog in ("beside a CPU hog", "beside a memory bomb", "beside a fork bomb")),
    *(Target(slow_attack.CASE, mode, "p99 below 3x", 3, False,
             lambda results, mode=mode: ratio_to(results, slow_attack.CASE, mode, slow_attack.ALONE, "p99_ms"))
      for mode in slow_attack.ATTACKS),
    _at_most("memory-idle", "sterna", 25, "at most 25 MiB"),
    _at_most("memory-replica", "sterna", 4, "at most 4 MiB"),
    _at_most("start-up", "1,000 functions", 2000, "at most 2,000 ms"),
    # "Unchanged", with room for what two medians differ by on a machine with other work.
    Target("lookup", "1 function", "at least 0.95x", 0.95, True,
           lambda results: ratio_to(results, "lookup", "1,000 functions", "1 function")),
    _accepts("async-accept-c64"),
    _accepts("async-accept-c256"),
    Target("async-end-to-end", "sterna", "at least 5,000/s", 5000, True,
           lambda results: median(results, "async-end-to-end", "sterna")),
    Target("async-one", "fdatasync", "p50 of a 202 at most 3x", 3, False,
           lambda results: ratio_to(results, "async-one", "sterna, 202", "fdatasync")),
    _at_most("async-one", "sterna, callback", 3, "p50 at most 3 ms"),
    _at_most("async-backlog-memory", MILLION, 200, "below 200 MiB"),
    Target("async-backlog-accept", "empty queue", "at least 0.8x", 0.8, True,
           lambda results: ratio_to(results, "async-backlog-accept", MILLION, "empty queue")),
    _at_most("async-backlog-start", MILLION, 3000, "under 3,000 ms"),
)


def judge(results: Results) -> list[Verdict]:
    """The verdicts of all targets that were measured."""
    found = ((target, target.measure(results)) for target in TARGETS)
    return [Verdict(target, value) for target, value in found if value is not None]
