"""The names of the person who is forgotten: how jobs, documents and bytes are known as theirs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.keys import key_of
from trackrelay.operations.refs import Person
from trackrelay.worker.storage.erasure import KeyForms
from trackrelay.worker.storage.key_hasher import KeyHasher, is_hashed

#: Keys whose bytes every JSON encoder writes alike. Others are found only by decoding.
_PLAIN = re.compile(r"[A-Za-z0-9_.@+:-]+")
#: The identifier of each kind of key.
_IDENTIFIERS = {"anonymous": "anonymous_id"}
#: Attributes that are other names of the same person.
_NAMING = ("id", "email", "phone", "cio_id", "anonymous_id")


@dataclass(frozen=True)
class PersonKeys:
    """The keys of one person.

    Args:
        keys: ``id:42``, ``email:ada@example.com`` …; a key of which only the keyed hash is known
            stands as that.
        hasher: hides keys.
        exempt: jobs of the person that stay: they tell Customer.io.
    """

    keys: tuple[str, ...]
    hasher: KeyHasher
    exempt: frozenset[str] = frozenset()

    @cached_property
    def hidden(self) -> dict[str, str]:
        """Each key's keyed hash."""
        return {key: self.hasher.hidden(key) for key in self.keys}

    @cached_property
    def forms(self) -> KeyForms:
        """Every form of the keys in the tables."""
        return KeyForms(
            {self.hasher.stored(key): hidden for key, hidden in self.hidden.items()}
            | {hidden: hidden for hidden in self.hidden.values()}
        )

    @cached_property
    def known(self) -> tuple[str, ...]:
        """The keys that are known in the clear."""
        return tuple(key for key in self.keys if not is_hashed(key))

    @cached_property
    def values(self) -> tuple[str, ...]:
        """What the keys say of the person, without their kinds."""
        return tuple(key.partition(":")[2] for key in self.known)

    @cached_property
    def must_decode(self) -> bool:
        """Whether an entry can be theirs although none of the tokens is in its bytes."""
        return len(self.known) < len(self.keys) or not all(map(_PLAIN.fullmatch, self.keys))

    @cached_property
    def tokens(self) -> tuple[bytes, ...]:
        """Bytes of which one is in each entry of theirs that a producer wrote.

        Each key as JSON, and each identifier as documents have it.
        """
        found = []
        for key in self.known:
            kind, _, value = key.partition(":")
            name = _IDENTIFIERS.get(kind, kind)
            found += [_json(key), _json(name) + b":" + _json(value)]
        return tuple(found)

    @cached_property
    def stored_tokens(self) -> tuple[bytes, ...]:
        """The tokens, also as they stand in the bytes that dead letters keep: JSON within JSON."""
        return (*self.tokens, *(token.replace(b'"', rb"\"") for token in self.tokens))

    @cached_property
    def pattern(self) -> str:
        """A regular expression that finds the names in a document, for Python and for Postgres."""
        found = "|".join(dict.fromkeys(each for key in self.known for each in _patterns(key)))
        # An email stands in documents as somebody wrote it.
        return f"(?i){found}" if any(key.startswith("email:") for key in self.known) else found

    @cached_property
    def _mention(self) -> re.Pattern[bytes] | None:
        return re.compile(self.pattern.encode()) if self.pattern else None

    def is_in(self, keys: Iterable[str]) -> bool:
        """Return whether one of ``keys``, in the clear, is the person's."""
        hashes = self._hashes
        return any(
            key in self.hidden or (hashes and self.hasher.hidden(key) in hashes) for key in keys
        )

    def is_mentioned(self, document: bytes) -> bool:
        """Return whether a document has one of the names in it."""
        return self._mention is not None and self._mention.search(document) is not None

    @cached_property
    def _hashes(self) -> frozenset[str]:
        # Only where a name is not known in the clear: a hash for each job costs time.
        return frozenset(self.hidden.values()) if len(self.known) < len(self.keys) else frozenset()

    def other_names(self, body: bytes) -> list[str]:
        """Return the keys of other names that a document of the person has, as they are stored."""
        try:
            document = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return []
        attributes = document.get("attributes") if isinstance(document, Mapping) else None
        found = [_key(name, value) for name, value in _names(attributes)]
        return [
            self.hasher.stored(key)
            for key in dict.fromkeys(filter(None, found))
            if key not in self.hidden and self.hasher.hidden(key) not in self.forms.every
        ]


def _json(text: str) -> bytes:
    return msgspec.json.encode(text)


def _patterns(key: str) -> list[str]:
    kind, _, value = key.partition(":")
    escaped = re.escape(value)
    if kind in ("email", "phone"):
        return [escaped]
    # An id is often a small number: only a value that is exactly the same counts.
    number = [rf"[:\[,]\s*{escaped}\s*[,\]}}]"] if value.isdigit() else []
    return [f'"{escaped}"', *number]


def _names(attributes: Any) -> list[tuple[str, Any]]:
    if not isinstance(attributes, Mapping):
        return []
    return [(name, attributes[name]) for name in _NAMING if name in attributes]


def _key(name: str, value: Any) -> str | None:
    if type(value) is int:
        value = str(value)
    try:
        person = Person(**{name: value})
        return key_of(person.kind, person.value)
    except (InvalidOperationError, TypeError):
        return None
