"""The tables. Everything in Postgres that is ours begins with ``trackrelay_``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

VERSION_TABLE = "trackrelay_alembic_version"

JobId = String(26, collation="C")
Moment = DateTime(timezone=True)


class Base(DeclarativeBase):
    """The base of every table of the workers."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Shard(Base):
    """One row a shard: the number of its latest holder, the next position in its backlog, whether it is paused."""

    __tablename__ = "trackrelay_shards"

    shard: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    #: Counts holders; a holder whose number is not here any more settles nothing.
    fence: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    #: The lease token of the latest holder: after a failover that lost commits, Postgres can give a fence out twice.
    holder: Mapped[str | None] = mapped_column(Text)
    next_position: Mapped[int] = mapped_column(BigInteger, server_default=text("1"))
    paused_at: Mapped[datetime | None] = mapped_column(Moment)


class State(Base):
    """Single facts: since when delivery is possible, the secret that keys are hashed with."""

    __tablename__ = "trackrelay_state"

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    value: Mapped[Any] = mapped_column(JSONB)
    updated_at: Mapped[datetime] = mapped_column(Moment, server_default=text("now()"))


class IncidentRow(Base):
    """A loss of jobs, kept until somebody acknowledges it and after."""

    __tablename__ = "trackrelay_incidents"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    #: An `incidents.Kind`.
    kind: Mapped[str] = mapped_column(Text)
    #: The generation of the queue that lost jobs.
    generation: Mapped[str] = mapped_column(Text)
    #: When the queue's content was last known, and when the loss was noticed.
    since: Mapped[datetime | None] = mapped_column(Moment)
    until: Mapped[datetime] = mapped_column(Moment)
    #: Up to this moment a holder may still settle what it had in hand.
    count_until: Mapped[datetime] = mapped_column(Moment)
    #: What the streams held when it was last known.
    streams: Mapped[Any] = mapped_column(JSONB, nullable=True)
    #: How many of those were settled afterwards, at least and at most.
    settled_low: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    settled_high: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    #: How many of those an outbox still had.
    relayed_again: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    at_least: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    #: None: not known.
    at_most: Mapped[int | None] = mapped_column(BigInteger)
    counted_at: Mapped[datetime | None] = mapped_column(Moment)
    acknowledged_at: Mapped[datetime | None] = mapped_column(Moment)
    acknowledged_by: Mapped[str | None] = mapped_column(Text)


class LedgerRow(Base):
    """One row for each delivered job. No payload."""

    __tablename__ = "trackrelay_ledger"

    id: Mapped[str] = mapped_column(JobId, primary_key=True)
    key: Mapped[str] = mapped_column(Text)
    #: The second key of a merge, or of an identify with an anonymous id.
    other_key: Mapped[str | None] = mapped_column(Text)
    operation: Mapped[str] = mapped_column(Text)
    source: Mapped[str | None] = mapped_column(Text)
    idempotency_key: Mapped[str | None] = mapped_column(Text)
    enqueued_at: Mapped[datetime] = mapped_column(Moment)
    delivered_at: Mapped[datetime] = mapped_column(Moment)
    attempts: Mapped[int] = mapped_column(SmallInteger)

    __table_args__ = (
        Index(None, "key", "enqueued_at"),
        Index(None, "other_key", postgresql_where=text("other_key IS NOT NULL")),
        Index(None, "idempotency_key", postgresql_where=text("idempotency_key IS NOT NULL")),
        Index(None, "delivered_at", postgresql_using="brin"),
    )


