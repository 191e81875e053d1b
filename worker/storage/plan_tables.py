"""The tables of the tracking plan: its versions, and how often jobs did not keep to them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import BigInteger, Date, Identity, String, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from .table_parts import METADATA, count, moment

PLANS = sa.Table(
    "trackrelay_plans",
    METADATA,
    sa.Column("version", BigInteger, Identity(), primary_key=True, doc="Counts what was applied."),
    sa.Column("name", Text, nullable=False, doc="The plan's own name."),
    sa.Column("text", Text, nullable=False, doc="The file, as it was applied."),
    sa.Column(
        "digest",
        String(64),
        nullable=False,
        doc="SHA-256 of the plan. Comments and the order of its parts do not count.",
    ),
    moment(
        "applied_at",
        server_default=text("now()"),
        nullable=False,
        doc="When it was put into force.",
    ),
    sa.Column("applied_by", Text, nullable=False, doc="The user and machine that did it."),
    moment("in_force_until", doc="When it ends or ended. NULL: no other version has followed."),
    info={"doc": "The versions of the tracking plan. Two may be in force during a deploy."},
)

PLAN_VIOLATIONS = sa.Table(
    "trackrelay_plan_violations",
    METADATA,
    sa.Column("day", Date, primary_key=True, doc="The day in UTC."),
    sa.Column(
        "version",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        doc="The row of `trackrelay_plans`.",
    ),
    sa.Column("source", Text, primary_key=True, doc="The application; empty if it has no name."),
    sa.Column(
        "subject", Text, primary_key=True, doc="The event as it was sent, or `person.identify`."
    ),
    sa.Column("path", Text, primary_key=True, doc="The property; empty for the event itself."),
    sa.Column(
        "kind", Text, primary_key=True, doc="What was wrong; see `trackrelay.plan.ViolationKind`."
    ),
    sa.Column(
        "action",
        String(20),
        primary_key=True,
        doc="What was done: ``warn``, ``fix`` or ``dead_letter``.",
    ),
    sa.Column("expected", Text, nullable=False, doc="What the plan says."),
    sa.Column("actual", Text, nullable=False, doc="The type or name that came. Never a value."),
    count("count", doc="How many jobs."),
    sa.Column("jobs", ARRAY(Text), nullable=False, doc="The latest of these jobs, at most three."),
    moment("first_seen", nullable=False, doc="When a worker first wrote it down."),
    moment("last_seen", nullable=False, doc="When a worker last wrote it down."),
    info={"doc": "How often jobs did not keep to the tracking plan, by day (UTC), for 90 days."},
)
