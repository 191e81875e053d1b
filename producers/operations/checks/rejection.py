"""The error of a check. It becomes an InvalidOperationError with its place in the document."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from trackrelay.errors import InvalidOperationError, TrackRelayError

#: People read errors and logs keep them, so what they quote of hostile values is bounded.
MAX_MESSAGE_CHARACTERS = 900
MAX_FIELD_CHARACTERS = 500
MAX_WORDS_CHARACTERS = 200
MAX_STEP_CHARACTERS = 200

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class RefusalError(Exception):
    """A value that Customer.io would refuse.

    Args:
        problem: the end of a sentence that begins with the refused part, e.g. ``is blank``.
        limit: what is accepted.
        actual: what the caller passed, without the whole value.
        at: the place, outermost step first; :meth:`inside` adds the enclosing steps.
    """

    def __init__(
        self, problem: str, *, limit: str, actual: str, at: tuple[str | int, ...] = ()
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.limit = limit
        self.actual = actual
        self._path: list[str | int] = list(reversed(at))

    def inside(self, *enclosing: str | int) -> RefusalError:
        """Add enclosing steps to the place, the outermost first, and return the refusal."""
        self._path.extend(reversed(enclosing))
        return self

    @property
    def path(self) -> tuple[str | int, ...]:
        """The place in the document, outermost step first."""
        return tuple(reversed(self._path))

    def error(self, beginning: str) -> InvalidOperationError:
        """Return the error that the caller gets; ``beginning`` begins its sentence."""
        return InvalidOperationError(
            cut(printable(f"{beginning} {self.problem}"), MAX_MESSAGE_CHARACTERS),
            field=cut(written(self.path), MAX_FIELD_CHARACTERS) or "operation",
            limit=cut(self.limit, MAX_WORDS_CHARACTERS),
            actual=cut(printable(self.actual), MAX_WORDS_CHARACTERS),
        )


def cut(text: str, limit: int) -> str:
    """Return at most ``limit`` characters of ``text``."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def printable(text: str) -> str:
    """Return ``text`` with control characters and lone surrogates escaped."""
    if text.isprintable():
        return text
    return "".join(
        [each if each.isprintable() else each.encode("unicode_escape").decode() for each in text]
    )


def refusal_for(error: Exception) -> RefusalError:
    """Return ``error`` if it is a refusal, else a refusal of the value whose code raised it.

    Raises:
        TrackRelayError, MemoryError: ``error``, as it is not about the value.
    """
    if isinstance(error, RefusalError):
        return error
    if isinstance(error, TrackRelayError | MemoryError):
        raise error
    name = class_name(error)
    # Without the message of the error, which may quote the value.
    refusal = RefusalError(
        f"cannot be read: looking at it raised {name}",
        limit="a value that can be read",
        actual=name,
    )
    refusal.__cause__ = error
    return refusal


def within(field: str | int, check: Callable[[*Ts], T], *args: *Ts) -> T:
    """Return the result of ``check``, and add ``field`` to the place of its refusal."""
    try:
        return check(*args)
    except Exception as error:
        refusal = refusal_for(error).inside(field)
        raise refusal from refusal.__cause__


def written(path: tuple[str | int, ...]) -> str:
    """Return a place as text: ``("items", 0, "price")`` is ``items[0].price``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            name = printable(cut(step, MAX_STEP_CHARACTERS))
            text += f".{name}" if text else name
    return text


def too_many_bytes(size: int, limit: int) -> RefusalError:
    """Return the refusal of a value with ``size`` bytes."""
    return RefusalError(
        f"is {size:,} bytes; Customer.io takes {limit:,}",
        limit=f"{limit:,} bytes",
        actual=f"{size:,} bytes",
    )


def wrong_type(value: object, takes: str) -> RefusalError:
    """Return the refusal of a value of a wrong type."""
    return RefusalError(
        f"is {kind_of(value)}; it must be {takes}", limit=takes, actual=kind_of(value)
    )


_KINDS = {
    "NoneType": "None",
    "str": "text",
    "bytes": "bytes",
    "bool": "a boolean",
    "int": "a number",
    "float": "a number",
}


def kind_of(value: object) -> str:
    """Return the type of ``value`` in words: ``text``, ``a list``, ``None``."""
    name = class_name(value)
    return _KINDS.get(name) or f"{'an' if name[0].lower() in 'aeio' else 'a'} {name}"


# A metaclass can override __name__, or raise.
_name_of_class: Callable[[type], str] = type.__dict__["__name__"].__get__


def class_name(value: object) -> str:
    """Return the name of the class of ``value``, with a bounded length."""
    return printable(cut(_name_of_class(type(value)), 60)) or "nameless class"


def brief(value: object) -> str:
    """Return a name or a key as a message shows it: bounded text, a short number, else its type."""
    if type(value) is str:
        return repr(cut(value, 60))
    if type(value) is int and value.bit_length() <= 64:
        return str(value)
    return kind_of(value)
