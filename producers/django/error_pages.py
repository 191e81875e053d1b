"""Django's pages and mails of errors show settings and the environment: without our secrets.

Django hides what is called KEY, SECRET, PASS and the like. It shows URLs, and they hold passwords.
"""

from __future__ import annotations

import re

from django.views.debug import SafeExceptionReporterFilter

_OURS = r"(?:^|_)(?:REDIS|DATABASE|OUTBOX)_URL$|CUSTOMERIO_SITE_ID$"


def hide_secrets() -> None:
    """Let Django hide settings and variables of the environment by these names too."""
    known = SafeExceptionReporterFilter.hidden_settings
    if _OURS not in known.pattern:
        pattern = re.compile(f"{known.pattern}|{_OURS}", known.flags)
        SafeExceptionReporterFilter.hidden_settings = pattern
