"""The options by which dead letters are chosen, and what they mean."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.refs import Person
from trackrelay.worker.cli.common.key_argument import key_given
from trackrelay.worker.settings import parse_duration
from trackrelay.worker.storage.dead_letter_queries import STATES, Filters, State
from trackrelay.worker.storage.key_hasher import KeyHasher, is_hashed

REASONS = ("rejected", "exhausted", "expired", "undecodable", "crashed", "invalid")
_KINDS = {
    "id": "id",
    "email": "email",
    "phone": "phone",
    "cio_id": "cio_id",
    "anonymous": "anonymous_id",
}


class Moment(click.ParamType[float]):
    """A moment: a date or time (UTC unless it says otherwise), or how long ago. Becomes unix seconds."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """``2h``, ``3d``, ``2026-05-01``, ``2026-05-01T12:00``, ``2026-05-01T12:00+02:00``."""
        if isinstance(value, float):
            return value
        try:
            return time.time() - parse_duration(value).total_seconds()
        except ValueError:
            pass
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is neither a moment such as 2026-05-01T12:00 nor how long ago, such as 2h or 3d",
                param,
                ctx,
            )
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def filters(
    *, states: tuple[str, ...] = STATES
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds the filter options to a command, which gets them as ``chosen``: a function of the hasher.

    Args:
        states: those that ``--state`` offers; without it, only open letters are meant.
    """
    options = [
        click.option("--id", "ids", multiple=True, metavar="ID", help="This one. Repeatable."),
        click.option(
            "--reason",
            "reasons",
            multiple=True,
            type=click.Choice(REASONS),
            help="Died of this. Repeatable.",
        ),
        click.option(
            "--operation", "operations", multiple=True, help="Such as person.identify. Repeatable."
        ),
        click.option(
            "--person",
            "people",
            multiple=True,
            metavar="WHO",
            help="By id, email or phone. Repeatable.",
        ),
        click.option(
            "--key",
            "keys",
            multiple=True,
            help="As logs show it: id:42, object:1:acme, email:#…. Repeatable.",
        ),
        click.option(
            "--source", "sources", multiple=True, help="Enqueued by this application. Repeatable."
        ),
        click.option(
            "--error", metavar="TEXT", help="Part of what was said, or of the field's name."
        ),
        click.option(
            "--since",
            type=Moment(),
            metavar="WHEN",
            help="Died at or after: 2h (ago), 2026-05-01T12:00 (UTC).",
        ),
        click.option("--until", type=Moment(), metavar="WHEN", help="Died before."),
        click.option(
            "--state",
            "states",
            multiple=True,
            type=click.Choice([*states, "all"]),
            help="Default: open. Repeatable.",
        ),
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_filters(**given: Any) -> Any:
            names = (
                "ids",
                "reasons",
                "operations",
                "people",
                "keys",
                "sources",
                "error",
                "since",
                "until",
                "states",
            )
            chosen = functools.partial(_filters, {name: given.pop(name) for name in names})
            return command(chosen=chosen, **given)

        for option in reversed(options):
            with_filters = option(with_filters)
        return with_filters

    return decorate


def _filters(given: dict[str, Any], hasher: KeyHasher) -> Filters:
    plain = [key for who in given["people"] for key in keys_of_person(who)]
    plain += [key_given(key) for key in given["keys"]]
    return Filters(
        ids=tuple(id.upper() for id in given["ids"]),
        states=_states(given),
        reasons=given["reasons"],
        operations=given["operations"],
        keys=tuple(_stored(key, hasher) for key in plain),
        sources=given["sources"],
        error=given["error"],
        since=given["since"],
        until=given["until"],
    )


def _states(given: dict[str, Any]) -> tuple[State, ...]:
    if "all" in given["states"]:
        return ()
    # Somebody who names a letter is told about it, whatever its state.
    return given["states"] or (() if given["ids"] else ("open",))


def missed(chosen: Filters, found: Sequence[str]) -> list[str]:
    """The ids of letters that were named and are not among those ``found``."""
    # Named together with something else, a letter may only have been filtered out.
    return [id for id in chosen.ids if id not in found] if chosen == Filters(ids=chosen.ids) else []


def keys_of_person(who: str) -> list[str]:
    """The keys by which ``who`` may be known: an id, an email, a phone number, or ``kind:value``.

    Raises:
        click.BadParameter: it can be none of them.
    """
    kind, separator, value = who.partition(":")
    try:
        if separator and kind in _KINDS:
            return [Person(**{_KINDS[kind]: value}).key]
        keys = [Person(id=who).key]
    except InvalidOperationError as error:
        raise click.BadParameter(str(error), param_hint="--person") from None
    for shape, other in (("@" in who, "email"), (who.startswith("+"), "phone")):
        try:
            keys += [Person(**{other: who}).key] if shape else []
        except InvalidOperationError:
            continue
    return keys


def _stored(key: str, hasher: KeyHasher) -> str:
    return key if is_hashed(key) else hasher.stored(key)
