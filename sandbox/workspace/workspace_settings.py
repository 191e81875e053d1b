"""What a workspace's owner can choose, at start or while it runs."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """The sandbox's settings that may be changed while it runs."""

    #: Added to every answer.
    latency_s: float = 0.0
    #: Requests a second; beyond, 429. None: no limit.
    rate_limit: int | None = None
    #: Sent along with 429 and 5xx answers.
    retry_after: str | None = None
    region: str = "us"
    environment_id: int = 123
    #: Operations a batch may have.
    batch_operations: int = 1_000
    #: "Allow updates to email using ID".
    email_updates_with_id: bool = False
    #: Do anonymous events join the person who is identified later?
    event_merging: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.region not in ("us", "eu"):
            raise ValueError(f"region is {self.region!r}; it is us or eu")
        if not 0 <= self.latency_s <= 3_600:
            raise ValueError(f"latency_s is {self.latency_s}; it is between 0 and 3,600")
        if self.retry_after is not None and not (
            self.retry_after.isascii() and self.retry_after.isprintable()
        ):
            raise ValueError("retry_after must be printable ASCII")
        if self.rate_limit is not None and self.rate_limit < 1:
            raise ValueError(f"rate_limit is {self.rate_limit}; it is at least 1, or null for none")
