"""The command line: `python -m tests.chaos`."""

from __future__ import annotations

import datetime
import json
import os
import platform
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from tests.support.prometheus_server import is_installed

from . import (  # noqa: F401 - each puts its scenarios on the list
    api_faults,
    clock_faults,
    elections,
    everything,
    failovers,
    hostile_faults,
    job_faults,
    losses,
    neighbours,
    operation_faults,
    outbox_faults,
    postgres_faults,
    published,
    redis_faults,
    reshard_faults,
    upgrade_faults,
    worker_faults,
)
from .running import BESIDES_S, Result, run
from .scenario import SCENARIOS, Scenario
from .table import WIDTH, rows, show, show_metrics, show_problems


@click.command()
@click.option("--seed", default=1, show_default=True, help="Decides the calls and the faults.")
@click.option("--minutes", type=float, help="How long each fault goes on, instead of its own time.")
@click.option("--seconds", type=float, help="The same in seconds.")
@click.option("--jobs", type=int, help="Jobs a scenario, instead of its own number.")
@click.option("--only", help="Scenarios by name, separated by commas; * stands for anything.")
@click.option("--list", "list_", is_flag=True, help="Say which scenarios there are.")
@click.option(
    "--json", "as_json", is_flag=True, help="Write the table to stdout as a list of objects."
)
@click.option(
    "--prometheus/--no-prometheus",
    default=None,
    help="Compare what a Prometheus scrapes of `everything`.  [default: if it is installed]",
)
@click.option(
    "--keep", type=click.Path(path_type=Path), help="Keep journals and logs in this folder."
)
@click.option(
    "--docs",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Write the table into this Markdown page, between its markers. With --only, rows of "
    "other scenarios stay.",
)
def chaos(
    seed: int,
    minutes: float | None,
    seconds: float | None,
    jobs: int | None,
    only: str | None,
    list_: bool,
    as_json: bool,
    prometheus: bool | None,
    keep: Path | None,
    docs: Path | None,
) -> None:
    """Break trackrelay and reconcile. Fails if anything was lost, duplicated or out of order."""
    chosen = list(SCENARIOS.values()) if list_ and only is None else _chosen(only)
    if list_:
        for scenario in chosen:
            click.echo(
                f"{scenario.name:32}{scenario.what}"
                f"{'  (on request)' if scenario.on_request else ''}"
            )
        return
    asked = {"seed": seed, "seconds": seconds, "jobs": jobs, "only": only}
    if docs:
        _check_page(docs)
        earlier = published.read(docs)
    if prometheus and not is_installed():
        raise click.BadParameter("there is no command prometheus", param_hint="--prometheus")
    stream = sys.stderr if as_json else sys.stdout
    console = Console(
        file=stream, highlight=False, emoji=False, width=None if stream.isatty() else WIDTH
    )
    seconds = minutes * 60 if minutes else seconds
    expected_s = sum((seconds or each.seconds) + BESIDES_S for each in chosen)
    console.print(f"seed {seed}, {len(chosen)} scenarios, about {expected_s / 60:.0f} minutes")
    if prometheus is None:
        prometheus = is_installed()
        if not prometheus and any(scenario.observed for scenario in chosen):
            console.print("Prometheus is not installed: no metrics are compared")
    began, results = time.monotonic(), []
    for number, scenario in enumerate(chosen, 1):
        how = {"seed": seed, "seconds": seconds, "jobs": jobs, "prometheus": prometheus}
        results.append(_one(scenario, how, keep, console, f"{number}/{len(chosen)}"))
        if docs:
            # After each: a run that somebody ends has written what it found.
            is_whole = only is None and number == len(chosen)
            ran = _ran(time.monotonic() - began, asked)
            published.publish(results, docs, ran, None if is_whole else earlier)
    show(results, console)
    if as_json:
        click.echo(json.dumps(rows(results), indent=1))
    sys.exit(exit_code(results))


def exit_code(results: Sequence[Result]) -> int:
    """0 only if every promise was kept in every scenario, and would have been seen not to be."""
    return 0 if results and all(result.good for result in results) else 1


def _one(
    scenario: Scenario,
    how: dict[str, Any],
    keep: Path | None,
    console: Console,
    number: str,
) -> Result:
    folder = Path(tempfile.mkdtemp(prefix=f"trackrelay-chaos-{scenario.name}-"))
    if keep:
        shutil.rmtree(folder, ignore_errors=True)
        folder = keep / scenario.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    result = run(scenario, folder=folder, **how)
    verdict = "[green]kept[/]" if result.good else "[bold red]BROKEN[/]"
    console.print(
        f"{number:>7} {scenario.name:32}{result.accounts.jobs:>9,} jobs  {result.seconds:5.0f} s  "
        f"{verdict}"
    )
    show_problems(result, console)
    show_metrics(result, console)
    if not result.good:
        console.print(f"  journals, arrivals and logs: {folder}")
    elif not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def _check_page(page: Path) -> None:
    try:
        published.check(page)
    except published.NoMarkersError as error:
        raise click.BadParameter(str(error), param_hint="--docs") from None


def _ran(seconds: float, options: dict[str, Any]) -> str:
    arguments = [
        f"--{name} {shlex.quote(str(value))}"
        for name, value in options.items()
        if value is not None
    ]
    return (
        f"`make chaos ARGS='{' '.join(arguments)}'`, {datetime.datetime.now(datetime.UTC).date()}, "
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {seconds / 60:.0f} minutes."
    )


def _chosen(only: str | None) -> list[Scenario]:
    if only is None:
        return [scenario for scenario in SCENARIOS.values() if not scenario.on_request]
    chosen: list[Scenario] = []
    for pattern in only.split(","):
        found = [each for name, each in SCENARIOS.items() if fnmatch(name, pattern.strip())]
        if len(found) > 1:
            found = [each for each in found if not each.on_request]
        if not found:
            raise click.BadParameter(
                f"no scenario is called {pattern!r}; --list says which there are",
                param_hint="--only",
            )
        chosen += [scenario for scenario in found if scenario not in chosen]
    return chosen


if __name__ == "__main__":
    chaos(prog_name="python -m tests.chaos")
