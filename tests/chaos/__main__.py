"""The command line: `python -m tests.chaos`."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from . import (  # noqa: F401 - each puts its scenarios on the list
    api_faults,
    everything,
    job_faults,
    operation_faults,
    outbox_faults,
    postgres_faults,
    redis_faults,
    worker_faults,
)
from .running import Result, run
from .scenario import SCENARIOS, Scenario
from .table import WIDTH, rows, show, show_problems


@click.command()
@click.option("--seed", default=1, show_default=True, help="Decides the calls and the faults.")
@click.option("--minutes", type=float, help="How long each fault goes on, instead of its own time.")
@click.option("--jobs", type=int, help="Jobs a scenario, instead of its own number.")
@click.option("--only", help="Scenarios by name, separated by commas; * stands for anything.")
@click.option("--list", "list_", is_flag=True, help="Say which scenarios there are.")
@click.option("--json", "as_json", is_flag=True, help="Write the table to stdout as a list of objects.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep journals and logs in this folder.")
def chaos(
    seed: int,
    minutes: float | None,
    jobs: int | None,
    only: str | None,
    list_: bool,
    as_json: bool,
    keep: Path | None,
) -> None:
    """Break trackrelay and draw the accounts. Fails if anything was lost, doubled or out of order."""
    stream = sys.stderr if as_json else sys.stdout
    console = Console(file=stream, highlight=False, width=None if stream.isatty() else WIDTH)
    chosen = _chosen("*" if list_ and only is None else only)
    if list_:
        for scenario in chosen:
            click.echo(f"{scenario.name:32}{scenario.what}{'  (on request)' if scenario.on_request else ''}")
        return
    results = []
    for scenario in chosen:
        results.append(_one(scenario, seed, minutes, jobs, keep, console))
    show(results, console)
    if as_json:
        click.echo(json.dumps(rows(results), indent=1))
    sys.exit(0 if all(result.good for result in results) else 1)


def _one(
    scenario: Scenario, seed: int, minutes: float | None, jobs: int | None, keep: Path | None, console: Console
) -> Result:
    folder = Path(tempfile.mkdtemp(prefix=f"trackrelay-chaos-{scenario.name}-"))
    if keep:
        folder = keep / scenario.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    result = run(scenario, seed=seed, seconds=minutes and minutes * 60, jobs=jobs, folder=folder)
    verdict = "[green]kept[/]" if result.good else "[bold red]BROKEN[/]"
    console.print(f"{scenario.name:32}{result.accounts.jobs:>7,} jobs  {result.seconds:5.0f} s  {verdict}")
    show_problems(result, console)
    if not result.good:
        console.print(f"  journals and logs: {folder}")
    elif not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def _chosen(only: str | None) -> list[Scenario]:
    if only is None:
        return [scenario for scenario in SCENARIOS.values() if not scenario.on_request]
    from fnmatch import fnmatch

    chosen = []
    for pattern in only.split(","):
        found = [scenario for name, scenario in SCENARIOS.items() if fnmatch(name, pattern.strip())]
        if not found:
            raise click.BadParameter(
                f"no scenario is called {pattern!r}; --list says which there are", param_hint="--only"
            )
        chosen += [scenario for scenario in found if scenario not in chosen]
    return chosen


if __name__ == "__main__":
    chaos(prog_name="python -m tests.chaos")
