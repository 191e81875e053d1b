"""The console below a path: ``path("ops/", include("trackrelay.worker.django.console_urls"))``."""

from __future__ import annotations

from django.urls import re_path

from .console_view import console

urlpatterns = [re_path(r"^(?P<path>.*)$", console, name="trackrelay_console")]
