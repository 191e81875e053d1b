"""The Track API credentials, read again whenever they may have changed."""

from __future__ import annotations

import time
from threading import Lock

from trackrelay.errors import ConfigurationError
from trackrelay.worker.settings import Settings, load, settings

#: A file with a rotated key is noticed within this many seconds, without reading it for every request.
FRESH_S = 5.0


class Credentials:
    """Site id and Track API key; re-read from ``…_FILE`` (or the environment) every few seconds."""

    def __init__(self, configured: Settings) -> None:
        self._current = _pair(configured)
        self._read_at = time.monotonic()
        self._lock = Lock()

    def __call__(self) -> tuple[str, str]:
        with self._lock:
            if time.monotonic() - self._read_at > FRESH_S:
                self._reread()
            return self._current

    def refresh(self) -> None:
        """Read them again now."""
        with self._lock:
            self._reread()

    def _reread(self) -> None:
        self._read_at = time.monotonic()
        try:
            self._current = _pair(load())
        except ConfigurationError:
            # A file that is just being replaced: go on with what there was.
            return


def unset(pair: tuple[str, str]) -> list[str]:
    """The settings that are empty in a pair of credentials."""
    names = ("CUSTOMERIO_SITE_ID", "CUSTOMERIO_TRACK_API_KEY")
    return [name for name, value in zip(names, pair, strict=True) if not value]


def _pair(configured: Settings) -> tuple[str, str]:
    return configured.site_id.get_secret_value(), configured.track_api_key.get_secret_value()


def default() -> Credentials:
    """The process's credentials."""
    return Credentials(settings())
