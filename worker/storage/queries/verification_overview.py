"""How verification is: open verdicts, what waits to be compared, and whether it works at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

_OVERVIEW = sa.text("""
    SELECT
        (SELECT jsonb_object_agg(verdict, number) FROM (
            SELECT verdict, count(*) AS number FROM trackrelay_verdicts
            WHERE state = 'open' GROUP BY verdict) AS counted) AS open,
        (SELECT count(*) FROM trackrelay_sent WHERE due_at <= now()) AS due,
        (SELECT CAST(extract(epoch FROM min(due_at)) AS float8) FROM trackrelay_sent) AS next_due,
        EXISTS (SELECT 1 FROM trackrelay_sent) AS remembers,
        (SELECT value FROM trackrelay_state WHERE name = 'verified') AS verified,
        (SELECT value FROM trackrelay_state WHERE name = 'verification') AS run,
        to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS today
""")
# An item is named `attribute:NAME`, `event:NAME:ID`, `relationship:KEY` …: only names of attributes
# and events say nothing about anybody.
_BY_ITEM = sa.text("""
    SELECT verdict,
        CASE split_part(item, ':', 1)
            WHEN 'attribute' THEN item
            WHEN 'event' THEN 'event:' || split_part(item, ':', 2)
            ELSE split_part(item, ':', 1) END AS item,
        count(*) AS number,
        CAST(extract(epoch FROM min(checked_at)) AS float8) AS since,
        array_agg(DISTINCT coalesce(l.source, '')) AS sources,
        (array_agg(v.job_id ORDER BY v.checked_at DESC) FILTER (WHERE v.job_id IS NOT NULL))[1:3]
            AS jobs
    FROM trackrelay_verdicts v LEFT JOIN LATERAL (
        SELECT source FROM trackrelay_ledger WHERE id = v.job_id LIMIT 1) l ON true
    WHERE v.state = 'open' AND v.verdict IN ('ignored', 'missing')
    GROUP BY 1, 2 ORDER BY 3 DESC LIMIT :limit
""")
#: Kinds of items that are told apart.
MAX_ITEMS = 200


@dataclass(frozen=True, slots=True)
class OpenVerdicts:
    """Open verdicts on one attribute, one event, or another kind of item."""

    verdict: str
    item: str
    count: int
    #: When the first of them was found, in unix seconds.
    since: float
    sources: tuple[str, ...]
    jobs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerificationOverview:
    """Everything, at one moment. Times are unix seconds."""

    #: Open verdicts by kind.
    open: dict[str, int] = field(default_factory=dict)
    #: People and objects whose time to be compared has come.
    due: int = 0
    #: When the first of them was due; in the future if none is.
    next_due: float | None = None
    #: Whether anything is remembered.
    remembers: bool = False
    #: Items that were verified today, and in the last thirty days.
    verified_today: int = 0
    verified: int = 0
    #: Why nothing can be compared, or "".
    problem: str = ""
    problem_since: float | None = None
    #: When the last run was.
    last_run: float | None = None

    @property
    def is_used(self) -> bool:
        """Whether verification is on, or was."""
        return bool(self.remembers or self.open or self.last_run)

    def count(self, verdict: str) -> int:
        """Return how many verdicts of a kind are open."""
        return self.open.get(verdict, 0)


def verification_overview(connection: sa.Connection) -> VerificationOverview:
    """Return how verification is."""
    row = connection.execute(_OVERVIEW).one()
    run: dict[str, Any] = row.run or {}
    verified: dict[str, int] = row.verified or {}
    return VerificationOverview(
        open={kind: int(number) for kind, number in (row.open or {}).items()},
        due=row.due,
        next_due=row.next_due,
        remembers=row.remembers,
        verified_today=int(verified.get(row.today, 0)),
        verified=sum(map(int, verified.values())),
        problem=str(run.get("problem") or ""),
        problem_since=run.get("since"),
        last_run=run.get("at"),
    )


def open_verdicts(connection: sa.Connection) -> list[OpenVerdicts]:
    """Return what is open about what Customer.io does not have, the most frequent first."""
    return [
        OpenVerdicts(
            row.verdict,
            row.item,
            row.number,
            row.since,
            tuple(sorted(row.sources)),
            tuple(row.jobs or ()),
        )
        for row in connection.execute(_BY_ITEM, {"limit": MAX_ITEMS})
    ]
