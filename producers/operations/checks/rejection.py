"""A refusal on its way out: raised where the trouble is, made an InvalidOperationError where its surroundings are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from trackrelay.errors import InvalidOperationError, TrackRelayError

#: Errors are read by people and stored in logs: what they say of hostile values is bounded.
MAX_MESSAGE_CHARACTERS = 900
MAX_FIELD_CHARACTERS = 500
MAX_WORDS_CHARACTERS = 200
MAX_STEP_CHARACTERS = 200

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class RefusalError(Exception):
    """Something Customer.io would refuse.

    Args:
        problem: the rest of the sentence that begins with what is refused, e.g. ``is blank``.
        limit: what is taken.
        actual: what was given; never a whole value.
        at: where, outermost first; what encloses it is added on the way out, see :meth:`inside`.
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
        """The same refusal, one or more steps further out; ``enclosing`` is outermost first."""
        self._path.extend(reversed(enclosing))
        return self

    @property
    def path(self) -> tuple[str | int, ...]:
        """Where in the document, outermost first."""
        return tuple(reversed(self._path))

    def error(self, beginning: str) -> InvalidOperationError:
        """What the caller sees; ``beginning`` begins the sentence."""
        return InvalidOperationError(
            cut(printable(f"{beginning} {self.problem}"), MAX_MESSAGE_CHARACTERS),
            field=cut(written(self.path), MAX_FIELD_CHARACTERS) or "operation",
            limit=cut(self.limit, MAX_WORDS_CHARACTERS),
            actual=cut(printable(self.actual), MAX_WORDS_CHARACTERS),
        )


def cut(text: str, limit: int) -> str:
    """Return ``text``, or as much of it as ``limit`` characters hold."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def printable(text: str) -> str:
    """Return ``text`` with escapes in place of what a terminal would obey, or UTF-8 cannot encode."""
    if text.isprintable():
        return text
    return "".join(
        [each if each.isprintable() else each.encode("unicode_escape").decode() for each in text]
    )


def refusal_for(error: Exception) -> RefusalError:
    """Return the refusal that ``error`` is, or that stands for it: a value's own code raised it while it was looked at.

    Raises:
        TrackRelayError, MemoryError: ``error``, if it says nothing about the value.
    """
    if isinstance(error, RefusalError):
        return error
    if isinstance(error, TrackRelayError | MemoryError):
        raise error
    name = class_name(error)
    # Without the error's own words: they may hold the value.
    refusal = RefusalError(
        f"cannot be read: looking at it raised {name}",
        limit="a value that can be read",
        actual=name,
    )
    refusal.__cause__ = error
    return refusal


def within(field: str | int, check: Callable[[*Ts], T], *args: *Ts) -> T:
    """What ``check`` returns; a refusal by it is one of ``field``."""
    try:
        return check(*args)
    except Exception as error:
        refusal = refusal_for(error).inside(field)
        raise refusal from refusal.__cause__


def written(path: tuple[str | int, ...]) -> str:
    """``path`` as text: ``("items", 0, "price")`` is ``items[0].price``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            name = printable(cut(step, MAX_STEP_CHARACTERS))
            text += f".{name}" if text else name
    return text


def too_many_bytes(size: int, limit: int) -> RefusalError:
    """The refusal of something ``size`` bytes long."""
    return RefusalError(
        f"is {size:,} bytes; Customer.io takes {limit:,}",
        limit=f"{limit:,} bytes",
        actual=f"{size:,} bytes",
    )


def wrong_type(value: object, takes: str) -> RefusalError:
    """The refusal of a value of a type that cannot stand there."""
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
    """What ``value`` is, in words and without the value: ``text``, ``a list``, ``None``."""
    name = class_name(value)
    return _KINDS.get(name) or f"{'an' if name[0].lower() in 'aeio' else 'a'} {name}"


# A metaclass can answer differently, or raise.
_name_of_class: Callable[[type], str] = type.__dict__["__name__"].__get__


def class_name(value: object) -> str:
    """The name of the class of ``value``, bounded."""
    return printable(cut(_name_of_class(type(value)), 60)) or "nameless class"


def brief(value: object) -> str:
    """``value`` as a message can show a name or a key: text as it is but bounded, a short number, else what it is."""
    if type(value) is str:
        return repr(cut(value, 60))
    if type(value) is int and value.bit_length() <= 64:
        return str(value)
    return kind_of(value)
