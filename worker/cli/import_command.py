"""Send: enqueue the lines of a file, JSON or CSV."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click

from trackrelay.errors import QueueUnavailableError

from .common.command_errors import CommandError
from .common.command_options import confirm, json_option, yes_option
from .common.humanize import count
from .common.output import print_json, say, stderr
from .common.progress import ProgressBar, progress_bar
from .file_import.csv_options import csv_options, delimiter_of
from .file_import.csv_rows import Columns, read_csv
from .file_import.import_report import (
    Rejects,
    Survey,
    default_rejects_path,
    print_campaigns,
    print_survey,
)
from .file_import.import_run import Appender, Import, LineKeys, check_line
from .file_import.import_source import Line, Source, read_json_lines

Reader = Callable[[BinaryIO], Iterator[Line]]

#: Lines after which the survey moves its bar.
_SURVEY_STEP = 5_000


@click.command("import")
@click.argument("file", metavar="FILE")
@csv_options
@click.option(
    "--rejects",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file for rejected lines. Default: FILE.rejects.jsonl",
)
@click.option(
    "--run",
    default="",
    metavar="NAME",
    help="A name for this run: lines that a run of another name has sent are sent again.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check every line and write the rejects file, but enqueue nothing.",
)
@yes_option
@json_option
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
    """Enqueue the lines of FILE; `-` reads stdin.

    The jobs go into the bulk lane, which never delays the jobs that applications send.

    A line is an operation of the Track API v2 as JSON, with an optional "idempotency_key". With
    --as and --id-column, FILE is CSV with a header.

    The same file can be imported again, after an interruption or with repaired lines: a line that
    was sent, in this file or another, is not sent twice. Give each run of a regular export its own
    --run.

    Rejected lines go to the rejects file with their number and the reason; repair them there and
    import that file. The exit status is 1 if a line was rejected.
    """
    source = Source(file)
    source.check()
    if columns is None and source.name.lower().endswith((".csv", ".tsv")):
        raise click.UsageError(
            "CSV needs --as identify or --as event, "
            "and --id-column: the column that names the person"
        )
    reader = _reader(source.name, columns, delimiter_of(file, delimiter))
    if source.is_repeatable and not dry_run:
        _confirm(source, reader, yes)
    path = rejects or default_rejects_path(source.name)
    if path.resolve() == Path(file).resolve():
        raise click.UsageError(
            "--rejects names the file that is imported, which would be overwritten"
        )
    _Run(source, reader, Rejects(path), run, dry_run).go(as_json)


def _reader(name: str, columns: Columns | None, delimiter: str) -> Reader:
    if columns is None:
        return lambda file: read_json_lines(file, name)
    return lambda file: read_csv(file, name, columns, delimiter)


def _confirm(source: Source, reader: Reader, yes: bool) -> None:
    survey, refused = Survey(time.time()), Rejects(None)
    with source.opened() as file, progress_bar("Reading", source.size) as bar:
        for line in reader(file):
            check_line(line, survey, refused)
            if survey.lines % _SURVEY_STEP == 0:
                bar.update(source.position, f"{survey.lines:,} lines")
    print_survey(stderr(), source.name, survey, refused.first)
    # Without a terminal nobody can answer: the script that runs this has decided.
    valid = survey.operations.total()
    if valid and not yes and sys.stdin.isatty():
        without = f", without {count(survey.refused, 'refused line')}" if survey.refused else ""
        confirm(f"Enqueue {count(valid, 'operation')}{without}?")


@dataclass(slots=True)
class _Run:
    """An import from its first line to its report."""

    source: Source
    reader: Reader
    rejects: Rejects
    name: str
    dry_run: bool

    def go(self, as_json: bool) -> None:
        """Import, and report."""
        survey, keys = Survey(time.time()), LineKeys(self.name)
        title = "Checking" if self.dry_run else "Enqueueing"
        try:
            with progress_bar(title, self.source.size) as bar:
                enqueued = self._import(survey, keys, bar)
        finally:
            keys.close()
            with suppress(CommandError):  # was raised before, or something worse was
                self.rejects.close()
        self._report(survey, enqueued, as_json)

    def _import(self, survey: Survey, keys: LineKeys, bar: ProgressBar) -> int:
        """Import, and return how many operations were enqueued."""
        self.rejects.check()
        appender = None if self.dry_run else Appender(bar.warn)
        running = Import(
            keys,
            self.rejects,
            survey,
            appender.append if appender else None,
            lambda: bar.update(self.source.position, f"{survey.lines:,} lines"),
        )
        try:
            with self.source.opened() as file:
                running.run(self.reader(file))
            self.rejects.close()
        except CommandError as error:
            if not running.progress.enqueued:
                raise
            raise CommandError(f"{error.message}\nstopped {self._position(running)}") from None
        except KeyboardInterrupt:
            raise CommandError(f"stopped {self._position(running)}") from None
        except QueueUnavailableError as error:
            raise CommandError(f"{error}\nstopped {self._position(running)}") from None
        finally:
            if appender is not None:
                appender.close()
        return running.progress.enqueued

    def _position(self, running: Import) -> str:
        progress = running.progress
        if self.dry_run:
            return f"at line {progress.read:,}; nothing was enqueued"
        return (
            f"after line {progress.enqueued_line:,}: "
            f"{count(progress.enqueued, 'operation')} enqueued. "
            "Run the same command again to continue: no operation is sent twice"
        )

    def _report(self, survey: Survey, enqueued: int, as_json: bool) -> None:
        rejected = f"{count(self.rejects.count, 'line')} rejected"
        if as_json:
            print_json(self._document(survey, enqueued))
        elif self.dry_run:
            valid = count(survey.operations.total(), "valid operation")
            say(f"{valid}, {rejected}; nothing was enqueued.")
        else:
            say(f"{count(enqueued, 'operation')} enqueued, {rejected}.")
        if not self.source.is_repeatable or self.dry_run:
            print_campaigns(stderr(), survey)
        if self.rejects.count:
            raise CommandError("\n".join(self._rejected()))

    def _rejected(self) -> Iterator[str]:
        yield from self.rejects.first
        if more := self.rejects.count - len(self.rejects.first):
            yield f"and {count(more, 'more rejected line')}"
        if self.rejects.path is not None:
            yield (
                f"all rejected lines, with reasons: {self.rejects.path}; "
                "repair them and import that file"
            )

    def _document(self, survey: Survey, enqueued: int) -> dict[str, Any]:
        return {
            "lines": survey.lines,
            "enqueued": enqueued,
            "rejected": self.rejects.count,
            "rejects_file": str(self.rejects.path)
            if self.rejects.path and self.rejects.count
            else None,
            "operations": dict(survey.operations),
            "events": {"may_trigger_campaigns": survey.young, "will_not": survey.old},
            "dry_run": self.dry_run,
        }
