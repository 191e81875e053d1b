"""What an alert says, and in which form each channel takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trackrelay.worker.cli.common.humanize import duration
from trackrelay.worker.cli.common.output import moment

from .alert_tracker import Change

#: The pages of the documentation.
GUIDES = "https://github.com/trackrelay/trackrelay/blob/main/docs/how-to/"
#: Where the documentation says what to do, by store or measure.
ENTRIES = {
    "redis": "runbook.md#redis-and-postgres",
    "postgres": "runbook.md#redis-and-postgres",
    "outbox": "runbook.md#applications",
    "oldest": "runbook.md#workers",
    "beat": "runbook.md#workers",
    "workers": "runbook.md#workers",
    "queue": "runbook.md#workers",
    "pending": "runbook.md#workers",
    "delivered": "runbook.md#workers",
    "breaker": "runbook.md#breaker",
    "backlog": "runbook.md#breaker",
    "dead_letters": "runbook.md#dead-letters",
    "lost": "runbook.md#lost-jobs",
    "memory": "runbook.md#applications",
    "refused": "runbook.md#applications",
    "unavailable": "runbook.md#applications",
    "paused": "runbook.md#planned-work",
    "unforgotten": "forget-a-person.md",
    "ignored": "verification.md",
    "missing": "verification.md",
    "different": "verification.md",
    "findings": "clean-data.md",
}


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """An alert that begins or ends, with what helps."""

    change: Change
    #: The store or measure that it is about.
    subject: str
    #: The sentence of ``trackrelay status``; empty if it is not known.
    verdict: str
    #: Which installation it is, such as ``shop production``.
    installation: str
    #: The address of the console; empty if there is none.
    console_url: str
    now: float

    @property
    def title(self) -> str:
        """One line."""
        if self.change.state == "firing":
            return f"{self.installation}: {self.change.text}"
        lasted = duration(self.now - self.change.since)
        return f"{self.installation}: resolved after {lasted}: {self.change.name}"

    @property
    def runbook(self) -> str:
        """Where the documentation says what to do."""
        return GUIDES + ENTRIES[self.subject]

    @property
    def lines(self) -> list[str]:
        """What follows the title."""
        lines = [self.verdict] if self.verdict else []
        if self.change.state == "firing":
            lines.append(f"What to do: {self.runbook}")
        if self.console_url:
            lines.append(f"Console: {self.console_url}")
        return lines

    def as_slack(self) -> dict[str, Any]:
        """Return what Slack, Mattermost and others with the same webhooks show."""
        sign = "🔴" if self.change.state == "firing" else "🟢"
        text = "\n".join((f"{sign} *{_escaped(self.title)}*", *map(_escaped, self.lines)))
        return {"text": text}

    def as_json(self) -> dict[str, Any]:
        """Return the document for programs."""
        return {
            "alert": self.change.name,
            "state": self.change.state,
            "text": self.title,
            "since": moment(self.change.since),
            "at": moment(self.now),
            "installation": self.installation,
            "status": self.verdict or None,
            "runbook": self.runbook,
            "console": self.console_url or None,
        }


def _escaped(text: str) -> str:
    """Return ``text`` without Slack's commands, such as ``<!channel>``."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
