"""trackrelay in Flask.

    relay = TrackRelay()          # TrackRelay(db=db) with Flask-SQLAlchemy: through the outbox

    def create_app():
        app = Flask(__name__)
        relay.init_app(app)       # settings: app.config["TRACKRELAY_REDIS_URL"] …

The functions of :mod:`trackrelay` then read the application's settings, and enqueue at the end of
the request. ``flask trackrelay`` is the command line. This module adds what only Flask needs.
"""

try:
    import flask  # noqa: F401 - to name the extra if it is missing
except ModuleNotFoundError as error:
    if error.name != "flask":
        raise
    message = "trackrelay.flask needs Flask: pip install 'trackrelay[flask]'"
    raise ModuleNotFoundError(message, name="flask") from None

from .extension import TrackRelay
from .flask_visitors import anonymous_id, forget_visitor, identify_visitor, visitor

__all__ = ["TrackRelay", "anonymous_id", "forget_visitor", "identify_visitor", "visitor"]
