"""Which dead letters a page shows or acts on, as the parameters of its address say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from trackrelay.operations.keys import is_private
from trackrelay.worker.reasons import DeathReason
from trackrelay.worker.storage.dead_letter_queries import Filters, State

from .page_request import BadRequestError, PageRequest

#: The parameters that select dead letters, as :class:`Filters` calls them.
NAMES = ("states", "reasons", "operations", "names", "sources", "keys", "ids")
STATES: tuple[State, ...] = get_args(State)


def filters_of_address(page: PageRequest) -> Filters:
    """Return the filters that the address of a page names. Without a state: open letters."""
    return _filters(page.params, page.param)


def filters_of_form(page: PageRequest) -> Filters:
    """Return the filters that a form sent; see :func:`as_fields`."""
    return _filters(page.fields, page.field)


def as_fields(filters: Filters) -> list[tuple[str, str]]:
    """Return the filters as parameters of an address, or as hidden fields of a form."""
    several = [(name, value) for name in NAMES for value in getattr(filters, name)]
    single = [
        (name, str(value)) for name in ("error", "until") if (value := getattr(filters, name))
    ]
    return several + single


def as_parameters(filters: Filters) -> dict[str, Any]:
    """Return the filters as :meth:`PageRequest.url` takes them."""
    found: dict[str, Any] = {name: list(getattr(filters, name)) for name in NAMES}
    return {name: value for name, value in found.items() if value} | (
        {"error": filters.error} if filters.error else {}
    )


def _filters(several: Callable[[str], list[str]], single: Callable[[str], str]) -> Filters:
    states = tuple(each for each in STATES if each in several("states")) or ("open",)
    if unknown := set(several("reasons")) - set(DeathReason):
        raise BadRequestError(f"There is no reason {sorted(unknown)[0]!r}.")
    keys = tuple(several("keys"))
    if any(is_private(key) and "#" not in key for key in keys):
        raise BadRequestError("Use the search: an address must not name a person.")
    return Filters(
        ids=tuple(several("ids")),
        states=states,
        reasons=tuple(several("reasons")),
        operations=tuple(several("operations")),
        names=tuple(several("names")),
        sources=tuple(several("sources")),
        keys=keys,
        error=single("error") or None,
        until=_until(single("until")),
    )


def _until(text: str) -> float | None:
    if not text:
        return None
    try:
        until = float(text)
    except ValueError:
        until = -1.0
    if not 0 < until < 1e11:
        raise BadRequestError(f"until must be unix seconds, not {text[:40]!r}.")
    return until
