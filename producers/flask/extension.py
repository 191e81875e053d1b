"""The Flask extension."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import flask

from trackrelay.configuration.settings_loader import set_framework_settings
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

PersonLoader = Callable[[], PersonLike | None]
F = TypeVar("F", bound=PersonLoader)


class TrackRelay:
    """Connect the functions of :mod:`trackrelay` with a Flask application.

    In a process, the last application counts.

    Args:
        app: the application; left out, call :meth:`init_app`.
        db: Flask-SQLAlchemy's ``SQLAlchemy()``. Jobs then go through the outbox in its default
            database. Its table is added to ``db.metadata``, for ``db.create_all()`` and
            Flask-Migrate.
        after_response: whether to enqueue after the server has closed the response. No visitor then
            waits for the queue, but a visitor's next request can overtake this one, and its jobs
            can arrive first.
    """

    def __init__(
        self, app: flask.Flask | None = None, *, db: Any = None, after_response: bool = False
    ) -> None:
        self._db = db
        self._after_response = after_response
        self._person_loader: PersonLoader = _no_person
        if db is not None:
            from trackrelay.outbox import table

            if table.name not in db.metadata.tables:
                table.to_metadata(db.metadata)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Connect with ``app``.

        Its settings are read at the first call that needs them, and nothing connects before.
        """
        app.extensions[EXTENSION] = self
        app.after_request(remember_visitor)
        # A test client closes a response late or never.
        after_response = lambda: self._after_response and not app.testing  # noqa: E731
        app.wsgi_app = JobSender(app.wsgi_app, after_response)  # type: ignore[method-assign]
        environment = functools.partial(self._settings, app)
        app.cli.add_command(flask_command.command(environment))
        set_framework_settings(lambda _: as_environment(app.config))
        produce_with(functools.partial(FlaskProducer, self._engine_of(app)))
        for name, meant in unknown_names(app.config).items():
            hint = f"; did you mean {meant}?" if meant else ""
            message = f"trackrelay: {name} of app.config is not a setting{hint}"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        if wrong := wrong_cookie(app.config):
            warnings.warn(wrong, RuntimeWarning, stacklevel=2)

    def person_loader(self, who: F) -> F:
        """Register a function that returns the person who is logged in, their id, or None.

        Usable as a decorator.

        :func:`trackrelay.flask.visitor` calls it in a request.
        """
        self._person_loader = who
        return who

    def load_person(self) -> PersonLike | None:
        """Return the person who is logged in, or None."""
        return self._person_loader()

    @property
    def outbox(self) -> Outbox:
        """An outbox in the transaction of ``db.session``, committed or rolled back with it.

        Raises:
            ConfigurationError: the extension was made without ``db``.
        """
        if self._db is None:
            raise ConfigurationError(
                "the outbox needs a database: call TrackRelay(db=db) with Flask-SQLAlchemy's db"
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
        environment = as_environment(app.config)
        if engine := self._engine_of(app):
            environment.setdefault(
                "TRACKRELAY_OUTBOX_URL", engine().url.render_as_string(hide_password=False)
            )
        return environment


def _no_person() -> None:
    return None
