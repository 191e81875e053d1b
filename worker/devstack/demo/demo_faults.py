"""What goes wrong in the story: operations that Customer.io refuses, and how each is put right."""

from __future__ import annotations

import json
from dataclasses import dataclass

from trackrelay.sandbox.client import SandboxClient
from trackrelay.worker.dead_letters.patch import Patch

from .shop import BAD_COUPON, BAD_TIER, BAD_TOKEN


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that Customer.io refuses.

    The sandbox refuses it for as long as it stands in the operation; `fixed_there` for what is put right at Customer.io
    instead.
    """

    contains: str
    field: str
    message: str
    #: What somebody does about it, in words, and with which options of `trackrelay replay`.
    remedy: str
    sets: tuple[str, ...] = ()
    unsets: tuple[str, ...] = ()
    fixed_there: bool = False

    @property
    def repair(self) -> Patch:
        """The repair of the document."""
        return Patch.parse(self.sets, self.unsets)

    @property
    def command(self) -> str:
        """What one would type."""
        repairs = [
            *(f"--set {each}" for each in self.sets),
            *(f"--unset {each}" for each in self.unsets),
        ]
        return " ".join(["trackrelay replay", f"--error '{self.message}'", *repairs])


TROUBLES = (
    Trouble(
        contains=f'"tier":{json.dumps(BAD_TIER)}',
        field="attributes.tier",
        message="value is not one of silver, gold",
        remedy="marketing has no platinum tier: gold it is",
        sets=("attributes.tier=gold",),
    ),
    Trouble(
        contains=json.dumps(BAD_COUPON),
        field="attributes.coupon",
        message="coupon is malformed",
        remedy="the coupon was a test: it is taken out",
        unsets=("attributes.coupon",),
    ),
    Trouble(
        contains=BAD_TOKEN,
        field="device.token",
        message="push is not set up for this app",
        remedy="push is set up at Customer.io now: they go again as they are",
        fixed_there=True,
    ),
)


def plant(sandbox: SandboxClient) -> dict[Trouble, int]:
    """Make the sandbox refuse; returns the number of each fault."""
    return {
        trouble: sandbox.add_fault(
            kind="reject",
            match={"contains": trouble.contains},
            field=trouble.field,
            message=trouble.message,
        )
        for trouble in TROUBLES
    }
