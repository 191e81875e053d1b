"""Read the report of a rehearsal: one JSON line for each assertion that held."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

#: What holds a message back because of what happened, such as a purchase.
SUPPRESSED = "unless"


class ReportError(ValueError):
    """A line is not what an assertion writes."""


Counts = dict[str, tuple[int, int]]


def read_report(lines: Iterable[str]) -> tuple[Counts, Counts]:
    """Return campaigns and segments with how often each assertion held.

    For a campaign, these are messages sent, and messages held back by its ``unless``. For a
    segment, people inside and people outside.

    Raises:
        ReportError: a line is not what an assertion writes.
    """
    campaigns: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    segments: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match _document(line):
            case {"campaign": str(name), "sent": bool(sent), "why": str(why)}:
                campaigns[name][0] += sent
                campaigns[name][1] += not sent and why == SUPPRESSED
            case {"segment": str(name), "inside": bool(inside)}:
                segments[name][0] += inside
                segments[name][1] += not inside
            case _:
                raise ReportError(f"line {number} is no line of a rehearsal's report")
    return (
        {name: (sent, held) for name, (sent, held) in campaigns.items()},
        {name: (inside, outside) for name, (inside, outside) in segments.items()},
    )


def _document(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
