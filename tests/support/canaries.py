"""Values that must never be logged.

Tests use them, and the end of the run searches every log for them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CANARY_SITE_ID = "canary-site-5f1d0c"
CANARY_API_KEY = "canary-track-key-9b27e4"
CANARY_APP_API_KEY = "canary-app-key-41ac8e"
CANARY_KEY_HASH_SECRET = "canary-hash-secret-c0932f"
CANARY_EMAIL = "canary.person.77e1@example.com"
CANARY_PHONE = "+15550177342"
CANARY_ANONYMOUS_ID = "canary-anonymous-3d90b6"
CANARY_ATTRIBUTE = "canary-attribute-value-e85a13"
CANARY_EVENT_DATA = "canary-event-data-26bf7c"

CANARIES = {name: value for name, value in globals().items() if name.startswith("CANARY_")}


@dataclass(frozen=True)
class Leak:
    """A canary found in a log."""

    name: str
    log: Path
    line: int

    def __str__(self) -> str:
        return f"{self.name} was logged: {self.log}, line {self.line}"


def leaks(logs: Iterable[Path], secrets: dict[str, str]) -> list[Leak]:
    """Every canary and secret in the logs, each once a log."""
    wanted = {name: value.encode() for name, value in (CANARIES | secrets).items()}
    return [leak for log in logs if log.is_file() for leak in _leaks_of(log, wanted)]


def _leaks_of(log: Path, wanted: dict[str, bytes]) -> list[Leak]:
    content = log.read_bytes()
    return [
        Leak(name, log, content.count(b"\n", 0, content.index(value)) + 1)
        for name, value in wanted.items()
        if value in content
    ]
