"""Checks of identifiers. Each gets the one form that Customer.io and our keys compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from trackrelay.operations import limits
from trackrelay.operations.coercion import mapping_of

from .name_checks import email, name_of, phone, text_in
from .object_types import object_type_id
from .rejection import RefusalError, brief, refusal_for, within

#: Track API, person_common.
KNOWN = frozenset({"id", "email", "phone", "cio_id"})
#: Track API, person_merge and v2_cio_relationships; v1's segments.
BY_ID_EMAIL_OR_CIO_ID = frozenset({"id", "email", "cio_id"})
#: Track API, v1's forms.
BY_ID_OR_EMAIL = frozenset({"id", "email"})
ANONYMOUS = frozenset({"anonymous_id"})
ANYBODY = KNOWN | ANONYMOUS

_OBJECT = "object_type_id and object_id, or cio_object_id alone"


def cio_id(value: object) -> str:
    """Return Customer.io's own id for a person, without the ``cio_`` that paths of v1 have."""
    return name_of(text_in(value, "text").removeprefix("cio_"))


def anonymous_id(value: object) -> str:
    """Return the id of an anonymous visitor."""
    return name_of(value, limits.ANONYMOUS_ID_BYTES)


#: The check of each identifier of a person.
PERSON: dict[str, Callable[[object], str]] = {
    "id": name_of,
    "email": email,
    "phone": phone,
    "cio_id": cio_id,
    "anonymous_id": anonymous_id,
}
#: The check of each identifier of an object.
OBJECT: dict[str, Callable[[object], str]] = {
    "object_type_id": object_type_id,
    "object_id": name_of,
    "cio_object_id": name_of,
}


def of_person(identifiers: object, allowed: frozenset[str] = KNOWN) -> tuple[str, str]:
    """Return the kind and the value of the only identifier of a person.

    Raises:
        RefusalError: there is none, more than one, or one that is malformed or not ``allowed``.
    """
    if type(identifiers) is not dict:
        identifiers = mapping_of(identifiers, "an object with one identifier")
    if len(identifiers) != 1:
        choice = _choice(allowed)
        raise RefusalError(
            f"needs exactly one of {choice}; it has {_listed(identifiers)}",
            limit=f"exactly one of {choice}",
            actual=_listed(identifiers),
        )
    ((kind, value),) = identifiers.items()
    if kind not in allowed:
        choice = _choice(allowed)
        raise RefusalError(
            f"cannot be named by {brief(kind)} here; Customer.io takes {choice}",
            limit=choice,
            actual=brief(kind),
        )
    if type(kind) is not str:
        kind = str(kind)
    try:
        return kind, PERSON[kind](value)
    except Exception as error:
        refusal = refusal_for(error).inside(kind)
        raise refusal from refusal.__cause__


def of_object(identifiers: object) -> dict[str, str]:
    """Return the identifiers of an object: its type and id, or Customer.io's own id for it."""
    given = dict(islice(mapping_of(identifiers, f"an object with {_OBJECT}").items(), 3))
    if given.keys() not in ({"object_type_id", "object_id"}, {"cio_object_id"}):
        raise RefusalError(
            f"needs {_OBJECT}; it has {_listed(given)}", limit=_OBJECT, actual=_listed(given)
        )
    return {str(name): within(str(name), OBJECT[str(name)], value) for name, value in given.items()}


def _choice(allowed: frozenset[str]) -> str:
    return ", ".join(kind for kind in PERSON if kind in allowed)


def _listed(names: Iterable[object]) -> str:
    listed = [
        name if type(name) is str and len(name) <= 20 and name.isprintable() else brief(name)
        for name in islice(names, 5)
    ]
    return " and ".join(listed) or "none"
