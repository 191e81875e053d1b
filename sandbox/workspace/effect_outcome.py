"""What became of an accepted operation."""

from __future__ import annotations

from typing import NamedTuple


class Outcome(NamedTuple):
    """Accepted, but did it change anything? `note` says why not, or what went wrong besides."""

    ignored: bool = False
    note: str | None = None


DONE = Outcome()
#: The same ULID again.
DUPLICATE = Outcome(True, "duplicate")
#: About somebody who is suppressed.
SUPPRESSED = Outcome(True, "suppressed")
UNKNOWN_CIO_ID = Outcome(True, "nobody has this cio_id")
UNKNOWN_CIO_OBJECT = Outcome(True, "no object has this cio_object_id")
NOBODY_TO_UPDATE = Outcome(True, "nobody to update")
NO_PRIMARY = Outcome(True, "the primary does not exist")
NO_SECONDARY = Outcome(True, "the secondary does not exist")


def done(failures: list[str]) -> Outcome:
    """Took effect, apart from these failures."""
    return Outcome(False, "; ".join(failures)) if failures else DONE
