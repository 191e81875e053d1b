"""What is declared of a setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .value_types import SettingType

Readers = Literal[
    "all",
    "applications",
    "applications, `import`",
    "workers",
    "workers, `AppApi`",
    "command line, `AppApi`",
    "console",
    "`watch`",
    "`watch`, console",
]
PREFIX = "TRACKRELAY_"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        name: its environment variable.
        type: how its value is read.
        explanation: one sentence for the reference, in Markdown.
        readers: which processes read it.
        default: what applies if it is not set, as the environment would have it.
        default_note: the reference's text for a default that is not a value.
        is_secret: whether it can be in a file, ``NAME_FILE``, and is never shown.
        fallback: the variable that is read if this one is not set.
        is_internal: whether it is for the project's own tests.
    """

    name: str
    type: SettingType
    explanation: str
    readers: Readers = "workers"
    default: str | None = None
    default_note: str = "–"
    is_secret: bool = False
    fallback: str | None = None
    is_internal: bool = False

    @property
    def field(self) -> str:
        """The field of the settings that holds its value."""
        return self.name.removeprefix(PREFIX).removeprefix("CUSTOMERIO_").lower()

    @property
    def names(self) -> tuple[str, ...]:
        """The environment variables that set it."""
        return (self.name, f"{self.name}_FILE") if self.is_secret else (self.name,)
