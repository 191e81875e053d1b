"""Ordering keys: jobs with the same key are delivered in order, and fall into the same shard."""

from __future__ import annotations

import re
import zlib

#: The kinds of keys: the part before the colon.
KINDS = frozenset(
    {"id", "email", "phone", "cio_id", "anonymous", "object", "cio_object", "delivery"}
)

_PREFIXES = {"anonymous_id": "anonymous", "cio_object_id": "cio_object"}
_PHONE = re.compile(r"\+[0-9]+")


def shard_of(key: str, shards: int) -> int:
    """Return the shard, 0 to ``shards - 1``, of a key such as ``id:42``."""
    return zlib.crc32(key.encode()) % shards


def key_of(kind: str, value: str) -> str:
    """Return the key of an identifier, e.g.

    ``id:42``; ``kind`` is a name such as ``anonymous_id``.
    """
    return f"{_PREFIXES.get(kind, kind)}:{value}"


def object_key(identifiers: dict[str, str]) -> str:
    """Return the key of an object: ``object:1:acme`` or ``cio_object:…``."""
    if "cio_object_id" in identifiers:
        return f"cio_object:{identifiers['cio_object_id']}"
    return f"object:{identifiers['object_type_id']}:{identifiers['object_id']}"


def is_private(key: str) -> bool:
    """Return whether ``key`` reveals who a person is.

    It does if it contains an email address, a phone number or an anonymous id, or an id with the
    shape of an address or a number.
    """
    kind, _, value = key.partition(":")
    return (
        kind in ("email", "phone", "anonymous")
        or "@" in value
        or _PHONE.fullmatch(value) is not None
    )


def shown(key: str) -> str:
    """Return ``key`` as messages show it: a private one as its kind and its first letter."""
    if not is_private(key):
        return key
    kind, _, value = key.partition(":")
    return f"{kind}:{value[:1]}…"
