"""The Django application ``trackrelay``."""

from __future__ import annotations

import re

from django.apps import AppConfig
from django.core.signals import setting_changed

_SECRETS = r"(?:^|_)(?:REDIS|DATABASE|OUTBOX)_URL$|CUSTOMERIO_SITE_ID$"


class TrackRelayConfig(AppConfig):
    """Connect :mod:`trackrelay` with this project: its settings, its transactions, its users."""

    name = "trackrelay.django"
    label = "trackrelay"
    verbose_name = "trackrelay"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register everything, once Django has loaded all models.

        The checks report wrong settings later.
        """
        from trackrelay import default
        from trackrelay.configuration.settings_loader import set_framework_settings
        from trackrelay.operations.refs import recognise_people

        from . import signals, system_checks
        from .django_producer import DjangoProducer
        from .django_settings import as_environment
        from .user_identity import person_of

        set_framework_settings(as_environment)
        default.produce_with(DjangoProducer)
        recognise_people(person_of)
        system_checks.register()
        signals.connect()
        _hide_secrets()
        setting_changed.connect(_read_again, dispatch_uid="trackrelay")


def _read_again(*, setting: str, **_: object) -> None:
    # A test overrides settings. They apply from the next call on.
    if setting in ("TRACKRELAY", "TIME_ZONE", "DATABASES"):
        from trackrelay.default import configure

        configure()


def _hide_secrets() -> None:
    """Hide our secrets on Django's error pages and in its error mails.

    Django hides names with KEY, SECRET, PASS and similar words. It shows URLs, which can hold
    passwords.
    """
    from django.views.debug import SafeExceptionReporterFilter

    known = SafeExceptionReporterFilter.hidden_settings
    if _SECRETS not in known.pattern:
        pattern = re.compile(f"{known.pattern}|{_SECRETS}", known.flags)
        SafeExceptionReporterFilter.hidden_settings = pattern
