"""The printed table: a row for each case and server, Sterna's ratio to it, and the target beside it. Pure."""

from typing import Optional, Sequence

from .results import Results
from .stats import paired_ratios, percentile, spread
from .targets import Verdict

HEADER = ("case", "server", "median", "unit", "spread", "p50 ms", "p99 ms", "sterna/it", "its spread", "target",
          "verdict")
LEFT = {0, 1, 3, 9, 10}  # columns of words; the others are numbers

# Whom the ratio column speaks of where it is not "sterna".
SUBJECTS = {"lookup": "1,000 functions", "start-up": "1,000 functions", "async-one": "sterna, 202",
            "async-backlog-accept": "1,000,000 queued", "http2-64-c32": "http/2"}


def number(value: float) -> str:
    """Three digits that matter, more for large numbers: 0.0812, 4.21, 34.5, 12,345."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def rows(results: Results, verdicts: Sequence[Verdict]) -> list[list[str]]:
    beside = {(verdict.target.case, verdict.target.server): verdict for verdict in verdicts}
    return [_row(results, case, server, beside.get((case, server)))
            for case in results.cases() for server in results.servers(case)]


def _row(results: Results, case: str, server: str, verdict: Optional[Verdict]) -> list[str]:
    samples = results.of(case, server)
    values = spread([sample.value for sample in samples])
    p50, p99 = _latencies(results, case, server)
    ratio, ratio_spread = _ratio(results, case, server)
    row = [case, server, number(values.median), samples[0].unit, _ends(values.low, values.high, values.count), p50, p99,
           ratio, ratio_spread]
    if verdict is None:
        return row + ["", ""]
    words = f"{'pass' if verdict.passed else 'FALLS SHORT'} ({verdict.value:.2f})"
    return row + [verdict.target.text, words]


def _ends(low: float, high: float, count: int) -> str:
    return f"{number(low)} – {number(high)}" if count > 1 else ""


def _latencies(results: Results, case: str, server: str) -> tuple[str, str]:
    """Medians of the rounds' percentiles for loads; the samples' own percentiles for repeated single times."""
    p50 = list(results.by_round(case, server, "p50_ms").values())
    p99 = list(results.by_round(case, server, "p99_ms").values())
    if p50 and p99:
        return f"{spread(p50).median:.3f}", f"{spread(p99).median:.3f}"
    samples = results.of(case, server)
    if samples[0].unit == "ms" and len(samples) >= 10:
        values = [sample.value for sample in samples]
        return number(percentile(values, 50)), number(percentile(values, 99))
    return "", ""


def _ratio(results: Results, case: str, server: str) -> tuple[str, str]:
    subject = SUBJECTS.get(case, "sterna")
    ratios = paired_ratios(results.by_round(case, subject), results.by_round(case, server))
    ours = results.of(case, subject)
    if server == subject or not ratios or ours[0].unit != results.of(case, server)[0].unit:
        return "", ""
    found = spread(ratios)
    return f"{found.median:.2f}x", _ends(found.low, found.high, found.count)


def render(header: Sequence[str], body: Sequence[Sequence[str]], left: set[int]) -> str:
    """Columns as wide as their widest cell, an empty line between cases (first column)."""
    widths = [max(len(row[column]) for row in [header, *body]) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = (cell.ljust(width) if column in left else cell.rjust(width)
                 for column, (cell, width) in enumerate(zip(row, widths)))
        return "  ".join(cells).rstrip()

    lines, previous = [line(header), "  ".join("-" * width for width in widths)], None
    for row in body:
        if previous is not None and row[0] != previous:
            lines.append("")
        lines.append(line(row))
        previous = row[0]
    return "\n".join(lines)


def table(results: Results, verdicts: Sequence[Verdict]) -> str:
    return render(HEADER, rows(results, verdicts), LEFT)
