"""Right and wrong calls of a typed module, for type checkers.

``python -m tests.support.typed_calls pyright`` runs a type checker that the tests do not bring
along, and fails unless it reports exactly the wrong calls.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from trackrelay.plan import parse_plan
from trackrelay.plan.typed_module import typed_module

ROOT = Path(__file__).parents[2]

PLAN = """\
plan: 1
name: shop
events:
  Order Completed:
    description: 'An order "was" paid.\\'
    changes: [orders_count]
    properties:
      order_id: {type: string, description: 'Its \"\"\"number".'}
      total: {type: number}
      channel: {enum: [web, app]}
      at: {type: integer, format: unix-seconds}
      items:
        type: array
        items:
          type: object
          properties: {sku: {type: string}, n: {type: integer}}
          required: [sku]
    required: [order_id, total]
  class: {properties: {from: {type: string}, "odd name": {type: boolean}}}
  signed-up:
  typed: {properties: {str: {type: string}, datetime: {type: integer, format: unix-seconds}}}
  order_completed: {properties: {a: {type: [string, 'null']}}}
attributes:
  orders_count: {type: integer}
  plan: {enum: [pro, free]}
objects:
  product: {id: 7, attributes: {sku: {type: string}}}
"""

CALLS = """\
from datetime import UTC, datetime
from decimal import Decimal

import plan_events
import trackrelay
from trackrelay.outbox import Outbox

now = datetime.now(UTC)
plan_events.order_completed(
    "42",
    {
        "order_id": "A-1", "total": Decimal("1.5"), "channel": "web", "at": now,
        "items": [{"sku": "a"}],
    },
    person_attributes={"orders_count": 1},
)
plan_events.signed_up("42")
plan_events.identify("42", {"plan": None})


def through(outbox: Outbox, pipeline: trackrelay.Pipeline) -> None:
    plan_events.signed_up("42", through=outbox)
    plan_events.signed_up("42", through=pipeline)


plan_events.order_completed("42", {"order_id": "A-1", "total": "1.50"})  # wrong type
plan_events.order_completed("42", {"order_id": "A-1"})  # missing property
plan_events.order_completed("42", {"order_id": "A-1", "total": 1, "totl": 1})  # unknown name
plan_events.order_completed("42", {"order_id": "A-1", "total": 1, "channel": "fax"})  # not allowed
plan_events.order_completed("42", {"order_id": "A", "total": 1}, person_attributes={})  # pair
plan_events.identify("42", {"plan": "gold"})  # not allowed
"""

#: The lines of CALLS that are wrong; a comment in each says why.
WRONG = [number for number, line in enumerate(CALLS.splitlines(), 1) if "  # " in line]
_ERROR = re.compile(r"calls\.py:(\d+):\S* (?:- )?error: (.*)")


def errors(checker: Sequence[str], folder: Path) -> list[tuple[int, str]]:
    """Run a type checker on the calls, and return the line and the text of each error."""
    for name, is_async in (("plan_events", False), ("plan_events_async", True)):
        source = typed_module(parse_plan(PLAN), is_async=is_async)
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    (folder / "calls.py").write_text(CALLS, encoding="utf-8")
    files = ["calls.py", "plan_events.py", "plan_events_async.py"]
    done = subprocess.run(
        [*checker, *files], cwd=folder, capture_output=True, text=True, check=False
    )
    found = [(int(line), text) for line, text in _ERROR.findall(done.stdout)]
    others = done.stdout.count("error:") - len(found)
    assert others == 0, done.stdout
    return found


def main() -> None:
    """Run the type checker that the arguments name."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "pyrightconfig.json"
        config.write_text(f'{{"typeCheckingMode": "strict", "extraPaths": ["{ROOT}"]}}')
        checker = [*sys.argv[1:], "--pythonpath", sys.executable]
        lines = [line for line, _ in errors(checker, Path(folder))]
    print(f"errors in lines {lines}; wrong calls are in {WRONG}")
    sys.exit(lines != WRONG)


if __name__ == "__main__":
    main()
