"""The bench's results: samples, kept as JSON lines so that a later run can be compared with this one."""

import json
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Callable, Iterable, Optional


@dataclass(frozen=True)
class Sample:
    """One measurement. Units: `req/s` and `calls/s` (with p50_ms and p99_ms), `ms`, `MiB`, `instr/req`, `calls`."""

    case: str
    server: str
    round: int
    unit: str
    value: float
    p50_ms: Optional[float] = None
    p99_ms: Optional[float] = None


@dataclass
class Results:
    """All samples of a run, and where it was run. Not shared between threads."""

    meta: dict = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    on_add: Callable[[Sample], None] = lambda sample: None

    def add(self, sample: Sample) -> None:
        self.samples.append(sample)
        self.on_add(sample)

    def cases(self) -> list[str]:
        return list(dict.fromkeys(sample.case for sample in self.samples))

    def servers(self, case: str) -> list[str]:
        return list(dict.fromkeys(sample.server for sample in self.samples if sample.case == case))

    def of(self, case: str, server: str) -> list[Sample]:
        return [sample for sample in self.samples if (sample.case, sample.server) == (case, server)]

    def values(self, case: str, server: str) -> list[float]:
        return [sample.value for sample in self.of(case, server)]

    def by_round(self, case: str, server: str, what: str = "value") -> dict[int, float]:
        """`what` of each round: value, p50_ms or p99_ms. Several samples of one round: the last."""
        found = {sample.round: getattr(sample, what) for sample in self.of(case, server)}
        return {number: value for number, value in found.items() if value is not None}


def to_lines(results: Results) -> Iterable[str]:
    yield json.dumps({"kind": "run", **results.meta})
    for sample in results.samples:
        yield json.dumps({"kind": "sample", **{k: v for k, v in asdict(sample).items() if v is not None}})


def write(results: Results, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in to_lines(results)), encoding="utf-8")


def read(path: Path) -> Results:
    """Raises OSError when the file cannot be read, ValueError when it does not hold results."""
    results = Results()
    lines = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if not isinstance(record, dict) or record.get("kind") not in ("run", "sample"):
            raise ValueError(f"{path} does not hold bench results")
        lines[record.pop("kind")].append(record)
    results.meta = lines["run"][0] if lines["run"] else {}
    try:
        results.samples = [Sample(**record) for record in lines["sample"]]
    except TypeError as error:
        raise ValueError(f"{path} does not hold bench results: {error}") from error
    return results
