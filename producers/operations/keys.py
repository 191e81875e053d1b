"""Keys: whose order must hold, and which shard keeps it."""

from __future__ import annotations

import re
import zlib

#: What the part of a key before the colon can be.
KINDS = frozenset(
    {"id", "email", "phone", "cio_id", "anonymous", "object", "cio_object", "delivery"}
)

_PREFIXES = {"anonymous_id": "anonymous", "cio_object_id": "cio_object"}
_PHONE = re.compile(r"\+[0-9]+")


def shard_of(key: str, shards: int) -> int:
    """The shard, 0 to ``shards - 1``, in which everything of ``key`` (e.g. ``id:42``) is queued."""
    return zlib.crc32(key.encode()) % shards


def key_of(kind: str, value: str) -> str:
    """The key of whoever ``kind`` (``id``, ``email``, ``anonymous_id`` …) and ``value`` name, e.g. ``id:42``."""
    return f"{_PREFIXES.get(kind, kind)}:{value}"


def object_key(identifiers: dict[str, str]) -> str:
    """The key of an object: ``object:1:acme`` or ``cio_object:…``."""
    if "cio_object_id" in identifiers:
        return f"cio_object:{identifiers['cio_object_id']}"
    return f"object:{identifiers['object_type_id']}:{identifiers['object_id']}"


def is_private(key: str) -> bool:
    """Whether ``key`` says who somebody is to anybody who reads it: made of an email, a phone or an anonymous id, or
    an id that has the shape of one."""
    kind, _, value = key.partition(":")
    return (
        kind in ("email", "phone", "anonymous")
        or "@" in value
        or _PHONE.fullmatch(value) is not None
    )


def shown(key: str) -> str:
    """``key`` as a message may show it: whole, or of a private one the kind and the first letter."""
    if not is_private(key):
        return key
    kind, _, value = key.partition(":")
    return f"{kind}:{value[:1]}…"
