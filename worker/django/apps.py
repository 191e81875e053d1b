"""The application ``trackrelay_ops``."""

from __future__ import annotations

from django.apps import AppConfig


class TrackRelayOpsConfig(AppConfig):
    """The command line and the admin."""

    name = "worker.django"
    label = "trackrelay_ops"
    verbose_name = "trackrelay"
