"""The Track API credentials. They are read again, because they may be rotated."""

from __future__ import annotations

import time
from threading import Lock

from trackrelay.errors import ConfigurationError
from trackrelay.worker.settings import Settings, load, settings

#: Credentials are read again after this time. A rotated key is used soon, and files are not read
#: for every request.
FRESH_S = 5.0


class Credentials:
    """Site id and Track API key, from ``…_FILE`` settings or the environment."""

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
        """Read the credentials again now."""
        with self._lock:
            self._reread()

    def _reread(self) -> None:
        self._read_at = time.monotonic()
        try:
            self._current = _pair(load())
        except ConfigurationError:
            # The file may be in the middle of a replacement: keep the old credentials.
            return


def unset(pair: tuple[str, str]) -> list[str]:
    """Return the names of the settings that are empty in ``pair``."""
    names = ("CUSTOMERIO_SITE_ID", "CUSTOMERIO_TRACK_API_KEY")
    return [name for name, value in zip(names, pair, strict=True) if not value]


def _pair(configured: Settings) -> tuple[str, str]:
    return configured.site_id.get_secret_value(), configured.track_api_key.get_secret_value()


def default() -> Credentials:
    """Return the credentials of this process."""
    return Credentials(settings())
