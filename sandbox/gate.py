"""Who may come in, and how many a second."""

from __future__ import annotations

import base64
import binascii
import time
from collections import deque


class Credentials:
    """The keys that are valid now."""

    def __init__(self, site_id: str, api_key: str, app_api_key: str) -> None:
        self.site_id = site_id
        self.api_key = api_key
        self.app_api_key = app_api_key

    def admit_track(self, authorization: bytes) -> bool:
        """Basic, with the site id and the Track API key."""
        scheme, _, encoded = authorization.partition(b" ")
        if scheme.lower() != b"basic":
            return False
        try:
            return (
                base64.b64decode(encoded.strip(), validate=True)
                == f"{self.site_id}:{self.api_key}".encode()
            )
        except binascii.Error:
            return False

    def admit_app(self, authorization: bytes) -> bool:
        """Bearer, with the App API key."""
        scheme, _, token = authorization.partition(b" ")
        return scheme.lower() == b"bearer" and token.strip() == self.app_api_key.encode()


class RateLimit:
    """So many requests in any one second."""

    def __init__(self) -> None:
        self._admitted: deque[float] = deque()

    def admit(self, limit: int | None) -> bool:
        """May one more come in now? What is turned away does not count."""
        if limit is None:
            return True
        now = time.monotonic()
        while self._admitted and self._admitted[0] <= now - 1:
            self._admitted.popleft()
        if len(self._admitted) >= limit:
            return False
        self._admitted.append(now)
        return True
