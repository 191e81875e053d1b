"""Operate: erase what the stores have of a person, and block what comes later."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any

import click
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.calls.producer import Producer
from trackrelay.default import overrides
from trackrelay.errors import TrackRelayError
from trackrelay.operations.operation import Operation
from trackrelay.worker.erasure.forget_run import (
    ForgetError,
    ForgetRun,
    Order,
    allow_again,
    preview,
)
from trackrelay.worker.erasure.outbox_erasure import OutboxAwayError
from trackrelay.worker.erasure.person_keys import PersonKeys
from trackrelay.worker.erasure.queue_erasure import QueueErasureError
from trackrelay.worker.erasure.store_erasure import ForgetStores
from trackrelay.worker.storage.key_hasher import is_hashed

from .common.command_errors import CommandError, explain, explain_outbox
from .common.command_options import (
    Duration,
    confirm,
    dry_run_option,
    json_option,
    keys_of_person,
    no_wait_option,
    require_answer,
    yes_option,
)
from .common.command_stores import Stores, open_stores
from .common.humanize import count
from .common.output import print_json, say, show, stderr
from .forget.forget_render import render_census, render_receipt

_AGAIN = "Run the same command again: it continues where it stopped"


@click.command()
@click.argument("person")
@click.option(
    "--also",
    multiple=True,
    metavar="NAME",
    help="Another name of the same person: 42, email:ada@example.com, phone:+1…, anonymous:… "
    "Repeatable.",
)
@click.option("--suppress", is_flag=True, help="Also suppress the person at Customer.io.")
@click.option("--delete", is_flag=True, help="Also delete the person at Customer.io.")
@click.option(
    "--allow-again",
    "allow",
    is_flag=True,
    help="Deliver new jobs of the person again. What was dropped is gone.",
)
@click.option(
    "--timeout",
    type=Duration(),
    default="60s",
    show_default=True,
    help="How long to wait until Customer.io has the deletion or suppression.",
)
@no_wait_option
@dry_run_option
@yes_option
@json_option
def forget(
    person: str,
    also: tuple[str, ...],
    suppress: bool,
    delete: bool,
    allow: bool,
    timeout: timedelta,
    no_wait: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Erase what the stores have of PERSON, and block what is enqueued later.

    PERSON is one name: 42, email:ada@example.com, phone:+1…, anonymous:… A job is stored under the
    name in its call. So give every other name that you know with --also.

    Payloads in the outbox, the streams, the backlog and the dead letters are erased. The ledger
    keeps the ids of jobs, so that none is delivered twice, with keyed hashes in place of names.
    Later calls for the person are accepted. Workers drop and count their jobs until --allow-again.

    Prints a receipt without personal data. After an interruption, run the same command again.
    """
    mode = _mode(suppress, delete)
    if allow and (mode != "erase" or dry_run):
        raise click.UsageError("--allow-again excludes --suppress, --delete and --dry-run")
    require_answer(as_json, yes, dry_run or allow)
    keys = _keys((person, *also))
    with open_stores() as stores:
        people = PersonKeys(keys, stores.hasher())
        target = ForgetStores(stores.engine, stores.redis, stores.settings, _enqueue)
        if allow:
            _allow(target, people, as_json=as_json)
            return
        if dry_run or not yes:
            found = _explained(stores, lambda: preview(target, people))
            if as_json:
                print_json(
                    {"dry_run": True, "keys": list(people.hidden.values()), **found.document()}
                )
            else:
                show(render_census(list(keys), mode, found))
            if dry_run:
                return
            confirm("Erase it, and block what comes later? This cannot be undone.")
        order = Order(mode, 0.0 if no_wait else timeout.total_seconds())
        receipt = _run(stores, target, people, order)
        if as_json:
            print_json(receipt)
        else:
            show(render_receipt(list(keys), receipt))
        _check(receipt, no_wait=no_wait)


def _mode(suppress: bool, delete: bool) -> Any:
    if suppress and delete:
        raise click.UsageError("use either --suppress or --delete: a suppression also deletes")
    return "suppress" if suppress else "delete" if delete else "erase"


def _keys(names: tuple[str, ...]) -> tuple[str, ...]:
    found = [key for name in names for key in ([name] if is_hashed(name) else keys_of_person(name))]
    return tuple(dict.fromkeys(found))


def _enqueue(operation: Operation) -> None:
    # Only the queue: the job must not be put down anywhere else.
    options = {**overrides(), "on_unavailable": "raise", "backend": "redis"}
    with closing(Producer(**options)) as producer:
        producer.enqueue(operation)


def _run(stores: Stores, target: ForgetStores, person: PersonKeys, order: Order) -> dict[str, Any]:
    console = stderr()
    with console.status("blocking") as status:
        run = ForgetRun(target, person, order, status.update)
        try:
            receipt: dict[str, Any] = _explained(stores, run.run)
            return receipt
        except CommandError as error:
            if not run.is_marked:
                raise
            raise CommandError(
                f"not complete: {error.message.removeprefix('trackrelay: ')}. "
                f"New jobs of the person are blocked. {_AGAIN}"
            ) from None
        except KeyboardInterrupt:
            blocked = " New jobs of the person are blocked." if run.is_marked else ""
            raise CommandError(f"interrupted.{blocked} {_AGAIN}") from None


def _explained(stores: Stores, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except OutboxAwayError as error:
        cause = error.__cause__
        assert isinstance(cause, Exception)
        url = stores.settings.outbox_url.get_secret_value()
        raise CommandError(explain_outbox(cause, url)) from None
    except (ForgetError, QueueErasureError, TrackRelayError) as error:
        raise CommandError(str(error)) from None
    except (RedisError, SQLAlchemyError) as error:
        raise CommandError(explain(error) or str(error)) from None


def _check(receipt: dict[str, Any], *, no_wait: bool) -> None:
    if receipt["complete"]:
        return
    dead = [each["job"] for each in receipt["customerio"] if each["state"] == "dead_letter"]
    waiting = [each["job"] for each in receipt["customerio"] if each["state"] == "waiting"]
    left = sum(store["after"] or 0 for store in receipt["stores"].values())
    if dead:
        raise CommandError(
            f"Customer.io did not take the job {dead[0]}: see `trackrelay dead-letters show "
            f"{dead[0]}`, repair and replay it, then run the same command again"
        )
    if left:
        raise CommandError(
            f"{count(left, 'thing')} of the person arrived meanwhile and is not erased yet. "
            f"{_AGAIN}"
        )
    if waiting and not no_wait:
        raise CommandError(
            f"everything here is erased, and the job for Customer.io waits: `trackrelay find "
            f"{waiting[0]}` shows why. {_AGAIN}, and checks that it arrived"
        )


def _allow(target: ForgetStores, person: PersonKeys, *, as_json: bool) -> None:
    try:
        requests = allow_again(target, person)
    except ForgetError as error:
        raise CommandError(str(error)) from None
    dropped = sum(each.blocked_jobs for each in requests)
    if as_json:
        keys = sorted(person.hidden.values())
        print_json({"allowed": keys, "blocked_jobs": dropped})
    else:
        say(
            f"New jobs of the person are delivered again. {count(dropped, 'job')} came meanwhile "
            "and was dropped."
            if dropped == 1
            else f"New jobs of the person are delivered again. {count(dropped, 'job')} came "
            "meanwhile and were dropped."
        )
