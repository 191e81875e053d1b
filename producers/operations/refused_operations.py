"""Refused operations: what the call passed, and how ``on_invalid="dead_letter"`` keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated, Any
from uuid import UUID

import msgspec

from trackrelay.errors import InvalidOperationError
from trackrelay.queue.job import MAX_NAME_LENGTH, Job

from . import limits
from .checks.identifier_checks import ANYBODY, of_object, of_person
from .description import described
from .ids import id_for, is_ulid, new_id
from .keys import key_of, object_key
from .operation import Operation
from .unacceptable import Unacceptable

#: No operation has more identifiers.
_MAX_IDENTIFIERS = 10
#: Bytes of JSON that are kept of a refused payload: more than the largest valid event.
MAX_DOCUMENT_BYTES = 128_000
#: Characters of a name of an operation, and of a field …
MAX_NAME = 100
#: … and of a message.
MAX_MESSAGE = 1_000


class RefusedOperation(Operation, frozen=True, kw_only=True):
    """A refused operation on its way to the dead letters. Its body is a RefusedCall."""

    @property
    def name(self) -> str:
        """``type.action``, or ``unknown``."""
        return f"{self.type}.{self.action}" if self.action else self.type


class RefusedCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a refused operation."""

    #: The payload as JSON, with a description for each value that JSON cannot express.
    document: msgspec.Raw
    #: The message of the refusal.
    error: str
    field: str = ""
    limit: str = ""
    actual: str = ""
    #: The ordering keys, as far as they are known.
    keys: tuple[str, ...] = ()


class RefusedJob(Job, frozen=True, kw_only=True, omit_defaults=True):
    """A refused operation in its stream or in an outbox."""

    #: Empty, which distinguishes it from a job. Its body is a RefusedCall.
    keys: Annotated[tuple[str, ...], msgspec.Meta(max_length=0)]


_jobs = msgspec.json.Decoder(tuple[RefusedJob, ...])


def decode_refused(data: bytes) -> tuple[RefusedJob, ...]:
    """Return the refused operations of one entry.

    Raises:
        msgspec.DecodeError: the bytes are no entry of refused operations.
        UnicodeDecodeError: a text is not UTF-8.
    """
    try:
        return _jobs.decode(data)
    except RecursionError:
        raise msgspec.DecodeError("lists and objects are nested too deep") from None


class RefusedPayload:
    """A refused operation as its caller passed it.

    Args:
        document: the operation, or the arguments of the call if there is no document.
        idempotency_key: the caller's own name for the call.
    """

    __slots__ = ("_document", "_idempotency_key", "_keys", "id", "name")

    def __init__(self, document: object, idempotency_key: object = None) -> None:
        self._document = document
        self._idempotency_key = idempotency_key
        #: ``type.action``, or ``unknown``.
        self.name = _name(document)
        self._keys = _keys(document)
        #: The id of its dead letter. No valid operation has the same id, as it would count as a
        #: duplicate.
        self.id = self._own_id()

    def kept(self, error: InvalidOperationError) -> RefusedOperation:
        """Return the operation that is enqueued and becomes a dead letter."""
        kind, _, action = self.name.partition(".")
        call = RefusedCall(
            document=msgspec.Raw(described(self._document, MAX_DOCUMENT_BYTES)),
            error=_text(str(error), MAX_MESSAGE),
            field=_text(error.field, MAX_NAME),
            limit=_text(error.limit, MAX_NAME),
            actual=_text(error.actual, MAX_NAME),
            keys=self._keys,
        )
        return RefusedOperation(
            id=self.id,
            type=kind,
            action=action,
            keys=(),
            body=msgspec.json.encode(call),
            idempotency_key=_idempotency_key(self._idempotency_key),
        )

    def _own_id(self) -> str:
        if (key := _idempotency_key(self._idempotency_key)) is not None:
            whose = (
                "\0".join(self._keys)
                or described(_member(self._document, "identifiers"), 2_000).decode()
            )
            return id_for(f"refused {self.name}", whose, _event_name(self._document), key)
        own = _member(self._document, "id")
        if isinstance(own, str) and is_ulid(own.upper()):
            return id_for("refused", "", "", own.upper())
        return new_id()


def refused(
    document: object, error: InvalidOperationError, idempotency_key: object = None
) -> InvalidOperationError:
    """Return the error to raise for ``document``, with the payload among its parts.

    Args:
        document: the operation.
        error: the refusal by the checks. The error of an :class:`Unacceptable` in the document was
            earlier, and replaces it.
        idempotency_key: the caller's own name for the call.
    """
    error = next((each.error for each in _unacceptable(document)), error)
    try:
        part = RefusedPayload(document, idempotency_key)
    except Exception:  # the code of a value can raise
        part = RefusedPayload(None)
    error.parts = (part,)
    return error


def _unacceptable(document: object) -> Iterator[Unacceptable]:
    # Payloads have one among identifiers, also those of relationships, and as the attribute
    # anonymous_id. Values of a caller can lie about their class, raise, or be endless: only exact
    # types count.
    if type(document) is not dict:
        return
    found = [document.get(name) for name in ("identifiers", "person", "primary", "secondary")]
    if type(relationships := document.get("cio_relationships")) is list:
        each = islice(relationships, limits.RELATIONSHIPS + 1)
        found += [other.get("identifiers") for other in each if type(other) is dict]
    if type(attributes := document.get("attributes")) is dict:
        found.append({"anonymous_id": attributes.get("anonymous_id")})
    for identifiers in found:
        if type(identifiers) is dict:
            yield from (
                value
                for value in islice(identifiers.values(), _MAX_IDENTIFIERS)
                if type(value) is Unacceptable
            )


def _member(document: object, name: str) -> Any:
    return document.get(name) if type(document) is dict or isinstance(document, Mapping) else None


def _name(document: object) -> str:
    kind, action = _member(document, "type"), _member(document, "action")
    if (
        type(kind) is not str
        or type(action) is not str
        or not (kind.isidentifier() and action.isidentifier())
    ):
        return "unknown"
    # As long as an entry takes. A dot at the end is for an operation without an action.
    return f"{kind}.{action}"[: MAX_NAME_LENGTH - 1]


def _keys(document: object) -> tuple[str, ...]:
    found: list[str] = []
    for name in ("identifiers", "person", "primary", "secondary"):
        identifiers = _member(document, name)
        if not identifiers or (
            name == "identifiers" and _member(document, "type") in ("form", "segment", "delivery")
        ):
            continue
        try:
            if _member(document, "type") == "object":
                found.append(object_key(of_object(identifiers)))
            else:
                found.append(key_of(*of_person(identifiers, ANYBODY)))
        except Exception:  # refused, or the code of a value raised
            continue
    return tuple(dict.fromkeys(found))[:2]


def _event_name(document: object) -> str:
    name = _member(document, "name")
    return (
        str.__str__(name).strip()[:MAX_NAME].encode(errors="replace").decode()
        if type(name) is str
        else ""
    )


def _idempotency_key(given: object) -> str | None:
    if type(given) not in (str, int, UUID):
        return None
    if isinstance(given, int) and given.bit_length() > MAX_MESSAGE:
        return None
    text = str(given).strip()
    return text if 1 <= len(text) <= 255 and text.isprintable() else None


def _text(text: str, limit: int) -> str:
    return text[:limit].encode(errors="replace").decode()
