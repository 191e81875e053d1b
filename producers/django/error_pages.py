"""Hide our secrets on Django's error pages and in its error mails, which show settings and environment variables.

Django hides names with KEY, SECRET, PASS and similar words. It shows URLs, which can hold passwords.
"""

from __future__ import annotations

import re

from django.views.debug import SafeExceptionReporterFilter

_OURS = r"(?:^|_)(?:REDIS|DATABASE|OUTBOX)_URL$|CUSTOMERIO_SITE_ID$"


def hide_secrets() -> None:
    """Make Django hide settings and environment variables with these names too."""
    known = SafeExceptionReporterFilter.hidden_settings
    if _OURS not in known.pattern:
        pattern = re.compile(f"{known.pattern}|{_OURS}", known.flags)
        SafeExceptionReporterFilter.hidden_settings = pattern
