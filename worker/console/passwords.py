"""Hash passwords, and compare them, with scrypt."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from threading import BoundedSemaphore

#: Memory and time of a comparison: 32 MB, a tenth of a second.
LOG_N, R, P = 15, 8, 1
#: Hashes from elsewhere may ask for more than this process should spend.
MAX_LOG_N, MAX_R, MAX_P = 17, 16, 4
MAX_PASSWORD = 1_000
_SALT_BYTES, _HASH_BYTES = 16, 32

# Somebody who sends many passwords at once must not exhaust the memory.
_one_at_a_time = BoundedSemaphore(1)


def hash_password(password: str) -> str:
    """Return the hash of a password, for ``TRACKRELAY_CONSOLE_USERS``."""
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = _scrypt(password, salt, (LOG_N, R, P))
    return ".".join(["scrypt", str(LOG_N), str(R), str(P), _text(salt), _text(digest)])


def is_password(password: str, password_hash: str) -> bool:
    """Return whether a password has this hash.

    An empty hash takes as long as a real one, so that answers do not tell which users exist.
    """
    is_known = bool(password_hash)
    _, *costs, salt, digest = (password_hash or _NOBODY).split(".")
    log_n, r, p = (int(cost) for cost in costs)
    if log_n > MAX_LOG_N or not 1 <= r <= MAX_R or not 1 <= p <= MAX_P or log_n < 1:
        return False
    expected = _bytes(digest)
    found = _scrypt(password[:MAX_PASSWORD], _bytes(salt), (log_n, r, p), len(expected))
    return hmac.compare_digest(found, expected) and is_known


def _scrypt(
    password: str, salt: bytes, costs: tuple[int, int, int], length: int = _HASH_BYTES
) -> bytes:
    log_n, r, p = costs
    with _one_at_a_time:
        return hashlib.scrypt(
            password.encode(errors="surrogatepass"),
            salt=salt,
            n=1 << log_n,
            r=r,
            p=p,
            maxmem=256 * (1 << log_n) * r,
            dklen=length,
        )


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


_NOBODY = f"scrypt.{LOG_N}.{R}.{P}.{_text(bytes(_SALT_BYTES))}.{_text(bytes(_HASH_BYTES))}"
