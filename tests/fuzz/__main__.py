"""``python -m tests.fuzz``: run the fuzzers for a time, or for a number of cases."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import random
import sys
import time
from collections.abc import Callable, Sequence
from types import ModuleType

import tests.fuzz

#: Seconds between two lines of progress.
REPORT_S = 10.0


def fuzzers() -> dict[str, ModuleType]:
    """Return the modules that have a ``NAME`` and a ``run()``, by name."""
    names = [
        found.name
        for found in pkgutil.iter_modules(tests.fuzz.__path__)
        if not found.name.startswith(("_", "test_"))
    ]
    modules = [importlib.import_module(f"tests.fuzz.{name}") for name in sorted(names)]
    return {module.NAME: module for module in modules if hasattr(module, "NAME")}


def until(seconds: float, cases: int) -> Callable[[int], bool]:
    """Return a function that decides whether to try another case."""
    end = time.monotonic() + seconds
    return lambda tried: tried < cases and time.monotonic() < end


def fuzz(module: ModuleType, seed: int, more: Callable[[int], bool]) -> int:
    """Run one fuzzer with progress; return the number of cases it tried."""
    started = reported = time.monotonic()

    def report_and_ask(tried: int) -> bool:
        nonlocal reported
        if (now := time.monotonic()) > reported + REPORT_S:
            reported = now
            print(
                f"{module.NAME}: {tried:,} cases, {tried / (now - started) * 60:,.0f} a minute",
                flush=True,
            )
        return more(tried)

    tried: int = module.run(random.Random(seed), report_and_ask)
    print(
        f"{module.NAME}: {tried:,} cases in {time.monotonic() - started:,.0f} s, nothing found",
        flush=True,
    )
    return tried


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the fuzzers that are asked for, one after the other; return the exit status."""
    found = fuzzers()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=tests.fuzz.__doc__)
    parser.add_argument(
        "--seed", type=int, default=None, help="repeats a run; left out, every run is another one"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="for each fuzzer (default: 60)")
    parser.add_argument(
        "--cases", type=int, default=sys.maxsize, help="for each fuzzer, if that is less"
    )
    parser.add_argument(
        "--only", choices=sorted(found), action="append", help="this fuzzer; can be repeated"
    )
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    failed = False
    for name in options.only or sorted(found):
        print(f"{name}: seed {seed}", flush=True)
        try:
            fuzz(found[name], seed, until(options.seconds, options.cases))
        except AssertionError as violation:
            failed = True
            print(f"{name}: FOUND with --seed {seed}: {violation}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
