"""A database's URL as Django's DATABASES has it."""

from typing import Any
from urllib.parse import unquote, urlsplit


def told_of(url: str) -> dict[str, Any]:
    """Return the entry of DATABASES for the database at ``url``."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {"NAME": parts.path[1:]}
    return {
        "NAME": parts.path[1:],
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname,
        "PORT": str(parts.port),
    }
