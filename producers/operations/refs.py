"""References to people and objects: whom and what an operation is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NoReturn, Protocol, TypeAlias
from uuid import UUID

from trackrelay.errors import InvalidOperationError

from .checks import identifier_checks
from .checks.lazy_values import resolved
from .checks.name_checks import name_of
from .checks.rejection import RefusalError, refusal_for
from .keys import key_of, object_key
from .unacceptable import Unacceptable

IdentifierKind: TypeAlias = Literal["id", "email", "phone", "cio_id", "anonymous_id"]

_set = object.__setattr__


class _Frozen:
    """An immutable value: it stays as it was checked."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable")


_defer: Callable[[], bool] | None = None


def defer_refusals(wait: Callable[[], bool] | None) -> None:
    """Set whether calls refuse an invalid Person or ObjectRef, and not the constructor.

    An application that logs refusals makes a Person as an argument of the call, where nothing would
    catch an error of the constructor.

    Args:
        wait: called when an invalid one is made; None: the constructor raises.
    """
    global _defer
    _defer = wait


def _is_deferred() -> bool:
    return _defer is not None and _defer()


class Person(_Frozen):
    """A person, named by exactly one identifier.

    Args:
        id: your id for the person: text, or an int or a UUID, which become text; at most 150 bytes.
        email: the email address. It is trimmed and lower-cased.
        phone: the phone number in E.164, e.g. ``+14155552671``.
        cio_id: Customer.io's own id for the person, with or without ``cio_`` before it.
        anonymous_id: the id of a visitor whom you do not know yet; for events only.

    Raises:
        InvalidOperationError: there is no identifier, more than one, or an invalid one.
    """

    __slots__ = ("kind", "value")
    #: The kind of the identifier.
    kind: IdentifierKind
    #: The identifier, as it goes to Customer.io.
    value: str

    def __init__(
        self,
        *,
        id: str | int | UUID | None = None,
        email: str | None = None,
        phone: str | None = None,
        cio_id: str | None = None,
        anonymous_id: str | int | UUID | None = None,
    ) -> None:
        given: dict[str, Any] = {
            "id": id,
            "email": email,
            "phone": phone,
            "cio_id": cio_id,
            "anonymous_id": anonymous_id,
        }
        kind: Any
        value: Any
        try:
            kind, value = identifier_checks.of_person(
                {kind: value for kind, value in given.items() if value is not None},
                identifier_checks.ANYBODY,
            )
        except Exception as problem:
            refusal = refusal_for(problem)
            error = _error(refusal, "a Person")
            if not _is_deferred():
                raise error from refusal.__cause__
            given = {kind: value for kind, value in given.items() if value is not None}
            kind = next(iter(given), "id")
            value = Unacceptable(given[kind] if len(given) == 1 else given, error)
        _set(self, "kind", kind)
        _set(self, "value", value)

    @classmethod
    def of(cls, value: PersonLike) -> Person:
        """Return ``value`` if it is a Person, else the person with that id.

        Raises:
            InvalidOperationError: ``value`` is no id, or has the shape of an email or a cio_id.
        """
        someone = value if type(value) in PLAIN else unwrapped(value)
        if isinstance(someone, Person):
            return someone
        person = cls.__new__(cls)
        _set(person, "kind", "id")
        _set(person, "value", plain_id(someone))
        return person

    @property
    def identifiers(self) -> dict[str, str]:
        """The person as the Track API's v2 names them, e.g. ``{"id": "42"}``."""
        return {self.kind: self.value}

    @property
    def key(self) -> str:
        """The ordering key, e.g. ``id:42``."""
        return key_of(self.kind, self.value)

    def __repr__(self) -> str:
        return f"Person({self.kind}={self.value!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Person) and (self.kind, self.value) == (other.kind, other.value)

    def __hash__(self) -> int:
        return hash((self.kind, self.value))

    def __reduce__(self) -> tuple[object, ...]:
        return _person, (self.kind, self.value)


def _person(kind: str, value: str) -> Person:
    return Person(**{kind: value})


class FrameworkUser(Protocol):
    """A user of Django, Flask-Login or a similar framework; see ``trackrelay.django``."""

    @property
    def is_authenticated(self) -> bool:
        """Whether somebody is logged in."""

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is logged in. An anonymous user is refused."""


#: A person, the person's id, or a user of a framework.
PersonLike: TypeAlias = Person | str | int | UUID | FrameworkUser
#: Types of plain ids.
PLAIN = frozenset({str, int, UUID})

_recognise: Callable[[object], Person | None] | None = None


def recognise_people(recognise: Callable[[object], Person | None]) -> None:
    """Set the function that returns the person of a framework's user.

    Args:
        recognise: returns None for a value that is no user.
    """
    global _recognise
    _recognise = recognise


def recognised(value: object) -> Person | None:
    """Return the person of a framework's user, or None if ``value`` is no user."""
    return _recognise(value) if _recognise else None


