"""Set up: check the settings, the servers and the credentials."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import click
from redis.exceptions import RedisError

from trackrelay.errors import ConfigurationError
from trackrelay.queue.redis_keys import MOVING
from trackrelay.worker.queue import queue_config

from .check import configuration_checks, server_checks
from .check.findings import Finding, render_findings
from .common.command_errors import CommandError
from .common.command_options import json_option
from .common.command_stores import Stores, open_stores
from .common.output import print_json, show


@click.command()
@json_option
def check(as_json: bool) -> None:
    """Check the settings, Redis, Postgres, the outbox and the credentials for Customer.io.

    Changes nothing. The exit status is 1 if anything is wrong; a warning does not count.
    """
    findings = list(_findings())
    wrong = [each for each in findings if each.state == "wrong"]
    if as_json:
        print_json({"ok": not wrong, "findings": [each.as_json() for each in findings]})
    else:
        show(render_findings(findings))
    if wrong:
        raise CommandError("\n".join(each.as_line() for each in wrong))


def _findings() -> Iterator[Finding]:
    yield from configuration_checks.settings_findings(os.environ)
    try:
        with open_stores() as stores:
            yield from server_checks.redis_findings(stores.redis, stores.settings)
            queue = _queue(stores)
            yield from server_checks.postgres_findings(stores.engine, stores.settings, queue)
            if stores.outbox is not None:
                yield from server_checks.outbox_findings(
                    stores.outbox, queue, lambda lease: _exists(stores, lease)
                )
            yield from configuration_checks.customerio_findings(stores.settings)
    except ConfigurationError:
        for area in (server_checks.REDIS, server_checks.POSTGRES, configuration_checks.CUSTOMERIO):
            yield Finding(area, "reached", "skipped", "not checked: correct the settings first")


def _queue(stores: Stores) -> server_checks.QueueLook:
    try:
        moving: Any = stores.redis.get(MOVING)
        return server_checks.QueueLook(queue_config.read(stores.redis), (moving or b"").decode())
    except RedisError:
        return server_checks.QueueLook()


def _exists(stores: Stores, key: str) -> bool:
    try:
        return bool(stores.redis.exists(key))
    except RedisError:
        return True  # not known; another finding reports that Redis does not answer
