"""The tests' Django project in this process.

It is set up once, and `producers` is connected to it only while a test asks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import django
from asgiref.sync import SyncToAsync
from django.apps import apps
from django.core.management import call_command
from django.db import connections, transaction
from django.test import override_settings
from django.test.utils import setup_test_environment

from tests.support.databases_told import told_of
from trackrelay import Producer, default
from trackrelay.configuration.settings_loader import set_framework_settings
from trackrelay.operations.refs import recognise_people

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.django_project.settings")
_zone = os.environ.get("TZ")
django.setup()
# Django moves the whole process to its time zone, and every worker that a later test starts.
if _zone is None:
    os.environ.pop("TZ", None)
else:
    os.environ["TZ"] = _zone
time.tzset()
# So that a response has the context of its templates.
setup_test_environment()


def use(alias: str, url: str) -> None:
    """Let ``alias`` be the database at ``url``, in every thread."""
    _close_connections()
    connections.databases[alias].update(told_of(url))


def _close_connections() -> None:
    for close in (
        connections.close_all,
        SyncToAsync.single_thread_executor.submit(connections.close_all).result,
    ):
        close()


def migrate(alias: str, url: str) -> None:
    """Make Django's tables in the database at ``url``."""
    use(alias, url)
    call_command("migrate", database=alias, verbosity=0, interactive=False, run_syncdb=True)
    connections[alias].close()


@contextmanager
def connected(**trackrelay: Any) -> Iterator[None]:
    """Django as in a project with these settings; afterwards `producers` is disconnected again."""
    apps.get_app_config("trackrelay").ready()
    try:
        with override_settings(TRACKRELAY=trackrelay):
            yield
    finally:
        set_framework_settings(lambda _: {})
        default.produce_with(Producer)
        recognise_people(lambda _: None)
        _close_connections()


def sqlite_url(folder: Path) -> str:
    """A database in a file."""
    return f"sqlite:///{folder / 'shop.sqlite3'}"


class RollbackError(Exception):
    """Ends a transaction that must leave nothing behind."""


@contextmanager
def rolled_back(using: str = "default") -> Iterator[None]:
    """A transaction, or inside another one a savepoint, that is rolled back in the end."""
    with suppress(RollbackError), transaction.atomic(using=using):
        yield
        raise RollbackError
