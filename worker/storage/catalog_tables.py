"""The tables of the catalog: names, types and times of what was observed, never a value."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import BigInteger, Date, Identity, Index, String, Text

from .table_parts import METADATA, count, moment

CATALOG = sa.Table(
    "trackrelay_catalog",
    METADATA,
    sa.Column("id", BigInteger, Identity(), primary_key=True),
    sa.Column("source", Text, nullable=False, doc="The application; empty if it has no name."),
    sa.Column("operation", Text, nullable=False),
    sa.Column("name", Text, nullable=False, doc="The event's name; empty for other operations."),
    sa.Column(
        "path",
        Text,
        nullable=False,
        doc="The attribute, such as `items[].sku`; empty for a count of whole jobs.",
    ),
    sa.Column("type", Text, nullable=False, doc="The type of the value, or what is counted."),
    count("count", doc="How many observed jobs had it."),
    count("bytes", doc="The size of the observed jobs, in a row of whole jobs."),
    count("first_at", doc="How many jobs of this name had been observed when it first appeared."),
    count("last_at", doc="How many jobs of this name had been observed when it was last seen."),
    moment("first_seen", nullable=False, doc="When a worker first wrote it down."),
    moment("last_seen", nullable=False, doc="When a worker last wrote it down."),
    count("longest_gap_s", doc="The longest time between two writes, in seconds."),
    Index(
        "ix_trackrelay_catalog_names",
        "source",
        "operation",
        "name",
        "path",
        "type",
        unique=True,
    ),
    info={"doc": "What was observed of events and attributes: names, types, times, never values."},
)

CATALOG_DAYS = sa.Table(
    "trackrelay_catalog_days",
    METADATA,
    sa.Column("day", Date, primary_key=True, doc="The day in UTC."),
    sa.Column(
        "catalog_id",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        doc="The row of `trackrelay_catalog`.",
    ),
    count("count", doc="How many jobs observed on that day had it."),
    info={"doc": "The counts of the catalog by day (UTC), for 90 days."},
)

IDENTITIES = sa.Table(
    "trackrelay_identities",
    METADATA,
    sa.Column(
        "name",
        Text,
        primary_key=True,
        doc="An email, phone, Customer.io's id, anonymous id or device, as a keyed hash; "
        "of a merge or a deletion also an id.",
    ),
    sa.Column(
        "how",
        String(10),
        primary_key=True,
        doc="``claimed`` by a person, ``addressed`` by a job, ``merged`` into a person, "
        "or ``removed``.",
    ),
    sa.Column(
        "person",
        Text,
        primary_key=True,
        doc="The id of the person, or another name, as a keyed hash; empty if none is known.",
    ),
    sa.Column("source", Text, primary_key=True, doc="The application; empty if it has no name."),
    sa.Column("job_id", String(26), nullable=False, doc="The latest job that said it."),
    moment("first_seen", nullable=False, doc="When a worker first wrote it down."),
    moment("last_seen", nullable=False, doc="When a worker last wrote it; about once an hour."),
    info={"doc": "Which names belong to one person, as keyed hashes; for 90 days."},
)

FINDINGS = sa.Table(
    "trackrelay_findings",
    METADATA,
    sa.Column("key", Text, primary_key=True, doc="The rule and what it is about."),
    sa.Column("rule", Text, nullable=False, doc="The id of the rule, such as `Q101`."),
    moment("opened_at", nullable=False, doc="Since when it has been found without a gap."),
    moment("found_at", nullable=False, doc="When it was last found."),
    moment("closed_at", doc="When it was first not found any more. NULL: it is open."),
    moment("acknowledged_until", doc="Until then it is not reported."),
    sa.Column("acknowledged_by", Text),
    info={"doc": "Findings about the data: since when, and whether somebody acknowledged them."},
)
