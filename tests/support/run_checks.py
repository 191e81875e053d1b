"""What the checks at the end of a run search: log files, for secrets."""

from pathlib import Path

import pytest

LOGS = pytest.StashKey[list[Path]]()
SECRETS = pytest.StashKey[dict[str, str]]()
LEAKS = pytest.StashKey[list[str]]()
