"""``export``: dead letters as lines that ``trackrelay import`` takes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import IO, Any

import sqlalchemy as sa

from trackrelay.worker.cli.common.command_errors import CommandFailed
from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.cli.common.humanize import count
from trackrelay.worker.cli.common.output import stderr
from trackrelay.worker.dead_letters.replay_batches import CHUNK
from trackrelay.worker.storage import dead_letter_queries
from trackrelay.worker.storage.dead_letter_queries import DeadLetter, Filters
from trackrelay.worker.telemetry.visible_text import visible_lines

from .dead_letter_render import as_json, document_of, why
from .discard import discard_all
from .progress import progress


def export_letters(
    stores: Stores,
    chosen: Filters,
    *,
    limit: int | None,
    output: str,
    discard: bool,
    note: str | None,
) -> int:
    """Write the letters meant as JSON Lines; returns the exit status.

    Raises:
        CommandFailed: they cannot be written; nothing was discarded.
    """
    with stores.engine.connect() as connection:
        ids = dead_letter_queries.ids(connection, chosen, limit)
    try:
        if output == "-":
            _write(stores.engine, ids, sys.stdout)
            sys.stdout.flush()
        else:
            # Readable by its owner only: it holds people's data.
            with open(
                os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
            ) as file:
                _write(stores.engine, ids, file)
    except BrokenPipeError:
        raise  # whoever reads has had enough
    except OSError as error:
        where = "stdout" if output == "-" else output
        raise CommandFailed(f"{where} cannot be written: {error.strerror or error}") from None
    discarded = discard_all(stores, ids, note) if discard else 0
    stderr().print(
        f"{count(len(ids), 'dead letter')} exported"
        + (f", {discarded:,} of them discarded" if discard else "")
        + "."
    )
    return 0


def _write(engine: sa.Engine, ids: Sequence[str], file: IO[str]) -> None:
    with progress(len(ids), "Exporting") as advance:
        for start in range(0, len(ids), CHUNK):
            with engine.connect() as connection:
                found = dead_letter_queries.load(connection, ids[start : start + CHUNK])
            for number, letter in enumerate(found, start + 1):
                file.write(
                    visible_lines(json.dumps(line(number, letter), ensure_ascii=False)) + "\n"
                )
            advance(CHUNK)


def line(number: int, letter: DeadLetter) -> dict[str, Any]:
    """A letter as a line of a rejects file has it, which `trackrelay import` takes once its operation is repaired.

    Imported again it is the same job: an event carries its id, anything else its idempotency key; one that had none gets its id
    for one, so that a line imported twice is sent once.
    """
    about = {
        name: value
        for name, value in as_json(letter).items()
        if name not in ("document", "history")
    }
    said = {"line": number, "reason": why(letter)} | (
        {"field": letter.field} if letter.field else {}
    )
    document = document_of(letter)
    if document is None:
        return {**said, "dead_letter": about}
    key = letter.idempotency_key or (None if "id" in document else letter.id)
    return {
        **said,
        "operation": {**document, **({"idempotency_key": key} if key else {})},
        "dead_letter": about,
    }
