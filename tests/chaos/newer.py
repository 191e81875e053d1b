"""Imported by workers that stand for the next version, which knows one more entry format."""

from __future__ import annotations

from trackrelay.queue.job import FORMAT_VERSION
from trackrelay.worker.delivery import entry_decoder

#: What it writes into the stream.
NEXT_FORMAT = FORMAT_VERSION + 1


def _upgrade() -> None:
    vars(entry_decoder)["FORMAT_VERSION"] = NEXT_FORMAT


_upgrade()
