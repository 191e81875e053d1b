"""The response that a call returns."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """Looks like the response of the official client.

    Nothing in it comes from Customer.io, which gets the operations later.
    """

    #: The ids of the jobs; ``trackrelay find`` shows what happened to them.
    job_ids: tuple[str, ...]
    #: The refused operations of a batch, in the format of the API.
    errors: tuple[dict[str, Any], ...] = ()

    @property
    def status_code(self) -> int:
        """200, or 207 for a batch with refused operations."""
        return 207 if self.errors else 200

    @property
    def ok(self) -> bool:
        """Whether the request was accepted."""
        return True

    @property
    def text(self) -> str:
        """The body."""
        return json.dumps(self.json())

    @property
    def content(self) -> bytes:
        """The body as bytes."""
        return self.text.encode()

    def json(self) -> dict[str, Any]:
        """Return the decoded body."""
        return {"errors": list(self.errors)} if self.errors else {}

    def raise_for_status(self) -> None:
        """Do nothing: the request was accepted."""
