"""Print the settings as Markdown: ``python -m trackrelay.configuration.reference``."""

from __future__ import annotations

from collections.abc import Iterator

from .settings_table import SETTINGS, Setting

HEAD = ("Setting", "Read by", "Default", "Values", "Meaning")
#: Marks settings that can be in a file, ``NAME_FILE``.
SECRET_MARK = "⚿"


def reference_table() -> str:
    """Return a table with a row for each setting."""
    return "\n".join(_rows())


def _rows() -> Iterator[str]:
    yield _row(HEAD)
    yield _row(("---",) * len(HEAD))
    for setting in SETTINGS:
        if not setting.is_internal:
            yield _row(_cells(setting))


def _cells(setting: Setting) -> tuple[str, ...]:
    name = f"`{setting.name}`" + (f" {SECRET_MARK}" if setting.is_secret else "")
    default = setting.default_note if setting.default is None else f"`{setting.default}`"
    return (name, setting.readers, default, setting.type.values, setting.explanation)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(reference_table())
