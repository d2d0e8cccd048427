"""What Sterna's issue asks for, as data, and the verdicts. Pure."""

from dataclasses import dataclass
from typing import Callable, Optional

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


def _cold_start(results: Results) -> Optional[float]:
    ours, bare = median(results, "cold-start", "sterna"), median(results, "cold-start", "python3 -c pass")
    return ours / bare if ours is not None and bare else None


def _cold_tail(results: Results) -> Optional[float]:
    values = results.values("cold-start", "sterna")
    return percentile(values, 99) / spread(values).median if values else None


def _at_most(case: str, server: str, bound: float, text: str) -> Target:
    return Target(case, server, text, bound, False, lambda results: median(results, case, server))


TARGETS = (
    Target("echo-64-c1", "nginx", "p50 at most 2.5x", 2.5, False,
           lambda results: ratio_to(results, "echo-64-c1", "sterna", "nginx", "p50_ms")),
    Target("echo-64-c32", "sterna", "p99 at most 5x p50", 5, False,
           lambda results: tail_ratio(results, "echo-64-c32", "sterna")),
    _throughput("echo-64-c32", "uvicorn"),
    _throughput("echo-64-c32", "node:http"),
    _throughput("echo-64-c256", "uvicorn"),
    _throughput("echo-64-c256", "node:http"),
    Target("cold-start", "python3 -c pass", "p50 at most 0.7x", 0.7, False, _cold_start),
    Target("cold-start", "sterna", "p99 at most 3x p50", 3, False, _cold_tail),
    _at_most("memory-idle", "sterna", 25, "at most 25 MiB"),
    _at_most("memory-replica", "sterna", 4, "at most 4 MiB"),
    _at_most("start-up", "1,000 functions", 2000, "at most 2,000 ms"),
    # "Unchanged", with room for what two medians differ by on a machine with other work.
    Target("lookup", "1 function", "at least 0.95x", 0.95, True,
           lambda results: ratio_to(results, "lookup", "1,000 functions", "1 function")),
)


def judge(results: Results) -> list[Verdict]:
    """The verdicts of all targets that were measured."""
    found = ((target, target.measure(results)) for target in TARGETS)
    return [Verdict(target, value) for target, value in found if value is not None]
