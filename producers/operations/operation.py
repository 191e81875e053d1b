"""An operation: one thing Customer.io can be told, checked and encoded, ready to be enqueued."""

from __future__ import annotations

from typing import Final

import msgspec

#: What people do: an event, a page view, a screen view.
EVENT_ACTIONS: Final = ("event", "page", "screen")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One checked operation, with the id it keeps through retries, crashes, replays and repeated calls.

    Made by the functions of :mod:`trackrelay.operations`; enqueueing the same value twice delivers it once.
    """

    #: ULID. For an event it is the event's own id, which Customer.io de-duplicates by.
    id: str
    #: ``person``, ``object`` and ``delivery`` as in the Track API v2; ``anonymous``, ``segment`` and ``form`` for what only v1 has.
    type: str
    #: What happens to it: ``identify``, ``event``, ``merge`` …
    action: str
    #: Whose order must hold, e.g. ``("id:42",)``; two for a merge and for an identify that carries an anonymous id.
    keys: tuple[str, ...]
    #: The document, JSON, encoded once: for v2 exactly what goes on the wire (but for a timestamp, see ``stamp``).
    body: bytes
    #: True when the document has no timestamp of its own and takes the time of the store that accepts it.
    stamp: bool = False
    #: The caller's own name for this call; ``id`` is derived from it.
    idempotency_key: str | None = None
    #: The identify that is delivered just ahead of this event (``person_attributes=``) and travels with it.
    companion: Operation | None = None
    #: When it happened, in unix seconds, if the document says so.
    timestamp: int | None = None
    #: The very body that was checked. An operation of anybody's own making has none, and is checked when it is enqueued.
    seal: bytes | None = None

    def __repr__(self) -> str:
        # Without the body: it says what people do.
        return f"<Operation {self.name} {self.id}>"

    @property
    def name(self) -> str:
        """``type.action``, as the ledger, the logs and the command line show it, e.g. ``person.event``."""
        return f"{self.type}.{self.action}"
