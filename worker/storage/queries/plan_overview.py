"""How the tracking plan is: what is in force, and how many jobs did not keep to it lately."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from trackrelay.worker.storage import plans

#: What a worker counts that cannot read the plan; its machine is the subject.
UNREADABLE = "unreadable"

_COUNTS = sa.text("""
    SELECT action, sum(count) AS jobs FROM trackrelay_plan_violations
    WHERE version = ANY(CAST(:versions AS bigint[])) AND kind <> :unreadable
        AND day >= CAST(now() AT TIME ZONE 'UTC' AS date) - 1
    GROUP BY action
""")
_UNREADABLE = sa.text("""
    SELECT subject, max(actual) AS problem FROM trackrelay_plan_violations
    WHERE version = ANY(CAST(:versions AS bigint[])) AND kind = :unreadable
        AND last_seen > now() - interval '1 day'
    GROUP BY subject ORDER BY subject
""")


@dataclass(frozen=True, slots=True)
class PlanOverview:
    """All of it at one moment. Without a version, no plan is in force."""

    version: int | None = None
    name: str = ""
    #: The version before it, if that is in force as well.
    beside: int | None = None
    #: Violations since yesterday by what was done: ``warn``, ``fix``, ``dead_letter``.
    violations: Mapping[str, int] = field(default_factory=dict)
    #: Why a version cannot be read, by the machine of the worker.
    unreadable: Mapping[str, str] = field(default_factory=dict)


def plan_overview(connection: sa.Connection) -> PlanOverview:
    """Read it."""
    in_force = plans.in_force(connection)
    if not in_force:
        return PlanOverview()
    parameters = {"versions": [each.version for each in in_force], "unreadable": UNREADABLE}
    counts = connection.execute(_COUNTS, parameters)
    unreadable = connection.execute(_UNREADABLE, parameters)
    return PlanOverview(
        version=in_force[0].version,
        name=in_force[0].name,
        beside=in_force[1].version if len(in_force) > 1 else None,
        violations={row.action: int(row.jobs) for row in counts},
        unreadable={row.subject: row.problem for row in unreadable},
    )
