"""What Customer.io knows about a person, as far as it can be asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from trackrelay.app_api import (
    Activity,
    AppApi,
    AppApiError,
    AppApiNotFoundError,
    Profile,
    RelatedObject,
    Segment,
)
from trackrelay.operations.refs import Person

T = TypeVar("T")

#: How long one read is tried again: somebody waits in front of the screen.
RETRY_FOR_S = 3.0
#: Activities that are compared with the ledger: one page.
MAX_ACTIVITIES = 100
MAX_OBJECTS = 20
NOT_ASKED = "not asked: CUSTOMERIO_APP_API_KEY is not set"


@dataclass(slots=True)
class CustomerioSide:
    """What was read; what could not be read is None, and a problem says why."""

    #: Whether it is known if there is a profile.
    is_known: bool = False
    profile: Profile | None = None
    segments: list[Segment] | None = None
    objects: list[RelatedObject] | None = None
    #: The latest first; those of the deleted person if there is no profile.
    activities: list[Activity] | None = None
    #: Whether there are older activities than those.
    has_more_activities: bool = False
    problems: list[str] = field(default_factory=list)


def read_customerio(person: Person, has_key: bool) -> CustomerioSide:
    """Ask Customer.io about a person.

    Args:
        person: by id, email, phone or cio_id.
        has_key: whether there is an App API key; without one nothing is asked.
    """
    side = CustomerioSide()
    if not has_key:
        return side
    if person.kind == "anonymous_id":
        side.problems.append("Customer.io cannot be asked about anonymous visitors")
        return side
    with AppApi(retry_for=RETRY_FOR_S) as api:
        try:
            side.profile = api.attributes(person)
            side.is_known = True
        except AppApiNotFoundError:
            side.is_known = True
        except AppApiError as error:
            side.problems.append(str(error))
            return side
        if side.profile is not None:
            side.segments = _tried(side, lambda: api.segments(person))
            side.objects = _tried(side, lambda: list(api.relationships(person, limit=MAX_OBJECTS)))
        is_deleted = side.profile is None
        results = api.activities(person, deleted=is_deleted, limit=MAX_ACTIVITIES)
        side.activities = _tried(side, lambda: list(results))
        side.has_more_activities = results.next_start is not None
    return side


def _tried(side: CustomerioSide, read: Callable[[], T]) -> T | None:
    try:
        return read()
    except AppApiNotFoundError:
        return None
    except AppApiError as error:
        if str(error) not in side.problems:
            side.problems.append(str(error))
        return None
