"""A refusal on its way out: raised where the trouble is, made an InvalidOperation where its surroundings are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from ..errors import InvalidOperation

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Refusal(Exception):
    """Something Customer.io would refuse.

    Args:
        problem: the rest of the sentence that begins with what is refused, e.g. ``is blank``.
        limit: what is taken.
        actual: what was given; never a whole value.
        at: where, outermost first; what encloses it is added on the way out, see :meth:`inside`.
    """

    def __init__(self, problem: str, *, limit: str, actual: str, at: tuple[str | int, ...] = ()) -> None:
        super().__init__(problem)
        self.problem = problem
        self.limit = limit
        self.actual = actual
        self._path: list[str | int] = list(reversed(at))

    def inside(self, *enclosing: str | int) -> Refusal:
        """The same refusal, one or more steps further out; ``enclosing`` is outermost first."""
        self._path.extend(reversed(enclosing))
        return self

    @property
    def path(self) -> tuple[str | int, ...]:
        """Where in the document, outermost first."""
        return tuple(reversed(self._path))

    def error(self, beginning: str) -> InvalidOperation:
        """What the caller sees; ``beginning`` begins the sentence."""
        return InvalidOperation(
            f"{beginning} {self.problem}", field=written(self.path) or "operation", limit=self.limit, actual=self.actual
        )


def within(field: str | int, check: Callable[[*Ts], T], *args: *Ts) -> T:
    """What ``check`` returns; a refusal by it is one of ``field``."""
    try:
        return check(*args)
    except Refusal as refusal:
        raise refusal.inside(field) from None


def written(path: tuple[str | int, ...]) -> str:
    """``path`` as text: ``("items", 0, "price")`` is ``items[0].price``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def too_many_bytes(size: int, limit: int) -> Refusal:
    """The refusal of something ``size`` bytes long."""
    return Refusal(
        f"is {size:,} bytes; Customer.io takes {limit:,}", limit=f"{limit:,} bytes", actual=f"{size:,} bytes"
    )


def wrong_type(value: object, takes: str) -> Refusal:
    """The refusal of a value of a type that cannot stand there."""
    return Refusal(f"is {kind_of(value)}; it must be {takes}", limit=takes, actual=kind_of(value))


_KINDS = {
    "NoneType": "None",
    "str": "text",
    "bytes": "bytes",
    "bool": "a boolean",
    "int": "a number",
    "float": "a number",
}


def kind_of(value: object) -> str:
    """What ``value`` is, in words and without the value: ``text``, ``a list``, ``None``."""
    name = type(value).__name__
    return _KINDS.get(name) or f"{'an' if name[0].lower() in 'aeio' else 'a'} {name}"
