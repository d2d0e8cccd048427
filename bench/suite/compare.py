"""Compares a run with an older one by what does not swing: ratios within each run, memory, instructions."""

from typing import Optional

from .results import Results
from .table import SUBJECTS, number, render
from .targets import median, ratio_to

HEADER = ("case", "measure", "old", "new", "new/old")
ABSOLUTE = ("MiB", "instr/req")


def rows(old: Results, new: Results) -> list[list[str]]:
    """What both runs hold. Times and requests a second appear only as ratios to a server of the same run."""
    found = []
    for case in new.cases():
        subject = SUBJECTS.get(case, "sterna")
        for server in new.servers(case):
            if server == subject or case.startswith("memory"):
                continue
            found.append(_row(case, f"{subject} / {server}", ratio_to(old, case, subject, server),
                              ratio_to(new, case, subject, server)))
        if new.of(case, subject) and new.of(case, subject)[0].unit in ABSOLUTE:
            found.append(_row(case, f"{subject}, {new.of(case, subject)[0].unit}", median(old, case, subject),
                              median(new, case, subject)))
    return [row for row in found if row is not None]


def _row(case: str, measure: str, old: Optional[float], new: Optional[float]) -> Optional[list[str]]:
    if not old or new is None:
        return None
    return [case, measure, number(old), number(new), f"{new / old:.2f}x"]


def comparison(old: Results, new: Results) -> str:
    body = rows(old, new)
    return render(HEADER, body, {0, 1}) if body else "The two runs have nothing in common to compare."
