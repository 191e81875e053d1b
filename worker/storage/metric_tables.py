"""The tables of the counters and of the alerts."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import BigInteger, Integer, String, Text
from sqlalchemy.dialects.postgresql import ARRAY

from .table_parts import METADATA, count, moment

COUNTERS = sa.Table(
    "trackrelay_counters",
    METADATA,
    sa.Column("period", String(6), primary_key=True, doc="`minute`, `hour`, `day` or `total`."),
    moment("at", primary_key=True, doc="When the period began, in UTC."),
    sa.Column(
        "shard",
        Integer,
        primary_key=True,
        autoincrement=False,
        doc="The shard whose holder counted. -1: all shards, or what belongs to none.",
    ),
    sa.Column("name", Text, primary_key=True, doc="What is counted, such as `delivered`."),
    sa.Column(
        "labels", Text, primary_key=True, doc="The values of its labels, with commas between them."
    ),
    count("value", doc="How many were counted."),
    count("sum_ms", doc="The sum of their durations, in milliseconds."),
    sa.Column(
        "buckets",
        ARRAY(BigInteger),
        doc="How many durations are in each bucket of the histogram. NULL: there is none.",
    ),
    info={"doc": "Counts of jobs and requests. The sum of all rows is the exact total."},
)

ALERTS = sa.Table(
    "trackrelay_alerts",
    METADATA,
    sa.Column("name", Text, primary_key=True, doc="The condition, such as `oldest>10m`."),
    sa.Column("state", Text, nullable=False, doc="``firing`` or ``resolved``."),
    sa.Column("text", Text, nullable=False, doc="What is wrong, in one line."),
    moment("since", nullable=False, doc="Since when it is wrong."),
    moment("claimed_at", nullable=False, doc="When a watcher last began to tell of it."),
    sa.Column("told", Text, doc="The state that was told last."),
    moment("told_at", doc="When it was told last."),
    info={"doc": "Alerts of `trackrelay watch`, so that of several watchers one tells each."},
)
