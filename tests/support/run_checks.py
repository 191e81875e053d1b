"""What the checks at the end of a run look at: log files, and secrets that must not be in them."""

from pathlib import Path

import pytest

LOGS = pytest.StashKey[list[Path]]()
SECRETS = pytest.StashKey[dict[str, str]]()
LEAKS = pytest.StashKey[list[str]]()
