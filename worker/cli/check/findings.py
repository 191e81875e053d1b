"""Findings of ``trackrelay check``, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rich.console import Group, RenderableType
from rich.text import Text

from trackrelay.worker.cli.common.humanize import count
from trackrelay.worker.cli.common.output import marked_table

State = Literal["ok", "warning", "wrong", "skipped"]

#: The mark of a state, the mark's style, and the style of the text beside it.
_MARKS: dict[State, tuple[str, str, str]] = {
    "ok": ("✓", "green", ""),
    "warning": ("!", "yellow", "yellow"),
    "wrong": ("✗", "bold red", "bold red"),
    "skipped": ("–", "dim", "dim"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked. Only ``wrong`` makes the command fail."""

    #: ``Settings``, ``Redis``, ``Postgres`` …
    area: str
    #: What was checked.
    name: str
    state: State
    #: The result and, unless it is ok, the consequence and the remedy.
    text: str

    def as_json(self) -> dict[str, str]:
        """Return the finding as a JSON document has it."""
        return {"area": self.area, "name": self.name, "state": self.state, "text": self.text}

    def as_line(self) -> str:
        """Return the finding as a line of an error message."""
        if self.name in ("reached", "settings"):
            return self.text
        subject = self.name if self.name.isupper() else f"{self.area}, {self.name}"
        return f"{subject}: {self.text}"


def render_findings(findings: list[Finding]) -> RenderableType:
    """Return a table of the findings by area, and a summary below it."""
    table = marked_table(0, 0)
    area = ""
    for each in findings:
        if each.area != area:
            if area:
                table.add_row()
            table.add_row("", Text(each.area, style="bold cyan"), "")
            area = each.area
        mark, mark_style, style = _MARKS[each.state]
        table.add_row(Text(mark, style=mark_style), Text(each.name), Text(each.text, style=style))
    return Group(table, Text(), _summary(findings))


def _summary(findings: list[Finding]) -> Text:
    wrong, warnings = (
        sum(each.state == state for each in findings) for state in ("wrong", "warning")
    )
    if wrong:
        return Text(f"{count(wrong, 'problem')} to correct.", style="bold red")
    if warnings:
        return Text(f"Works, with {count(warnings, 'warning')}.", style="bold yellow")
    return Text("Everything is in order.", style="bold green")
