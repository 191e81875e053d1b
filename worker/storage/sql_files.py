"""The long SQL statements, each in a file of the folder ``sql`` beside the code that runs it."""

from __future__ import annotations

import pkgutil
import re
from string import Template

import sqlalchemy as sa

_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)


def sql(name: str, **parts: object) -> sa.TextClause:
    """Return the statement in ``sql/NAME.sql``, without its comments.

    Args:
        parts: what stands for each ``$name`` in the file.
    """
    file = pkgutil.get_data(__package__, f"sql/{name}.sql")
    assert file is not None
    return sa.text(Template(_COMMENT.sub("", file.decode())).substitute(parts))
