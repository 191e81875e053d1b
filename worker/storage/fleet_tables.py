"""The tables about the fleet: shards, single facts, incidents, forgotten people."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import BigInteger, Identity, Integer, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from .table_parts import METADATA, count, moment

#: The shards: the latest holder of each, and whether it is paused.
SHARDS = sa.Table(
    "trackrelay_shards",
    METADATA,
    sa.Column("shard", Integer, primary_key=True, autoincrement=False),
    count("fence", doc="Counts holders. A holder with a lower fence settles nothing."),
    sa.Column(
        "holder",
        Text,
        doc="The lease token of the latest holder. After a failover that lost commits, Postgres "
        "can give out a fence twice.",
    ),
    count("next_position", 1, doc="Where the next row of the shard's backlog goes."),
    moment("paused_at"),
    count(
        "block_version",
        doc="Rises whenever the keys of forgotten people change. A settlement compares it.",
    ),
    count("plan_version", doc="Changes with the tracking plan. Each read compares it."),
    info={"doc": "One row for each shard: its latest holder, and whether it is paused."},
)

#: Single facts, such as the secret that keys are hashed with.
STATE = sa.Table(
    "trackrelay_state",
    METADATA,
    sa.Column("name", String(50), primary_key=True),
    sa.Column("value", JSONB, nullable=False),
    moment("updated_at", server_default=text("now()"), nullable=False),
    info={"doc": "Single facts, such as the secret that keys are hashed with."},
)

#: Losses of jobs. A row stays after somebody has acknowledged the loss.
INCIDENTS = sa.Table(
    "trackrelay_incidents",
    METADATA,
    sa.Column("id", BigInteger, Identity(), primary_key=True),
    sa.Column("kind", Text, nullable=False, doc="An `incident_log.Kind`."),
    sa.Column(
        "generation", Text, nullable=False, doc="The generation of the queue that lost jobs."
    ),
    moment("since", doc="When the content of the queue was last known."),
    moment("until", nullable=False, doc="When the loss was noticed."),
    moment(
        "count_until",
        nullable=False,
        doc="Until then a holder may settle what it had read before the loss.",
    ),
    sa.Column("streams", JSONB, doc="What the streams held at `since`."),
    count("settled_low", doc="How many of those jobs were settled later, at least and at most."),
    count("settled_high", doc="How many were settled later, at most."),
    count("relayed_again", doc="How many of those jobs an outbox still had."),
    count("at_least", doc="How many jobs were lost, at least."),
    sa.Column("at_most", BigInteger, doc="How many jobs were lost, at most. NULL: unknown."),
    moment("counted_at"),
    moment("acknowledged_at"),
    sa.Column("acknowledged_by", Text),
    info={"doc": "Losses of jobs. A row stays after somebody has acknowledged the loss."},
)


#: The keys of people who were forgotten, as hashes. No row contains a name.
FORGOTTEN = sa.Table(
    "trackrelay_forgotten",
    METADATA,
    sa.Column("key", Text, primary_key=True, doc="One key of the person, as a keyed hash."),
    sa.Column("request", String(26), nullable=False, doc="The request that named it last: a ULID."),
    moment(
        "requested_at",
        server_default=text("now()"),
        nullable=False,
        doc="When the request was made first.",
    ),
    sa.Column("mode", String(10), nullable=False, doc="``erase``, ``suppress`` or ``delete``."),
    sa.Column(
        "blocked",
        sa.Boolean,
        server_default=text("true"),
        nullable=False,
        doc="Whether workers drop what is enqueued for the key.",
    ),
    count("blocked_jobs", doc="How many jobs of the key came since, and were dropped."),
    sa.Column(
        "job_id",
        String(26),
        doc="The job that tells Customer.io. It is the only one of the key that is delivered.",
    ),
    sa.Column(
        "steps",
        JSONB,
        server_default=text("'{}'"),
        nullable=False,
        doc="What the request has done so far, and how much of it.",
    ),
    sa.Column("receipt", JSONB, doc="What was where. NULL: the request is not complete."),
    moment("allowed_at", doc="When jobs of the key were allowed again."),
    info={"doc": "The keys of people who were forgotten, as hashes. No row contains a name."},
)
