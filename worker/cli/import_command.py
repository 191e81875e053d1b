"""``trackrelay import``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import click

from trackrelay.errors import QueueUnavailableError

from .common.command_errors import CommandFailed
from .common.humanize import count
from .common.output import print_json, say, stderr
from .file_import import csv_rows, json_lines
from .file_import.bulk_append import Appender
from .file_import.csv_options import csv_options, delimiter_of
from .file_import.csv_rows import Columns
from .file_import.import_run import Import, checked
from .file_import.import_screen import Bar, bar, show_ages, show_survey
from .file_import.line import Line
from .file_import.line_identity import Identity
from .file_import.rejects import Rejects, default_path
from .file_import.source import Source
from .file_import.survey import Survey


@click.command("import")
@click.argument("file", metavar="FILE")
@csv_options
@click.option(
    "--rejects", type=click.Path(path_type=Path, dir_okay=False), help="Default: FILE.rejects.jsonl"
)
@click.option(
    "--run",
    default="",
    metavar="NAME",
    help="Send again what an earlier run (of another name) has sent.",
)
@click.option(
    "--dry-run", is_flag=True, help="Check every line, enqueue nothing; write the rejects file."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--json", "as_json", is_flag=True, help="What came of it, as one JSON document on stdout."
)
def import_(
    file: str,
    columns: Columns | None,
    delimiter: str | None,
    rejects: Path | None,
    run: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Enqueue the lines of FILE (`-`: stdin) in the bulk lane, which what applications send never queues behind.

    A line is an operation of the Track API's v2 as JSON, plus an optional "idempotency_key". With --as and --id-column it is
    CSV instead, below a header line. The same file can be imported again, after an interruption or with bad lines repaired:
    a line that was sent, in this file or another, is not sent twice; give each run of a regular export its own --run. Bad lines go
    to the rejects file, with line number and reason; repaired there, it can be imported too. Exit status 1 if there were any.
    """
    source = Source(file)
    source.check()
    _check_kind(source, columns)
    reading = _Reading(source, columns, delimiter_of(file, delimiter))
    if source.is_repeatable and not dry_run:
        _ask(source, reading, yes)
    path = rejects or default_path(source.name)
    if path.resolve() == Path(file).resolve():
        raise click.UsageError("--rejects names the file that is imported: it would be overwritten")
    _Run(source, reading, Rejects(path), run, dry_run).go(as_json)


def _check_kind(source: Source, columns: Columns | None) -> None:
    if columns is None and source.name.lower().endswith((".csv", ".tsv")):
        raise click.UsageError(
            "CSV needs --as identify or --as event, and --id-column to say whose row it is"
        )


class _Reading:
    """How the file's lines are read."""

    def __init__(self, source: Source, columns: Columns | None, delimiter: str) -> None:
        self._name = source.name
        self._columns = columns
        self._delimiter = delimiter

    def lines(self, file: BinaryIO) -> Iterator[Line]:
        if self._columns is None:
            return json_lines.read(file, self._name)
        return csv_rows.read(file, self._name, self._columns, self._delimiter)


def _ask(source: Source, reading: _Reading, yes: bool) -> None:
    survey, refused = Survey(time.time()), Rejects(None)
    console = stderr()
    with source.opened() as file, bar(console, "Looking", source) as shown:
        for line in reading.lines(file):
            checked(line, survey, refused)
            if survey.lines % 5000 == 0:
                shown.moved(survey.lines)
    show_survey(console, source, survey, refused.first)
    # Without a terminal nobody can answer: a script has decided.
    valid = survey.operations.total()
    if valid and not yes and sys.stdin.isatty():
        without = f", without {count(survey.refused, 'refused line')}" if survey.refused else ""
        click.confirm(f"Enqueue {count(valid, 'operation')}{without}?", abort=True, err=True)


class _Run:
    """From the first line to what came of it."""

    def __init__(
        self, source: Source, reading: _Reading, rejects: Rejects, run: str, dry_run: bool
    ) -> None:
        self._source = source
        self._reading = reading
        self._rejects = rejects
        self._name = run
        self._dry_run = dry_run
        self._survey = Survey(time.time())

    def go(self, as_json: bool) -> None:
        identity = Identity(self._name)
        try:
            with bar(
                stderr(), "Checking" if self._dry_run else "Enqueueing", self._source
            ) as shown:
                done = self._import(identity, shown)
        finally:
            identity.close()
            with suppress(CommandFailed):  # which was said before, or something worse is
                self._rejects.close()
        self._say(done, as_json)

    def _import(self, identity: Identity, shown: Bar) -> Import:
        self._rejects.check()
        appender = None if self._dry_run else Appender(shown.waiting)
        append = appender.append if appender else None
        running = Import(
            identity, self._rejects, self._survey, append, lambda: shown.moved(self._survey.lines)
        )
        try:
            with self._source.opened() as file:
                running.run(self._reading.lines(file))
            self._rejects.close()
        except CommandFailed as failed:
            if not running.progress.enqueued:
                raise
            raise CommandFailed(f"{failed.message}\nstopped {self._how_far(running)}") from None
        except KeyboardInterrupt:
            raise CommandFailed(f"stopped {self._how_far(running)}") from None
        except QueueUnavailableError as error:
            raise CommandFailed(f"{error}\nstopped {self._how_far(running)}") from None
        finally:
            if appender is not None:
                appender.close()
        return running

    def _how_far(self, running: Import) -> str:
        progress = running.progress
        if self._dry_run:
            return f"at line {progress.read:,}; nothing was enqueued"
        return (
            f"after line {progress.enqueued_line:,}: {count(progress.enqueued, 'operation')} enqueued. Run the same command "
            "again to go on: what was enqueued is not sent twice"
        )

    def _say(self, done: Import, as_json: bool) -> None:
        rejected = self._rejects.count
        if as_json:
            print_json(self._document(done))
        else:
            rejects = f"{count(rejected, 'line')} rejected"
            if self._dry_run:
                valid = count(self._survey.operations.total(), "valid operation")
                say(f"{valid}, {rejects}; nothing was enqueued.")
            else:
                say(f"{count(done.progress.enqueued, 'operation')} enqueued, {rejects}.")
        if not self._source.is_repeatable or self._dry_run:
            show_ages(stderr(), self._survey)
        if rejected:
            raise CommandFailed("\n".join(self._rejected()))

    def _rejected(self) -> Iterator[str]:
        yield from self._rejects.first
        if more := self._rejects.count - len(self._rejects.first):
            yield f"and {count(more, 'more rejected line')}"
        if self._rejects.path is not None:
            yield f"all of them, with reasons: {self._rejects.path}; repair them and import that file"

    def _document(self, done: Import) -> dict[str, Any]:
        return {
            "lines": self._survey.lines,
            "enqueued": done.progress.enqueued,
            "rejected": self._rejects.count,
            "rejects_file": str(self._rejects.path)
            if self._rejects.path and self._rejects.count
            else None,
            "operations": dict(self._survey.operations),
            "events": {"may_trigger_campaigns": self._survey.young, "will_not": self._survey.old},
            "dry_run": self._dry_run,
        }
