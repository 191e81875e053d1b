"""Celery, but told only by us where to listen: an application's Celery, configured in the same environment, is another one."""

from __future__ import annotations

from typing import Any

from celery import Celery


class OwnCelery(Celery):  # type: ignore[misc]
    """A Celery app whose broker, loader and result backend nothing in the environment changes.

    Celery prefers ``CELERY_BROKER_URL`` and its kin to an app's configuration, and ``celery -b`` sets the same name. Our
    messages are in the Redis of the queue and nowhere else: the script that appends a job writes them there.
    """

    #: Which Celery would otherwise take from CELERY_RESULT_BACKEND. No task of ours has a result.
    backend_cls = "disabled"
    #: Makes connections that leave a Redis which is no primary any more.
    amqp_cls = "trackrelay.worker.celery_app.broker:BrokerAMQP"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # No fix-ups: Celery's for Django puts the current folder first on the path and loads the application.
        super().__init__(*args, **{"loader": "app", "fixups": set()} | kwargs)

    def connection_for_read(self, url: str | None = None, **kwargs: Any) -> Any:
        """A connection to our broker, whatever ``url`` says: Celery's own callers pass on what the environment says."""
        return super().connection_for_read(self._own_url(), **kwargs)

    def connection_for_write(self, url: str | None = None, **kwargs: Any) -> Any:
        """As :meth:`connection_for_read`."""
        return super().connection_for_write(self._own_url(), **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        # A pool process that was not forked (macOS) is handed the app: it needs this one, with its tasks.
        return _of_this_process, ()

    def _own_url(self) -> str:
        return str(self.conf["broker_url"])


def _of_this_process() -> OwnCelery:
    from trackrelay.worker.celery import app

    return app
