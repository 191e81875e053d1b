"""What a call returns in place of the API's answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """Reads like the response that the official client returns: nothing of it comes from Customer.io, which is told later."""

    #: The jobs that were enqueued; ``trackrelay find`` says what became of them.
    job_ids: tuple[str, ...]
    #: Of a batch: what of it was refused, and not enqueued, as the API words it.
    errors: tuple[dict[str, Any], ...] = ()

    @property
    def status_code(self) -> int:
        """200; 207 for a batch of which something was refused."""
        return 207 if self.errors else 200

    @property
    def ok(self) -> bool:
        """Whether the request as a whole was accepted."""
        return True

    @property
    def text(self) -> str:
        """The body."""
        return json.dumps(self.json())

    @property
    def content(self) -> bytes:
        """The body, encoded."""
        return self.text.encode()

    def json(self) -> dict[str, Any]:
        """The body, decoded."""
        return {"errors": list(self.errors)} if self.errors else {}

    def raise_for_status(self) -> None:
        """Nothing to raise."""
