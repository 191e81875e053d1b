"""What ``status`` says about verification: a line, hints, and a part of the document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from trackrelay.worker.cli.common.humanize import count, duration, listed
from trackrelay.worker.cli.common.output import moment
from trackrelay.worker.storage.queries.verification_overview import VerificationOverview

from .snapshot import Snapshot

#: Comparisons that are late by so much need a higher TRACKRELAY_VERIFY_RATE.
LATE_S = 3600.0
_LIST = "trackrelay verify --list"


def hint_texts(
    snapshot: Snapshot,
) -> Iterator[tuple[Literal["wrong", "warning", "note"], str, str]]:
    """Yield severity, text and command of each thing that is not right."""
    found = snapshot.postgres.verification if snapshot.postgres else None
    if found is None:
        return
    lost = [f"{found.count(kind):,} {kind}" for kind in ("ignored", "missing") if found.count(kind)]
    if lost:
        yield (
            "wrong",
            f"Customer.io accepted deliveries and does not have what they sent: {listed(lost)}.",
            _LIST,
        )
    if different := found.count("different"):
        what = count(different, "item")
        yield "warning", f"Customer.io has something else than was sent: {what}.", _LIST
    if found.problem:
        since = snapshot.age(found.problem_since)
        age = f" for {duration(since)}" if since is not None else ""
        yield (
            "warning",
            f"Deliveries are not verified{age}: {found.problem.rstrip('.')}.",
            ("trackrelay check"),
        )
    late_s = snapshot.age(found.next_due) if found.due else None
    if late_s is not None and late_s > LATE_S and not found.problem:
        yield (
            "note",
            f"Comparisons are {duration(late_s)} late: raise TRACKRELAY_VERIFY_RATE, or lower "
            "TRACKRELAY_VERIFY_SAMPLE.",
            "",
        )


def remark(found: VerificationOverview) -> str:
    """Return the line of the screen."""
    opened = [f"{number:,} {kind}" for kind, number in sorted(found.open.items())]
    parts = [f"{listed(opened)} open" if opened else "no verdict open"]
    parts.append(f"{found.verified_today:,} verified today")
    if found.due:
        parts.append(f"{count(found.due, 'comparison')} due")
    return "; ".join(parts)


def document(found: VerificationOverview) -> dict[str, Any]:
    """Return the part of the document."""
    return {
        "open": {
            kind: found.count(kind) for kind in ("ignored", "missing", "different", "unknown")
        },
        "verified_today": found.verified_today,
        "verified_30_days": found.verified,
        "due": found.due,
        "oldest_due": moment(found.next_due) if found.due else None,
        "last_run": moment(found.last_run),
        "problem": found.problem or None,
    }
