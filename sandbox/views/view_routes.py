"""The paths below /_sandbox."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import Route

from trackrelay.sandbox.core import Sandbox

from .control import Control
from .inspection import Look


def views(sandbox: Sandbox) -> Starlette:
    """The application that shows a sandbox and takes orders for it."""
    look, control = Look(sandbox), Control(sandbox)
    at = "/_sandbox"
    return Starlette(
        routes=[
            Route(f"{at}/", look.page),
            Route(f"{at}/latest", look.latest),
            Route(f"{at}/people", look.people),
            Route(f"{at}/people/{{key:path}}", look.person),
            Route(f"{at}/objects", look.objects),
            Route(f"{at}/others", look.others),
            Route(f"{at}/effects", look.effects),
            Route(f"{at}/events", look.events),
            Route(f"{at}/requests", look.requests),
            Route(f"{at}/duplicates", look.duplicates),
            Route(f"{at}/summary", look.summary),
            Route(f"{at}/faults", control.faults, methods=["GET", "POST", "DELETE"]),
            Route(f"{at}/faults/{{number}}", control.fault, methods=["DELETE"]),
            Route(f"{at}/outage", control.outage, methods=["POST", "DELETE"]),
            Route(f"{at}/credentials", control.credentials, methods=["PUT"]),
            Route(f"{at}/settings", control.settings, methods=["GET", "PUT"]),
            Route(f"{at}/deliveries/{{delivery_id}}", control.delivery, methods=["PUT"]),
            Route(f"{at}/reset", control.reset, methods=["POST"]),
        ]
    )
