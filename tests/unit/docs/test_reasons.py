"""The runbook says what each reason means, and what to do."""

import re
from pathlib import Path

from trackrelay.worker.reasons import DeathReason

RUNBOOK = Path(__file__).parents[3] / "docs" / "how-to" / "runbook.md"


def test_the_runbook_has_a_row_for_each_reason_of_dead_letters() -> None:
    section = RUNBOOK.read_text(encoding="utf-8").partition("\n## Dead letters\n")[2]
    rows = re.findall(r"^\| `(\w+)` \|", section.partition("\n## ")[0], re.MULTILINE)
    assert rows == list(DeathReason)
