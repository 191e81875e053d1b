"""Signed values for cookies and forms: whoever has them can read them, and cannot change them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

#: Longer values are not looked at.
MAX_LENGTH = 4_000


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs values for one purpose each: what was signed for another is not accepted."""

    key: bytes = field(repr=False)

    def digest(self, purpose: str, text: str) -> str:
        """Return 43 characters that only this installation can make of ``text``."""
        found = hmac.new(self.key, f"{purpose}\0{text}".encode(), hashlib.sha256).digest()
        return _encode(found)

    def is_same(self, text: str, secret: str) -> bool:
        """Compare a text with a secret in a time that tells nothing."""
        return hmac.compare_digest(text.encode(errors="replace"), secret.encode())

    def sign(self, purpose: str, payload: dict[str, Any], bound_to: str = "") -> str:
        """Return ``payload`` with a signature.

        Args:
            bound_to: a text that makes the signature invalid when it changes, such as the hash of a
                password.
        """
        body = _encode(json.dumps(payload, separators=(",", ":")).encode())
        return f"{body}.{self._signature(purpose, body, bound_to)}"

    def read(
        self, purpose: str, signed: str | None, bound_to: str = "", *, since: float = 0.0
    ) -> dict[str, Any] | None:
        """Return the payload if the signature is right and ``at`` is not before ``since``."""
        payload = peek(signed)
        if payload is None or signed is None:
            return None
        body, _, found = signed.partition(".")
        expected = self._signature(purpose, body, bound_to)
        if not hmac.compare_digest(found.encode(), expected.encode()):
            return None
        at = payload.get("at")
        return payload if isinstance(at, int | float) and at >= since else None

    def _signature(self, purpose: str, body: str, bound_to: str) -> str:
        return self.digest(purpose, f"{body}\0{bound_to}")


def peek(signed: str | None) -> dict[str, Any] | None:
    """Return a payload whose signature is not checked; None if there is none."""
    if not signed or len(signed) > MAX_LENGTH:
        return None
    body = signed.partition(".")[0]
    try:
        payload = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
