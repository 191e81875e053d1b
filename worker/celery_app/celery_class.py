"""The class of our Celery app.

Its configuration is ours alone: an application's Celery may share the environment.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from celery import Celery
from celery.utils.imports import symbol_by_name

#: Where processes find the app.
APP_PATH = "trackrelay.worker.celery:app"
_PROGRAMS = "trackrelay.worker.celery_app.celery_programs"


class OwnCelery(Celery):  # type: ignore[misc]
    """A Celery app whose broker, loader and result backend the environment does not change.

    Celery prefers ``CELERY_BROKER_URL`` and similar variables to an app's configuration, and
    ``celery -b`` sets the same variable. But our messages are always in the Redis of the queue: the
    script that appends a job writes them there.
    """

    #: Celery would otherwise take it from CELERY_RESULT_BACKEND. Our tasks have no results.
    backend_cls = "disabled"
    #: Makes connections that leave a Redis which is no longer the primary.
    amqp_cls = "trackrelay.worker.celery_app.broker:BrokerAMQP"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # No fix-ups: Celery's for Django puts the current folder first on the path and loads the
        # application.
        super().__init__(*args, **{"loader": "app", "fixups": set()} | kwargs)

    @cached_property
    def Worker(self) -> Any:
        """The program behind ``celery worker``."""
        return self.subclass_with_self(f"{_PROGRAMS}:WorkerProgram")

    @cached_property
    def Beat(self) -> Any:
        """The program behind ``celery beat``."""
        return self.subclass_with_self(f"{_PROGRAMS}:BeatProgram")

    def connection_for_read(self, url: str | None = None, **kwargs: Any) -> Any:
        """Return a connection to our broker. Celery passes the environment's URL; ignore it."""
        return super().connection_for_read(self._own_url(), **kwargs)

    def connection_for_write(self, url: str | None = None, **kwargs: Any) -> Any:
        """Return a connection to our broker, as :meth:`connection_for_read` does."""
        return super().connection_for_write(self._own_url(), **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        # A pool process that was not forked (macOS) receives the app, and needs this one, with its
        # tasks.
        return symbol_by_name, (APP_PATH,)

    def _own_url(self) -> str:
        return str(self.conf["broker_url"])
