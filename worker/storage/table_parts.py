"""What the declarations of all tables have in common."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, DateTime, MetaData, text

#: All tables.
METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def moment(name: str, **options: Any) -> sa.Column[Any]:
    """Return a column with a time."""
    return sa.Column(name, DateTime(timezone=True), **options)


def count(name: str, default: int = 0, doc: str | None = None) -> sa.Column[Any]:
    """Return a column with a count."""
    return sa.Column(name, BigInteger, server_default=text(str(default)), nullable=False, doc=doc)
