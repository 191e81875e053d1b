"""Operations in the order they were accepted, and what became of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from trackrelay.sandbox.parsed_operations import Operation
from trackrelay.sandbox.workspace.effect_outcome import Outcome

from .record_log import Log

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
EVENT_ACTIONS = frozenset({"event", "page", "screen"})


class Effect(msgspec.Struct, gc=False):
    """One accepted operation; `body` is its JSON, kept as bytes until somebody looks."""

    seq: int
    at: float
    type: str
    action: str
    name: str | None
    keys: tuple[str, ...]
    id: str | None
    path: str
    timestamp: int | None
    ignored: bool
    note: str | None
    body: bytes | None

    @property
    def is_event(self) -> bool:
        """A person's event, page or screen, known or anonymous."""
        return self.type == "person" and self.action in EVENT_ACTIONS

    def view(self) -> dict[str, Any]:
        """As it is shown, with what the operation carried."""
        shown = {name: getattr(self, name) for name in self.__struct_fields__ if name != "body"}
        carried = _decode(self.body) if self.body else {}
        shown["attributes"] = carried.get("attributes")
        for name in ("device", "cio_relationships"):
            if name in carried:
                shown[name] = carried[name]
        return shown


class Effects:
    """The log of accepted operations."""

    def __init__(self, keep: int, keep_bytes: int, keep_bodies: bool) -> None:
        self.log: Log[Effect] = Log(keep, keep_bytes)
        self._keep_bodies = keep_bodies

    def add(
        self, op: Operation, outcome: Outcome, at: float, path: str, source: bytes | None
    ) -> Effect:
        """Record what became of an operation; `source` is its JSON if v2 sent it."""
        body = None
        if self._keep_bodies:
            body = source if source is not None else _encode({"attributes": op.attributes})
        ignored, note = outcome
        effect = Effect(
            self.log.next_seq,
            at,
            op.type,
            op.action,
            op.name,
            op.keys,
            op.id,
            path,
            op.timestamp,
            ignored,
            note,
            body,
        )
        self.log.append(effect)
        return effect

    def after(self, seq: int, *, ignored: bool = False) -> Iterator[Effect]:
        """What took effect after `seq`; with `ignored`, what was accepted and ignored as well."""
        return (effect for effect in self.log.after(seq) if ignored or not effect.ignored)
