"""The Django application ``trackrelay_ops``."""

from __future__ import annotations

import importlib.util

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured

#: Packages that the admin and the command line need.
_NEEDED = ("sqlalchemy", "psycopg", "structlog")


class TrackRelayOpsConfig(AppConfig):
    """The command line and the admin."""

    name = "trackrelay.worker.django"
    label = "trackrelay_ops"
    verbose_name = "trackrelay"

    def __init__(self, app_name: str, app_module: object) -> None:
        if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
            raise ImproperlyConfigured(
                f"trackrelay.worker.django needs {', '.join(missing)}: "
                "pip install 'trackrelay[ops]', or 'trackrelay[worker]' to run workers too"
            )
        super().__init__(app_name, app_module)
