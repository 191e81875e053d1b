"""The table of acts: what operators did."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import BigInteger, Identity, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from .table_parts import METADATA, moment

ACTS = sa.Table(
    "trackrelay_acts",
    METADATA,
    sa.Column("id", BigInteger, Identity(), primary_key=True),
    moment("at", server_default=text("now()"), nullable=False, doc="When it was done."),
    sa.Column("author", Text, nullable=False, doc="Who did it."),
    sa.Column("origin", Text, nullable=False, doc="Where: ``console`` or ``command``."),
    sa.Column("act", Text, nullable=False, doc="An `acts.Act`, such as ``delivery_paused``."),
    sa.Column(
        "subject",
        Text,
        server_default=text("''"),
        nullable=False,
        doc="To what: a job's id, a shard, an incident's number. Never a person's name.",
    ),
    sa.Column(
        "details",
        JSONB,
        server_default=text("'{}'"),
        nullable=False,
        doc="Numbers and words that say more.",
    ),
    Index(None, "author", "id"),
    info={"doc": "What operators did, in the console and with commands. Kept for a year."},
)
