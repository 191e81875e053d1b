"""The extension."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import flask

from trackrelay.configuration.environment import set_framework_settings
from trackrelay.default import produce_with
from trackrelay.errors import ConfigurationError
from trackrelay.operations.refs import PersonLike

from . import flask_command
from .deferred_jobs import JobSender
from .flask_producer import FlaskProducer
from .flask_settings import as_environment, unknown_names, wrong_cookie
from .flask_visitors import EXTENSION, remember_visitor

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trackrelay.outbox import Outbox

WhoIsIt = Callable[[], PersonLike | None]
F = TypeVar("F", bound=WhoIsIt)


class TrackRelay:
    """Makes the functions of :mod:`trackrelay` those of a Flask application. One application a process: the last one.

    Args:
        app: the application; left out, call :meth:`init_app`.
        db: Flask-SQLAlchemy's ``SQLAlchemy()``: everything goes by way of the outbox in its default database. The table is put into
            ``db.metadata``, for ``db.create_all()`` and Flask-Migrate.
        after_response: enqueue when the server is done with the response, so that nobody waits for the queue. A visitor's next
            request can then overtake this one: its jobs arrive out of order.
    """

    def __init__(
        self, app: flask.Flask | None = None, *, db: Any = None, after_response: bool = False
    ) -> None:
        self._db = db
        self._after_response = after_response
        self._who: WhoIsIt = _nobody
        if db is not None:
            from trackrelay.outbox import table

            if table.name not in db.metadata.tables:
                table.to_metadata(db.metadata)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Serve ``app``. Its settings are read at the first call that needs them; nothing connects before."""
        app.extensions[EXTENSION] = self
        app.after_request(remember_visitor)
        # Test clients close a response late or never.
        after_response = lambda: self._after_response and not app.testing  # noqa: E731
        app.wsgi_app = JobSender(app.wsgi_app, after_response)  # type: ignore[method-assign]
        told = functools.partial(self._settings, app)
        app.cli.add_command(flask_command.command(told))
        set_framework_settings(lambda _: as_environment(app.config))
        produce_with(functools.partial(FlaskProducer, self._engine_of(app)))
        for name, meant in unknown_names(app.config).items():
            hint = f"; did you mean {meant}?" if meant else ""
            message = f"trackrelay: {name} of app.config is not a setting{hint}"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        if wrong := wrong_cookie(app.config):
            warnings.warn(wrong, RuntimeWarning, stacklevel=2)

    def person_loader(self, who: F) -> F:
        """Say who is logged in: a decorator for a function that returns a person, or their id, or None for nobody.

        It is called in a request, by :func:`trackrelay.flask.visitor`.
        """
        self._who = who
        return who

    def load_person(self) -> PersonLike | None:
        """Who is logged in."""
        return self._who()

    @property
    def outbox(self) -> Outbox:
        """Writes jobs into the transaction of ``db.session``: they commit with it, or never existed.

        Raises:
            ConfigurationError: the extension was made without ``db``.
        """
        if self._db is None:
            raise ConfigurationError(
                "the outbox needs the database: TrackRelay(db=db), with Flask-SQLAlchemy's db"
            )
        from trackrelay.outbox import Outbox

        return Outbox(self._db.session)

    def _engine_of(self, app: flask.Flask) -> Callable[[], sa.Engine] | None:
        if self._db is None:
            return None

        @functools.cache
        def engine() -> sa.Engine:
            with app.app_context():
                found: sa.Engine = self._db.engine
            return found

        return engine

    def _settings(self, app: flask.Flask) -> dict[str, str]:
        told = as_environment(app.config)
        if engine := self._engine_of(app):
            told.setdefault(
                "TRACKRELAY_OUTBOX_URL", engine().url.render_as_string(hide_password=False)
            )
        return told


def _nobody() -> None:
    return None
