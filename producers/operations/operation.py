"""An operation: one thing that Customer.io can be told, checked and encoded."""

from __future__ import annotations

from typing import Final

import msgspec

#: What people do: an event, a page view, a screen view.
EVENT_ACTIONS: Final = ("event", "page", "screen")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One checked operation. It keeps its id through retries, crashes, replays and repeated calls.

    The functions of :mod:`trackrelay.operations` make it. An operation enqueued twice is delivered
    once.
    """

    #: A ULID. For an event it is the event's own id, by which Customer.io drops duplicates.
    id: str
    #: ``person``, ``object`` or ``delivery`` as in the Track API's v2; ``anonymous``, ``segment``
    #: or ``form`` for what only v1 has.
    type: str
    #: ``identify``, ``event``, ``merge`` …
    action: str
    #: The ordering keys, e.g. ``("id:42",)``. A merge and an identify with an anonymous id have
    #: two.
    keys: tuple[str, ...]
    #: The document as JSON. For v2 it is sent as it is, but for the timestamp; see ``stamp``.
    body: bytes
    #: Whether the document has no timestamp and gets the time of the store that accepts it.
    stamp: bool = False
    #: The caller's own name for this call; ``id`` is derived from it.
    idempotency_key: str | None = None
    #: The identify (``person_attributes=``) that is delivered just before this event.
    companion: Operation | None = None
    #: When it happened, in unix seconds, if the document has a timestamp.
    timestamp: int | None = None
    #: The body that was checked. An operation that the builders did not make has none, and is
    #: checked when it is enqueued.
    seal: bytes | None = None

    def __repr__(self) -> str:
        # Without the body, which is personal data.
        return f"<Operation {self.name} {self.id}>"

    @property
    def name(self) -> str:
        """``type.action``, as the ledger, the logs and the command line show it, e.g.

        ``person.event``.
        """
        return f"{self.type}.{self.action}"