def unwrapped(value: object) -> object:
    """Return the Person that ``value`` is or stands for, else the value without its lazy wrappers.

    Raises:
        InvalidOperationError: the code of ``value`` raised.
    """
    if type(value) is Person:
        return value
    try:
        return recognised(value) or resolved(value)
    except Exception as error:
        refusal = refusal_for(error).inside("identifiers")
        raise refusal.error("the person") from refusal.__cause__


def plain_id(value: object) -> str:
    """Return a plain value as the id of a person.

    Raises:
        InvalidOperationError: it is no id, or has the shape of an email or a cio_id.
    """
    try:
        text = name_of(value)
        if "@" in text and "@" in text.strip("@"):
            raise _ambiguous("looks like an email address", "Person(email=…)")
        if text.startswith("cio_"):
            raise _ambiguous("starts with 'cio_'", "Person(cio_id=…)")
    except Exception as error:
        refusal = refusal_for(error).inside("identifiers", "id")
        raise refusal.error("a person's id") from refusal.__cause__
    return text


def _ambiguous(what: str, meant: str) -> RefusalError:
    return RefusalError(
        f"{what}: say {meant}, or Person(id=…) if it is your id", limit="an id", actual=what
    )


class ObjectRef(_Frozen):
    """An object, such as a company or a course.

    Args:
        type_id: the type of the object: its number in the workspace, or a name in the setting
            ``object_types``.
        object_id: your id for the object: text, or an int or a UUID, which become text; at most 150
            bytes.
        cio_object_id: Customer.io's own id for the object, in place of both. The object must exist.

    Raises:
        InvalidOperationError: there is neither, there are both, or one is invalid.
    """

    __slots__ = ("cio_object_id", "object_id", "type_id")
    type_id: str | None
    object_id: str | None
    cio_object_id: str | None

    def __init__(
        self,
        type_id: str | int | None = None,
        object_id: str | int | UUID | None = None,
        *,
        cio_object_id: str | None = None,
    ) -> None:
        clean: dict[str, Any]
        given: dict[str, Any] = {
            "object_type_id": type_id,
            "object_id": object_id,
            "cio_object_id": cio_object_id,
        }
        try:
            clean = identifier_checks.of_object(
                {name: value for name, value in given.items() if value is not None}
            )
        except Exception as problem:
            refusal = refusal_for(problem)
            error = _error(refusal, "an ObjectRef")
            if not _is_deferred():
                raise error from refusal.__cause__
            given = {name: value for name, value in given.items() if value is not None}
            clean = {"cio_object_id": Unacceptable(given, error)}
        _set(self, "type_id", clean.get("object_type_id"))
        _set(self, "object_id", clean.get("object_id"))
        _set(self, "cio_object_id", clean.get("cio_object_id"))

    @property
    def identifiers(self) -> dict[str, str]:
        """The identifiers of the object in the Track API's v2."""
        if self.type_id is None or self.object_id is None:
            return {"cio_object_id": self.cio_object_id or ""}
        return {"object_type_id": self.type_id, "object_id": self.object_id}

    @property
    def key(self) -> str:
        """The ordering key, e.g. ``object:1:acme``."""
        return object_key(self.identifiers)

    def __repr__(self) -> str:
        if self.cio_object_id:
            return f"ObjectRef(cio_object_id={self.cio_object_id!r})"
        return f"ObjectRef({self.type_id!r}, {self.object_id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectRef) and self.identifiers == other.identifiers

    def __hash__(self) -> int:
        return hash((self.type_id, self.object_id, self.cio_object_id))

    def __reduce__(self) -> tuple[object, ...]:
        return _object, (self.type_id, self.object_id, self.cio_object_id)


def _object(type_id: str | None, object_id: str | None, cio_object_id: str | None) -> ObjectRef:
    return ObjectRef(type_id, object_id, cio_object_id=cio_object_id)


def _error(refusal: RefusalError, subject: str) -> InvalidOperationError:
    path = refusal.inside("identifiers").path
    return refusal.error(f"the {path[-1]} of {subject}" if len(path) > 1 else subject)