class BacklogRow(Base):
    """A job that could not be delivered yet: a row for each of its keys."""

    __tablename__ = "trackrelay_backlog"

    job_id: Mapped[str] = mapped_column(JobId, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    shard: Mapped[int] = mapped_column(Integer)
    lane: Mapped[str] = mapped_column(String(4))
    #: The order within the shard's lane, given by its holder in stream order.
    position: Mapped[int] = mapped_column(BigInteger)
    #: Set once the row is the first of its key: when it may be tried.
    due_at: Mapped[datetime | None] = mapped_column(Moment)
    #: Not to be tried sooner, even when first.
    not_before: Mapped[datetime | None] = mapped_column(Moment)
    #: Whether this row's shard sends the job (the shard of its first key does).
    sends: Mapped[bool] = mapped_column(Boolean)
    #: How many rows the job has; it is due when it is due in all of them.
    parts: Mapped[int] = mapped_column(SmallInteger)
    keys: Mapped[list[str]] = mapped_column(ARRAY(Text))
    shards: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    operation: Mapped[str] = mapped_column(Text)
    #: The endpoints that deliver it; see `trackrelay.worker.endpoint_families`.
    family: Mapped[str] = mapped_column(String(10), server_default=text("'v2'"))
    source: Mapped[str | None] = mapped_column(Text)
    idempotency_key: Mapped[str | None] = mapped_column(Text)
    trace: Mapped[str | None] = mapped_column(Text)
    body: Mapped[Any] = mapped_column(JSON)
    enqueued_at: Mapped[datetime] = mapped_column(Moment)
    age_from: Mapped[datetime] = mapped_column(Moment)
    since: Mapped[datetime] = mapped_column(Moment)
    #: Why it waits.
    reason: Mapped[str] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    status: Mapped[int | None] = mapped_column(SmallInteger)
    attempts: Mapped[int] = mapped_column(SmallInteger)
    max_batch: Mapped[int] = mapped_column(SmallInteger)
    failed_at: Mapped[datetime | None] = mapped_column(Moment)
    replayed: Mapped[bool] = mapped_column(Boolean)
    #: Of a replay with keys in two shards: the number of the last stream entry that comes before it here.
    behind: Mapped[int | None] = mapped_column(BigInteger)
    #: Every attempt that counted against it.
    history: Mapped[Any] = mapped_column(JSONB)

    __table_args__ = (
        Index(None, "shard", "lane", "key", "position"),
        Index(
            "ix_trackrelay_backlog_due",
            "shard",
            "lane",
            "family",
            "position",
            postgresql_where=text("due_at IS NOT NULL"),
        ),
        Index(
            "ix_trackrelay_backlog_two_keys",
            "due_at",
            postgresql_where=text("parts > 1 AND due_at IS NOT NULL"),
        ),
        Index(
            "ix_trackrelay_backlog_behind",
            "shard",
            "key",
            postgresql_where=text("behind IS NOT NULL"),
        ),
        Index(None, "idempotency_key", postgresql_where=text("idempotency_key IS NOT NULL")),
    )


class DeadLetterRow(Base):
    """A job that will never succeed as it is."""

    __tablename__ = "trackrelay_dead_letters"

    job_id: Mapped[str] = mapped_column(JobId, primary_key=True)
    key: Mapped[str] = mapped_column(Text)
    other_key: Mapped[str | None] = mapped_column(Text)
    operation: Mapped[str] = mapped_column(Text)
    source: Mapped[str | None] = mapped_column(Text)
    idempotency_key: Mapped[str | None] = mapped_column(Text)
    trace: Mapped[str | None] = mapped_column(Text)
    lane: Mapped[str] = mapped_column(String(4))
    #: The document; None when the entry could not be decoded.
    body: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    #: The stream entry's bytes, when they could not be decoded.
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)
    #: ``rejected``, ``exhausted``, ``expired``, ``undecodable``, ``crashed`` or ``invalid``.
    reason: Mapped[str] = mapped_column(Text)
    #: What Customer.io (or we) said.
    error: Mapped[str | None] = mapped_column(Text)
    #: The field Customer.io named.
    field: Mapped[str | None] = mapped_column(Text)
    status: Mapped[int | None] = mapped_column(SmallInteger)
    attempts: Mapped[int] = mapped_column(SmallInteger)
    #: ``open``, ``replaying``, ``delivered`` or ``discarded``.
    state: Mapped[str] = mapped_column(String(10))
    enqueued_at: Mapped[datetime] = mapped_column(Moment)
    died_at: Mapped[datetime] = mapped_column(Moment)
    updated_at: Mapped[datetime] = mapped_column(Moment)
    #: What happened to it, oldest first: attempts, replays, repairs, who and when.
    history: Mapped[Any] = mapped_column(JSONB)

    __table_args__ = (
        Index(None, "state", "reason", "died_at"),
        Index(None, "key"),
        Index(None, "idempotency_key", postgresql_where=text("idempotency_key IS NOT NULL")),
    )
