"""What ``status`` says about the tracking plan: a line, hints, and a part of the document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from trackrelay.worker.storage.queries.plan_overview import PlanOverview

from .snapshot import Snapshot

_DONE = {"warn": "delivered", "fix": "fixed", "dead_letter": "dead letters"}


def plan_hints(snapshot: Snapshot) -> Iterator[tuple[Literal["warning"], str, str]]:
    """Yield severity, text and command of each thing that is not right."""
    found = snapshot.postgres.plan if snapshot.postgres else PlanOverview()
    for machine, problem in found.unreadable.items():
        yield (
            "warning",
            f"A worker on {machine} cannot read the tracking plan, and delivers jobs as they are: "
            f"{problem.rstrip('.')}.",
            "trackrelay plan status",
        )


def plan_remark(found: PlanOverview) -> str:
    """Return the line of the screen."""
    beside = f" beside {found.beside}" if found.beside is not None else ""
    parts = [
        f"{found.violations[action]:,} {words}"
        for action, words in _DONE.items()
        if found.violations.get(action)
    ]
    violations = f"; violations since yesterday: {', '.join(parts)}" if parts else ""
    return f"{found.name}, version {found.version}{beside}{violations}"


def plan_document(found: PlanOverview) -> dict[str, Any] | None:
    """Return the part of the document. None: no plan is in force."""
    if found.version is None:
        return None
    return {
        "version": found.version,
        "name": found.name,
        "beside": found.beside,
        "violations_since_yesterday": {action: found.violations.get(action, 0) for action in _DONE},
        "unreadable": dict(found.unreadable),
    }
