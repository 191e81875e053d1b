"""The tables in Postgres, all with names that begin with ``trackrelay_``.

The tables of jobs are specified column by column; see :mod:`.columns`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Index, text

from .act_tables import ACTS
from .catalog_tables import CATALOG, CATALOG_DAYS, FINDINGS, IDENTITIES
from .columns import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DOCUMENT,
    HISTORY,
    INTEGER,
    INTEGERS,
    JOB_ID,
    MOMENT,
    MOMENT_OR_ZERO,
    SMALLINT,
    TEXT,
    TEXTS,
    UNCHECKED_TEXT,
    Column,
    ColumnSet,
    short_text,
)
from .fleet_tables import FORGOTTEN, INCIDENTS, SHARDS, STATE
from .metric_tables import ALERTS, COUNTERS
from .plan_tables import PLAN_VIOLATIONS, PLANS
from .quality_tables import SENT, VERDICTS
from .table_parts import METADATA

__all__ = [
    "ACTS",
    "ALERTS",
    "BACKLOG",
    "CATALOG",
    "CATALOG_DAYS",
    "COUNTERS",
    "DEAD_LETTERS",
    "FINDINGS",
    "FORGOTTEN",
    "IDENTITIES",
    "INCIDENTS",
    "LEDGER",
    "METADATA",
    "PLANS",
    "PLAN_VIOLATIONS",
    "SENT",
    "SHARDS",
    "STATE",
    "VERDICTS",
    "VERSION_TABLE",
]

VERSION_TABLE = "trackrelay_alembic_version"


def _partial(column: str) -> dict[str, Any]:
    return {"postgresql_where": text(f"{column} IS NOT NULL")}


# Columns of several tables.
_OPERATION = Column("operation", TEXT, "job.operation", field="operation")
_SOURCE = Column("source", TEXT, "job.source", field="source", nullable=True)
_IDEMPOTENCY_KEY = Column(
    "idempotency_key", TEXT, "job.idempotency_key", field="idempotency_key", nullable=True
)
_TRACE = Column("trace", TEXT, "job.trace", field="trace", nullable=True)
_LANE = Column("lane", short_text(4), "job.lane")
_BODY = Column("body", DOCUMENT, "job.body", field="body")
_ENQUEUED_AT = Column("enqueued_at", MOMENT, "job.enqueued_at", field="enqueued_at")
_ATTEMPTS = Column("attempts", SMALLINT, "job.attempts", field="attempts")
_PLAN_NOTE = Column(
    "plan_note",
    TEXT,
    "job.plan_note",
    field="plan_note",
    nullable=True,
    doc="What the tracking plan fixed in it: names and types, never values.",
)
_KEY = Column("key", TEXT, "job.first_key")
_OTHER_KEY = Column(
    "other_key",
    TEXT,
    "job.second_key",
    nullable=True,
    doc="The second key of a merge, or of an identify with an anonymous id.",
)

#: The ledger: one row for each delivered job, without its payload.
LEDGER = ColumnSet(
    "trackrelay_ledger",
    "One row for each job that was delivered, or dropped for a forgotten person. No payload.",
    Column("id", JOB_ID, "job.id", primary_key=True),
    _KEY,
    _OTHER_KEY,
    _OPERATION,
    _SOURCE,
    _IDEMPOTENCY_KEY,
    _ENQUEUED_AT,
    Column("delivered_at", MOMENT, sql="now()", doc="When it was delivered, or dropped."),
    replace(
        _ATTEMPTS, sql="attempts + 1", doc="The attempts that failed, and the one that succeeded."
    ),
    Column(
        "outcome",
        short_text(10),
        default="'delivered'",
        doc="``delivered``; of a forgotten person also ``blocked`` or ``erased``: not delivered.",
    ),
    _PLAN_NOTE,
    Column(
        "period",
        INTEGER,
        "period",
        default="0",
        doc="In which partition it is: a day since 1970, negative if the id has no time.",
    ),
)
LEDGER.table(
    METADATA,
    Index(None, "key", "enqueued_at"),
    Index(None, "other_key", **_partial("other_key")),
    Index(None, "idempotency_key", **_partial("idempotency_key")),
    Index(None, "delivered_at", postgresql_using="brin"),
    Index(
        "ix_trackrelay_ledger_removals",
        "delivered_at",
        postgresql_where=text("operation IN ('person.delete', 'person.suppress')"),
    ),
)

#: The backlog: jobs that could not be delivered yet, one row for each of their keys.
#: Written from a `BacklogItem` and its job, loaded as a `Job`.
BACKLOG = ColumnSet(
    "trackrelay_backlog",
    "A job that could not be delivered yet: one row for each of its keys.",
    Column("job_id", JOB_ID, "job.id", field="id", primary_key=True),
    Column("key", TEXT, "key", primary_key=True),
    Column("shard", INTEGER, "shard"),
    _LANE,
    Column(
        "position",
        BIGINT,
        "position",
        doc="The order within the shard's lane. Its holder gives it in stream order.",
    ),
    Column(
        "due_at",
        MOMENT,
        nullable=True,
        doc="When the job may be tried. Only the first row of a key has it.",
    ),
    Column(
        "not_before",
        MOMENT_OR_ZERO,
        "item.not_before",
        changes=True,
        nullable=True,
        doc="The earliest due time that the row gets once it is the first of its key.",
    ),
    Column(
        "sends",
        BOOLEAN,
        "is_primary",
        doc="Whether this row's shard sends the job: the shard of its first key does.",
    ),
    Column(
        "parts",
        SMALLINT,
        "job.key_count",
        doc="How many rows the job has. It is due when all of them are.",
    ),
    Column("keys", TEXTS, "job.keys", field="keys"),
    Column("shards", INTEGERS, "job.shards", field="shards"),
    _OPERATION,
    Column(
        "family",
        short_text(10),
        "job.family",
        default="'v2'",
        doc="The endpoints that deliver it; see `trackrelay.worker.endpoint_families`.",
    ),
    _SOURCE,
    _IDEMPOTENCY_KEY,
    _TRACE,
    _BODY,
    _ENQUEUED_AT,
    Column("age_from", MOMENT, "job.age_from", field="age_from"),
    Column("since", MOMENT, sql="now()"),
    Column("reason", TEXT, "item.reason", changes=True, doc="Why it waits."),
    Column("error", UNCHECKED_TEXT, "item.error", changes=True, nullable=True),
    Column("status", SMALLINT, "item.status", changes=True, nullable=True),
    replace(_ATTEMPTS, changes=True),
    Column("max_batch", SMALLINT, "job.max_batch", field="max_batch", changes=True),
    Column(
        "failed_at", MOMENT_OR_ZERO, "job.failed_at", field="failed_at", changes=True, nullable=True
    ),
    Column("replayed", BOOLEAN, "job.replayed", field="replayed"),
    Column(
        "behind",
        BIGINT,
        "item.after_entry",
        nullable=True,
        doc="The last stream entry before a replay with two keys; see `replay_positions`.",
    ),
    Column(
        "history",
        HISTORY,
        "item.history",
        changes=True,
        doc="Every attempt that counted against it.",
    ),
    replace(_PLAN_NOTE, changes=True),
)
BACKLOG.table(
    METADATA,
    Index(None, "shard", "lane", "key", "position"),
    Index("ix_trackrelay_backlog_due", "shard", "lane", "family", "position", **_partial("due_at")),
    Index(
        "ix_trackrelay_backlog_two_keys",
        "due_at",
        postgresql_where=text("parts > 1 AND due_at IS NOT NULL"),
    ),
    Index("ix_trackrelay_backlog_behind", "shard", "key", **_partial("behind")),
    Index(None, "idempotency_key", **_partial("idempotency_key")),
)

#: Dead letters: jobs that cannot succeed as they are.
#: Written from a `NewDeadLetter` and its job, loaded as a `DeadLetter`.
DEAD_LETTERS = ColumnSet(
    "trackrelay_dead_letters",
    "Jobs that cannot succeed as they are.",
    Column("job_id", JOB_ID, "job.id", field="id", primary_key=True),
    _KEY,
    _OTHER_KEY,
    _OPERATION,
    _SOURCE,
    _IDEMPOTENCY_KEY,
    _TRACE,
    replace(_LANE, field="lane", changes=True),
    replace(
        _BODY,
        value="letter.body",
        changes=True,
        nullable=True,
        doc="NULL when the entry could not be decoded. Then `raw` has the stream entry's bytes.",
    ),
    Column(
        "raw",
        BYTES,
        "letter.raw",
        field="raw",
        nullable=True,
        doc="The bytes of a stream entry that could not be decoded.",
    ),
    Column(
        "reason",
        TEXT,
        "letter.reason",
        field="reason",
        changes=True,
        doc="A `trackrelay.worker.reasons.DeathReason`, such as ``rejected`` or ``expired``.",
    ),
    Column(
        "error",
        UNCHECKED_TEXT,
        "letter.error",
        field="error",
        changes=True,
        nullable=True,
        doc="The words of Customer.io, or ours.",
    ),
    Column(
        "field",
        UNCHECKED_TEXT,
        "letter.field",
        field="field",
        changes=True,
        nullable=True,
        doc="The field that Customer.io named.",
    ),
    Column("status", SMALLINT, "letter.status", field="status", changes=True, nullable=True),
    _ATTEMPTS,
    Column(
        "state",
        short_text(10),
        sql="'open'",
        field="state",
        changes=True,
        doc="``open``, ``replaying``, ``delivered`` or ``discarded``.",
    ),
    _ENQUEUED_AT,
    Column("died_at", MOMENT, sql="now()", field="died_at", changes=True),
    Column("updated_at", MOMENT, sql="now()", field="updated_at", changes=True),
    Column(
        "history",
        HISTORY,
        "letter.history",
        field="history",
        changes=True,
        doc="Attempts, replays and repairs, oldest first: what, when and by whom.",
    ),
    replace(_PLAN_NOTE, changes=True),
)
DEAD_LETTERS.table(
    METADATA,
    Index(None, "state", "reason", "died_at"),
    Index(None, "key"),
    Index(None, "idempotency_key", **_partial("idempotency_key")),
)
