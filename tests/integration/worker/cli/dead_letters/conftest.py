"""The command line, with the secret that the worker of these tests hashes keys with."""

import pytest

from tests.support.command_line import CommandLine
from tests.support.fixtures.dead_letter_fixtures import SECRET


@pytest.fixture
def run(worker_settings: dict[str, str]) -> CommandLine:
    """The command line, with the secret of the worker."""
    return CommandLine({**worker_settings, "TRACKRELAY_KEY_HASH_SECRET": SECRET})
