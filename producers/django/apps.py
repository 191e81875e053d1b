"""The application ``trackrelay``."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.signals import setting_changed


class TrackRelayConfig(AppConfig):
    """Connects :mod:`trackrelay` with this project: its settings, its transactions, its users."""

    name = "trackrelay.django"
    label = "trackrelay"
    verbose_name = "trackrelay"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Called by Django when every model is there. Reads no settings yet: a wrong one is for the checks to say."""
        from trackrelay import default
        from trackrelay.environment import set_framework_settings
        from trackrelay.people import recognise_people

        from . import checking, error_pages, signals
        from .configuration import as_environment
        from .people import person_of
        from .producer import DjangoProducer

        set_framework_settings(as_environment)
        default.produce_with(DjangoProducer)
        recognise_people(person_of)
        checking.register()
        signals.connect()
        error_pages.hide_secrets()
        setting_changed.connect(_read_again, dispatch_uid="trackrelay")


def _read_again(*, setting: str, **_: object) -> None:
    # A test that overrides settings means those of the next call.
    if setting in ("TRACKRELAY", "TIME_ZONE", "DATABASES"):
        from trackrelay.default import configure

        configure()
