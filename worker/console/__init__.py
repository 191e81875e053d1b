"""The web console: what is delivered, what waits, what failed, and what to do about it.

``trackrelay console`` serves it. :func:`console_app` mounts it in an ASGI application, and
:func:`console_wsgi` in a WSGI application.
"""

from trackrelay.configuration.console_values import ConsoleUser, Role

from .console_app import console_app
from .wsgi_bridge import console_wsgi

__all__ = ["ConsoleUser", "Role", "console_app", "console_wsgi"]
