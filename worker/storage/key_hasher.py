"""Keys as they are stored and logged: those made of personal data only as keyed hashes."""

from __future__ import annotations

import re
from hashlib import blake2b

from trackrelay.operations.keys import is_private

_HASHED = re.compile(r"[a-z_]+:#[0-9a-f]{24}")


def is_hashed(key: str) -> bool:
    """Whether ``key`` looks as a private one does where it is stored."""
    return _HASHED.fullmatch(key) is not None


class KeyHasher:
    """Turns keys into what may be written down. The same key always becomes the same text."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret[:64]
        #: Tells one secret from another, and tells nothing else of it.
        self.fingerprint = blake2b(
            b"trackrelay fingerprint", key=self._secret, digest_size=8
        ).hexdigest()

    def stored(self, key: str) -> str:
        """``id:42`` stays; ``email:ada@example.com`` becomes ``email:#`` and 24 hex digits."""
        if not is_private(key):
            return key
        kind, _, value = key.partition(":")
        return f"{kind}:#{blake2b(value.encode(), key=self._secret, digest_size=12).hexdigest()}"

    def digest(self, text: str) -> str:
        """Return 16 hex digits that stand for ``text``, for comparisons."""
        data = text.encode(errors="surrogatepass")
        return blake2b(data, key=self._secret, digest_size=8, person=b"sent item").hexdigest()
