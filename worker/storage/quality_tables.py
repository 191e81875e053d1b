"""The tables of verification: what was sent, and the verdicts on it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import BigInteger, Identity, Index, Integer, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from .table_parts import METADATA, moment

#: What was sent to Customer.io of remembered subjects: digests, never values.
SENT = sa.Table(
    "trackrelay_sent",
    METADATA,
    sa.Column("key", Text, primary_key=True),
    sa.Column(
        "address",
        JSONB,
        nullable=False,
        doc="The identifier with which the App API finds it. "
        "The row lives for `TRACKRELAY_VERIFY_WINDOW`.",
    ),
    sa.Column(
        "items",
        JSONB,
        nullable=False,
        doc="By the item's name: a keyed digest of what was sent, its type, job and times.",
    ),
    moment("due_at", doc="When it is compared next. NULL: every item has a verdict."),
    sa.Column(
        "tries",
        Integer,
        server_default=text("0"),
        nullable=False,
        doc="How often in a row the App API could not be asked.",
    ),
    moment("last_sent_at", nullable=False, doc="When the latest of the items was delivered."),
    Index("ix_trackrelay_sent_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    Index("ix_trackrelay_sent_last_sent_at", "last_sent_at"),
    info={"doc": "What was sent of people and objects whose deliveries are verified."},
)

#: What became of what was sent.
VERDICTS = sa.Table(
    "trackrelay_verdicts",
    METADATA,
    sa.Column("id", BigInteger, Identity(), primary_key=True),
    sa.Column("job_id", String(26, collation="C"), doc="NULL: no job of ours is known."),
    sa.Column("key", Text, nullable=False),
    sa.Column("operation", Text),
    sa.Column("item", Text, nullable=False, doc="`exists`, `attribute:NAME`, `event:NAME` …"),
    sa.Column("verdict", Text, nullable=False, doc="A `trackrelay.worker.reasons.VerdictKind`."),
    sa.Column("reason", Text, nullable=False, doc="The words of Customer.io, or ours."),
    sa.Column("activity_id", Text, doc="Customer.io's id of the complaint. Each counts once."),
    moment("checked_at", nullable=False, doc="When it was compared, or the complaint read."),
    sa.Column("state", String(10), nullable=False, doc="``open`` or ``resolved``."),
    sa.Column("resolved_by", Text, doc="Who resolved it, or what."),
    Index(
        "ix_trackrelay_verdicts_open",
        "key",
        "item",
        unique=True,
        postgresql_where=text("state = 'open'"),
    ),
    Index("ix_trackrelay_verdicts_activity_id", "activity_id", unique=True),
    Index(None, "checked_at"),
    Index(None, "job_id"),
    info={"doc": "What became of deliveries, as comparisons and Customer.io's complaints say."},
)
