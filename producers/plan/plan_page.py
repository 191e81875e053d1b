"""A plan as a page for people who write campaigns: one HTML file, or Markdown."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from string import Template

from .plan_model import EventPlan, Plan
from .plan_words import PropertyWords, event_words, lateness_words, object_words, person_words

_HEADINGS = ("Name", "Meaning", "Type", "Values", "In a message")
_NOT_IN_AN_ID = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Card:
    """One part of the page: an event, the attributes of people, or a type of objects.

    Attributes:
        section: the section that it is in.
        anchor: its id in the page.
        title: its name.
        description: what it means.
        facts: sentences about it.
        rows: its properties.
    """

    section: str
    anchor: str
    title: str
    description: str
    facts: tuple[str, ...]
    rows: Sequence[PropertyWords]


def plan_cards(plan: Plan) -> list[Card]:
    """Return the parts of the page in their order."""
    anchors: set[str] = set()
    cards = [
        Card(
            "Events",
            _anchor("event", event.name, anchors),
            event.name,
            event.description,
            tuple(_facts(event)),
            event_words(event),
        )
        for event in plan.events.values()
    ]
    if plan.attributes:
        rows = person_words(plan)
        anchor = _anchor("people", "attributes", anchors)
        cards.append(Card("People", anchor, "Attributes of people", "", (), rows))
    for planned in plan.objects.values():
        anchor = _anchor("object", planned.name, anchors)
        rows = object_words(planned)
        cards.append(Card("Objects", anchor, planned.name, planned.description, (), rows))
    return cards


def html_page(plan: Plan) -> str:
    """Return the page as one HTML file, which loads nothing."""
    template = (importlib.resources.files(__package__) / "plan_page.html").read_text("utf-8")
    cards = plan_cards(plan)
    body, contents = [], []
    for section in dict.fromkeys(card.section for card in cards):
        own = [card for card in cards if card.section == section]
        body += [f"<h2>{section}</h2>", *map(_html_card, own)]
        links = "".join(
            f'<li><a href="#{card.anchor}">{escape(card.title)}</a></li>' for card in own
        )
        contents.append(f"<strong>{section}</strong><ul>{links}</ul>")
    return Template(template).substitute(
        title=escape(f"{plan.name}: tracking plan"),
        heading=escape(f"{plan.name}: tracking plan"),
        introduction="".join(f"<p>{escape(each)}</p>" for each in _introduction(plan)),
        contents="\n".join(contents),
        body="\n".join(body) or "<p>The plan is empty.</p>",
    )


def markdown_page(plan: Plan) -> str:
    """Return the page as Markdown."""
    lines = [f"# {_plain(plan.name)}: tracking plan", ""]
    for text in _introduction(plan):
        lines += [_plain(text), ""]
    section = ""
    for card in plan_cards(plan):
        if card.section != section:
            section = card.section
            lines += [f"## {section}", ""]
        lines += [f"### {_plain(card.title)}", ""]
        lines += [
            line for text in (card.description, *card.facts) if text for line in (_plain(text), "")
        ]
        if card.rows:
            lines += [f"| {' | '.join(_HEADINGS)} |", f"|{'---|' * len(_HEADINGS)}"]
            lines += [f"| {' | '.join(_markdown_cells(each))} |" for each in card.rows]
            lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _introduction(plan: Plan) -> Iterable[str]:
    if plan.description:
        yield plan.description
    yield (
        "What applications send to Customer.io. Use these names in segments and campaigns, "
        f"and the last column in messages. Version {plan.digest[:12]}."
    )


def _facts(event: EventPlan) -> Iterable[str]:
    if event.owners:
        yield f"Sent by {_listed(event.owners)}."
    if event.changes:
        yield f"Changes the attributes {_listed(event.changes)} of the person."
    if event.lateness_s is not None:
        yield f"Arrives within {lateness_words(event.lateness_s)}."
    if event.id_property:
        yield f"{event.id_property} identifies what happened."
    if event.aliases:
        yield f"Some applications still send it as {_listed(event.aliases)}."


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _remarks(row: PropertyWords) -> Iterable[str]:
    if row.owners:
        yield f"Set by {_listed(row.owners)} only."
    if row.aliases:
        yield f"Also sent as {_listed(row.aliases)}."


def _html_card(card: Card) -> str:
    parts = [f'<section class="card" id="{card.anchor}"><h3>{escape(card.title)}</h3>']
    if card.description:
        parts.append(f"<p>{escape(card.description)}</p>")
    if card.facts:
        facts = "".join(f"<li>{escape(each)}</li>" for each in card.facts)
        parts.append(f'<ul class="facts">{facts}</ul>')
    if card.rows:
        head = "".join(f"<th>{each}</th>" for each in _HEADINGS)
        rows = "".join(map(_html_row, card.rows))
        parts.append(f'<div class="table"><table><tr>{head}</tr>{rows}</table></div>')
    return "".join([*parts, "</section>"])


def _html_row(row: PropertyWords) -> str:
    badge = f' <span class="badge">{escape(row.privacy)}</span>' if row.privacy else ""
    remarks = "".join(f'<div class="soft">{escape(each)}</div>' for each in _remarks(row))
    liquid = f"<code>{escape(row.liquid)}</code>" if row.liquid else ""
    always = '<div class="soft">always there</div>' if row.is_required else ""
    return (
        f"<tr><td><code>{escape(row.path)}</code>{badge}</td>"
        f'<td class="meaning">{escape(row.description)}{remarks}</td>'
        f'<td class="type">{escape(row.type)}{always}</td>'
        f"<td>{escape(row.values)}</td><td>{liquid}</td></tr>"
    )


def _markdown_cells(row: PropertyWords) -> list[str]:
    meaning = " ".join([row.description, *_remarks(row)]).strip()
    type = f"{row.type}; always there" if row.is_required else row.type
    name = f"`{row.path}`" + (f" ({row.privacy})" if row.privacy else "")
    liquid = f"`{row.liquid}`" if row.liquid else ""
    return [_cell(each) for each in (name, meaning, type, row.values, liquid)]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _plain(text: str) -> str:
    """Return a text that Markdown shows as it is."""
    return re.sub(r"([*_`<>\[\]#\\])", r"\\\1", " ".join(text.split()))


def _anchor(kind: str, name: str, taken: set[str]) -> str:
    wanted = anchor = f"{kind}-{_NOT_IN_AN_ID.sub('-', name.lower()).strip('-') or 'unnamed'}"
    number = 2
    while anchor in taken:
        anchor, number = f"{wanted}-{number}", number + 1
    taken.add(anchor)
    return anchor
