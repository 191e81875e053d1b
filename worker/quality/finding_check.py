"""Check the data now: read what is known of it, and return all that is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import redis
import sqlalchemy as sa

from trackrelay.worker.queue import failed_calls
from trackrelay.worker.storage import finding_records
from trackrelay.worker.storage.finding_records import FindingRecord
from trackrelay.worker.storage.queries.catalog_query import catalog_days, catalog_rows
from trackrelay.worker.storage.queries.identity_query import identities
from trackrelay.worker.storage.queries.verification_overview import open_verdicts

from .all_rules import findings, worst_first
from .catalog import catalog_of
from .catalog_observer import OBSERVED
from .delivery_rules import delivery_findings
from .identity_rules import identity_findings
from .plan_findings import findings_about_plan
from .rules import Finding, Severity

#: The longest time of a statement: a check runs beside delivery.
TIMEOUT_MS = 30_000


@dataclass(frozen=True, slots=True)
class FindingCheck:
    """What a check found."""

    #: When it began, in unix seconds.
    at: float
    #: The worst first.
    findings: list[Finding]
    #: What is remembered of each, by its key.
    records: dict[str, FindingRecord]
    #: Whether anything was observed at all.
    has_catalog: bool

    def renewed(self, connection: sa.Connection) -> Self:
        """Return the same findings with what is remembered of them now."""
        records = finding_records.read_open(connection)
        still = [each for each in self.findings if each.key in records]
        return replace(self, findings=still, records=records)

    def reported(self, now: float) -> list[Finding]:
        """Return the findings that somebody should do something about: not those acknowledged."""
        return [
            each
            for each in self.findings
            if each.severity != Severity.INFO and not self.records[each.key].is_acknowledged(now)
        ]


def check_data(connection: sa.Connection, client: redis.Redis, now: float) -> FindingCheck:
    """Return what is wrong with the data, and remember it.

    Args:
        connection: of the workers' database; the caller commits.
        client: of the queue.
        now: unix seconds.

    Raises:
        RedisError: the refused calls cannot be read.
    """
    connection.execute(sa.text(f"SET LOCAL statement_timeout = {TIMEOUT_MS}"))
    catalog = catalog_of(catalog_rows(connection), catalog_days(connection, OBSERVED))
    found = worst_first(
        [
            *findings(catalog, now),
            *identity_findings(identities(connection), catalog),
            *findings_about_plan(connection, catalog, now),
            *delivery_findings(failed_calls.read(client, now), open_verdicts(connection)),
        ]
    )
    records = finding_records.record(connection, {each.key: each.rule.id for each in found})
    return FindingCheck(now, found, records, bool(catalog.subjects))
