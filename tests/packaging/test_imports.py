from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "producers"

SCRIPT = """
import sys, types
# The package without what its __init__ brings along: this is about the vocabulary alone.
package = sys.modules["trackrelay"] = types.ModuleType("trackrelay")
package.__path__ = [sys.argv[1]]
import trackrelay.operations
print(*sorted({"asyncio", "celery", "difflib", "hashlib", "pydantic", "redis", "ulid", "urllib"} & sys.modules.keys()))
"""


def test_the_vocabulary_is_cheap_to_import() -> None:
    """On the way to the first call nothing is loaded that the first call does not need."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(PACKAGE)], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == ""
