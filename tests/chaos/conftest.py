"""The marker of the tests that break a whole stack."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "chaos: breaks a whole stack for a minute; -m 'not chaos' leaves it out")
