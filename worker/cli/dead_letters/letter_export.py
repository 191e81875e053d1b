"""``discard``, and ``export`` of dead letters as lines that ``trackrelay import`` reads."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import sqlalchemy as sa

from trackrelay.worker.cli.common.command_errors import CommandError
from trackrelay.worker.cli.common.command_options import confirm
from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.cli.common.humanize import count
from trackrelay.worker.cli.common.output import print_json, stderr, stdout
from trackrelay.worker.cli.common.progress import progress_bar
from trackrelay.worker.dead_letters.replay_batches import CHUNK
from trackrelay.worker.storage import dead_letter_queries
from trackrelay.worker.storage.dead_letter_queries import DeadLetter, Filters
from trackrelay.worker.telemetry.visible_text import visible_lines

from .letter_details import no_letter
from .letter_render import letter_as_json, summary, why
from .letter_replay import make_replayer
from .letter_selection import missing_ids


@dataclass(frozen=True, slots=True)
class DiscardOptions:
    """Options of ``discard``, besides those that select dead letters."""

    limit: int | None
    dry_run: bool
    yes: bool
    as_json: bool
    note: str | None


def discard_letters(stores: Stores, filters: Filters, options: DiscardOptions) -> None:
    """Discard the selected open dead letters.

    Raises:
        CommandError: some do not exist or are not open; the others are discarded.
    """
    with stores.engine.connect() as connection:
        ids = dead_letter_queries.ids(connection, filters, options.limit)
        counts = dead_letter_queries.counts(connection, Filters(ids=tuple(ids))) if ids else []
    missing = missing_ids(filters, ids)
    if ids and not options.dry_run and not options.yes:
        stderr().print(f"{summary(counts)}: they will not be replayed; their rows stay.")
        confirm("Discard them?")
    discarded = 0 if options.dry_run else _discard_all(stores, ids, options.note)
    if options.as_json:
        print_json({"dry_run": options.dry_run, "selected": len(ids), "discarded": discarded})
    elif not ids:
        if not missing:
            stdout().print("No dead letter matches.")
    elif options.dry_run:
        stdout().print(f"{count(len(ids), 'dead letter')} would be discarded: {summary(counts)}.")
    else:
        stdout().print(f"{count(discarded, 'dead letter')} discarded.")
    problems = [no_letter(id) for id in missing]
    if not options.dry_run and (left := len(ids) - discarded):
        problems.append(
            f"{left:,} of {count(len(ids), 'dead letter')} not discarded: they are not open"
        )
    if problems:
        raise CommandError("\n".join(problems))


def _discard_all(stores: Stores, ids: Sequence[str], note: str | None) -> int:
    """Discard the open dead letters among ``ids``, and return how many they were."""
    discarded = 0
    with progress_bar("Discarding", len(ids), shown=len(ids) > CHUNK) as bar:
        for each in make_replayer(stores, note).discard(ids):
            discarded += len(each)
            bar.update(discarded, f"{discarded:,} of {len(ids):,}")
    return discarded


def export_letters(
    stores: Stores,
    filters: Filters,
    *,
    limit: int | None,
    output: str,
    discard: bool,
    note: str | None,
) -> None:
    """Write the selected dead letters as JSON Lines.

    Raises:
        CommandError: they cannot be written; nothing was discarded.
    """
    with stores.engine.connect() as connection:
        ids = dead_letter_queries.ids(connection, filters, limit)
    try:
        if output == "-":
            _write(stores.engine, ids, sys.stdout)
            sys.stdout.flush()
        else:
            # Only the owner may read it: it holds personal data.
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                _write(stores.engine, ids, file)
    except BrokenPipeError:
        raise  # the reader has closed the pipe
    except OSError as error:
        where = "stdout" if output == "-" else output
        raise CommandError(f"{where} cannot be written: {error.strerror or error}") from None
    discarded = _discard_all(stores, ids, note) if discard else 0
    remark = f", {discarded:,} of them discarded" if discard else ""
    stderr().print(f"{count(len(ids), 'dead letter')} exported{remark}.")


def _write(engine: sa.Engine, ids: Sequence[str], file: IO[str]) -> None:
    with progress_bar("Exporting", len(ids), shown=len(ids) > CHUNK) as bar:
        for start in range(0, len(ids), CHUNK):
            with engine.connect() as connection:
                found = dead_letter_queries.load(connection, ids[start : start + CHUNK])
            for number, letter in enumerate(found, start + 1):
                line = json.dumps(export_line(number, letter), ensure_ascii=False)
                file.write(visible_lines(line) + "\n")
            bar.update(start + len(found), f"{start + len(found):,} of {len(ids):,}")


def export_line(number: int, letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter as a line of a rejects file has it.

    `trackrelay import` reads the line once its operation is repaired. The imported line is the
    same job: an event carries its id, anything else its idempotency key. A job without an
    idempotency key gets its id as one, so that a line that is imported twice is sent once.
    """
    about = {
        name: value
        for name, value in letter_as_json(letter).items()
        if name not in ("document", "history")
    }
    line = {"line": number, "reason": why(letter)}
    line |= {"field": letter.field} if letter.field else {}
    document = letter.document
    if document is None:
        return {**line, "dead_letter": about}
    key = letter.idempotency_key or (None if "id" in document else letter.id)
    return {
        **line,
        "operation": {**document, **({"idempotency_key": key} if key else {})},
        "dead_letter": about,
    }
