"""What a plan says about names, as Customer.io's Data Index takes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from trackrelay.app_api import AttributeMetadata, EventMetadata

from .plan_model import Plan, PropertyPlan

#: Characters of a description.
MAX_DESCRIPTION = 255

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DataIndexEntries:
    """The entries of a plan.

    Attributes:
        events: those of events with a description.
        attributes: those of people's attributes with a description or a privacy.
        shortened: names whose descriptions were too long.
    """

    events: tuple[EventMetadata, ...]
    attributes: tuple[AttributeMetadata, ...]
    shortened: tuple[str, ...]


def data_index_entries(plan: Plan, *, with_privacy: bool = True) -> DataIndexEntries:
    """Return what a plan says, as the Data Index takes it.

    Args:
        plan: the plan.
        with_privacy: whether to say which attributes are sensitive, which takes a Premium plan.
    """
    shortened: list[str] = []
    events = tuple(
        EventMetadata(each.name, _short(each.name, each.description, shortened))
        for each in plan.events.values()
        if each.description
    )
    attributes = tuple(
        AttributeMetadata(
            each.name,
            _short(each.name, each.description, shortened) or None,
            _level(each) if with_privacy else None,
        )
        for each in plan.attributes.values()
        if each.description or (with_privacy and each.privacy)
    )
    return DataIndexEntries(events, attributes, tuple(shortened))


def in_chunks(entries: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield groups of entries, one for each request."""
    for start in range(0, len(entries), size):
        yield entries[start : start + size]


def _level(attribute: PropertyPlan) -> Literal[0, 1] | None:
    if attribute.privacy is None:
        return None
    return 1 if attribute.privacy == "sensitive" else 0


def _short(name: str, description: str, shortened: list[str]) -> str:
    text = " ".join(description.split())
    if len(text) <= MAX_DESCRIPTION:
        return text
    shortened.append(name)
    return text[: MAX_DESCRIPTION - 1] + "…"
