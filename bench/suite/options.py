"""The command line of bench/run."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence

from .async_calls import CASES as ASYNC_CASES
from .functions import FUNCTIONS, GUARDED, UNWALLED
from .peers import PEERS
from .queues import QUEUES
from .throughput import CASES

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SERVERS = (*FUNCTIONS, GUARDED, UNWALLED, *PEERS, *QUEUES)
OTHER_CASES = ("memory", "cold-start", "scale-up", "neighbour", "slow-attack", "http2-64-c32", "many-functions", "instructions")
ALL_CASES = (*CASES, *OTHER_CASES, *ASYNC_CASES)


@dataclass(frozen=True)
class Options:
    servers: tuple[str, ...]
    cases: tuple[str, ...]
    rounds: int
    seconds: int
    cold_starts: int
    scale_ups: int
    single_calls: int  # async-one, in each round
    backlog: int
    sterna: Path
    out: Path
    compare: Optional[Path]

    @property
    def loads(self) -> list[str]:
        return [case for case in self.cases if case in CASES]


def select(only: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Servers and cases of a comma-separated list; a kind that is not named is not restricted. Raises ValueError."""
    wanted = [word.strip() for word in only.split(",") if word.strip()]
    unknown = [word for word in wanted if word not in SERVERS and word not in ALL_CASES]
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)} (known: {', '.join((*SERVERS, *ALL_CASES))})")
    servers = tuple(name for name in SERVERS if name in wanted) or SERVERS
    cases = tuple(name for name in ALL_CASES if name in wanted) or ALL_CASES
    return servers, cases


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def parse(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="bench/run", description="Measures Sterna and its peers side by side.")
    parser.add_argument("--rounds", type=_positive, help="interleaved rounds (5)")
    parser.add_argument("--seconds", type=_positive, help="length of one measurement (2)")
    parser.add_argument("--quick", action="store_true", help="1 round of 1 s, few samples: does it all work?")
    parser.add_argument("--only", default="", metavar="LIST", help=f"servers and cases, with commas, of: "
                        f"{', '.join((*SERVERS, *ALL_CASES))}")
    parser.add_argument("--backlog", type=_positive, help="queued calls of async-backlog (1,000,000)")
    parser.add_argument("--sterna", type=Path, default=REPOSITORY / "build/sterna", help="the program (build/sterna)")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build/bench", help="folder of results (build/bench)")
    parser.add_argument("--compare", type=Path, metavar="OLD.jsonl", help="an older result to compare the ratios with")
    found = parser.parse_args(arguments)
    try:
        servers, cases = select(found.only)
    except ValueError as error:
        parser.error(str(error))
    if "sterna" in servers and not found.sterna.exists():
        parser.error(f"{found.sterna} is not there: build it (make build), or leave it out with --only")
    return Options(servers, cases, rounds=found.rounds or (1 if found.quick else 5),
                   seconds=found.seconds or (1 if found.quick else 2), cold_starts=5 if found.quick else 50,
                   scale_ups=3 if found.quick else 20,
                   single_calls=100 if found.quick else 500,
                   backlog=found.backlog or (20_000 if found.quick else 1_000_000),
                   sterna=found.sterna.resolve(), out=found.out, compare=found.compare)
