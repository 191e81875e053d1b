"""What ``status`` says about findings about the data."""

from __future__ import annotations

from typing import Any

from trackrelay.worker.cli.common.humanize import count, listed
from trackrelay.worker.quality.all_rules import RULES
from trackrelay.worker.quality.rules import Severity

from .snapshot import Snapshot

#: Findings of these rules have hints of their own: refused calls and verdicts.
_TOLD_ELSEWHERE = "Q9"


def findings_by_severity(snapshot: Snapshot, but: str = "") -> dict[Severity, int]:
    """Return how many findings are open that are worth an action, the errors first.

    Args:
        snapshot: the state of the stores.
        but: findings of rules whose ids begin with this do not count.
    """
    counts = dict.fromkeys((Severity.ERROR, Severity.WARNING), 0)
    found = snapshot.postgres.findings if snapshot.postgres else {}
    for rule, number in found.items():
        # A newer version may know more rules.
        severity = RULES[rule].severity if rule in RULES else Severity.WARNING
        if severity in counts and not (but and rule.startswith(but)):
            counts[severity] += number
    return counts


def hint_text(snapshot: Snapshot) -> str:
    """Return one sentence about the findings; empty if there are none."""
    counts = findings_by_severity(snapshot, _TOLD_ELSEWHERE)
    parts = [count(number, severity.value) for severity, number in counts.items() if number]
    return f"The data has {listed(parts)}: segments and campaigns may be wrong." if parts else ""


def document(snapshot: Snapshot) -> dict[str, Any]:
    """Return the part of the document."""
    counts = findings_by_severity(snapshot)
    return {
        "errors": counts[Severity.ERROR],
        "warnings": counts[Severity.WARNING],
        "by_rule": snapshot.postgres.findings if snapshot.postgres else {},
    }
