"""Options, types of options and questions that several commands share."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.checks.name_checks import compared_email
from trackrelay.operations.keys import KINDS
from trackrelay.operations.refs import Person
from trackrelay.worker.settings import parse_duration
from trackrelay.worker.storage.key_hasher import KeyHasher, is_hashed

#: The largest number that an option takes: it fits into a column, and is as good as "all".
MAX_NUMBER = 2**31 - 1

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout."
)
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Report what would be done, and change nothing."
)
no_wait_option = click.option("--no-wait", is_flag=True, help="Return at once.")
shard_option = click.option(
    "--shard",
    "shards",
    type=click.IntRange(0, MAX_NUMBER),
    multiple=True,
    metavar="N",
    help="Only this shard. Repeatable. Default: all shards.",
)

#: Options that select jobs, by the name of the parameter; each can be repeated.
JOB_FILTERS = {
    "operations": click.option(
        "--operation",
        "operations",
        multiple=True,
        help="The operation, such as person.identify. Repeatable.",
    ),
    "names": click.option(
        "--name",
        "names",
        multiple=True,
        help="The event's name, such as order_placed. Repeatable.",
    ),
    "people": click.option(
        "--person",
        "people",
        multiple=True,
        metavar="WHO",
        help="The person's id, email or phone. Repeatable.",
    ),
    "emails": click.option(
        "--email",
        "emails",
        multiple=True,
        metavar="ADDRESS",
        help="The email address in the job, as an identifier or an attribute. Repeatable.",
    ),
    "keys": click.option(
        "--key",
        "keys",
        multiple=True,
        help="The key, as logs show it: id:42, object:1:acme, email:#…. Repeatable.",
    ),
    "sources": click.option(
        "--source",
        "sources",
        multiple=True,
        help="The application that enqueued the job. Repeatable.",
    ),
}

#: What can stand before the colon of ``--person``, and the identifier that it means.
PERSON_KINDS = {
    "id": "id",
    "email": "email",
    "phone": "phone",
    "cio_id": "cio_id",
    "anonymous": "anonymous_id",
    "anonymous_id": "anonymous_id",
}


class Duration(click.ParamType[timedelta]):
    """A duration as settings have it: 90s, 10m, 12h, 3d."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Return the duration that ``value`` names."""
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Moment(click.ParamType[float]):
    """A date, a time (UTC unless it names a zone), or how long ago. Becomes unix seconds."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the unix seconds of ``2h``, ``2026-05-01``, ``2026-05-01T12:00+02:00``."""
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
                f"{value!r} is neither a time such as 2026-05-01T12:00 "
                "nor a duration such as 2h or 3d",
                param,
                ctx,
            )
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_key(key: str) -> str:
    """Return ``key`` as jobs have it; the email of an email key in its compared form.

    Raises:
        click.BadParameter: no job can have this key.
    """
    kind, _, value = key.partition(":")
    if kind not in KINDS or not value.strip():
        raise click.BadParameter(
            f"{key!r} is not a key such as id:42, email:ada@example.com or object:1:acme",
            param_hint="--key",
        )
    return f"email:{compared_email(value)}" if kind == "email" and not is_hashed(key) else key


def keys_of_person(person: str) -> list[str]:
    """Return the keys that jobs of ``person`` can have.

    Args:
        person: an id, an email, a phone number, or ``kind:value``.

    Raises:
        click.BadParameter: it is none of them.
    """
    kind, separator, value = person.partition(":")
    try:
        if separator and kind in PERSON_KINDS:
            return [Person(**{PERSON_KINDS[kind]: value}).key]
        keys = [Person(id=person).key]
    except InvalidOperationError as error:
        raise click.BadParameter(str(error), param_hint="--person") from None
    for looks_alike, other in (("@" in person, "email"), (person.startswith("+"), "phone")):
        try:
            keys += [Person(**{other: person}).key] if looks_alike else []
        except InvalidOperationError:
            continue
    return keys


def stored_keys(people: Iterable[str], keys: Iterable[str], hasher: KeyHasher) -> tuple[str, ...]:
    """Return the keys that ``--person`` and ``--key`` select, in the form that the stores have."""
    selected = [key for person in people for key in keys_of_person(person)]
    selected += [parse_key(key) for key in keys]
    return tuple(form for key in selected for form in stored_forms(key, hasher))


def stored_forms(key: str, hasher: KeyHasher) -> tuple[str, ...]:
    """Return the forms that ``key`` can have in the stores: `trackrelay forget` also hides ids."""
    if is_hashed(key):
        return (key,)
    return tuple(dict.fromkeys((hasher.stored(key), hasher.hidden(key))))


def require_answer(as_json: bool, yes: bool, dry_run: bool) -> None:
    """Refuse ``--json`` where the command would have to ask a question.

    Raises:
        click.UsageError: neither ``--yes`` nor ``--dry-run`` was given.
    """
    if as_json and not (yes or dry_run):
        raise click.UsageError("--json cannot ask for confirmation: add --yes or --dry-run")


def confirm(question: str) -> None:
    """Ask on stderr, and abort unless the answer is yes."""
    click.confirm(question, abort=True, err=True)
