"""Everything a workspace holds."""

from __future__ import annotations

from collections import Counter, defaultdict

import msgspec

from trackrelay.sandbox.parsed_operations import PersonRef

from .anonymous_people import Anonymous
from .deliveries import Deliveries
from .identification import Identification
from .objects import Objects
from .people import People, Person
from .suppression import Suppressions
from .workspace_settings import Settings


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """When an operation was accepted: its place in the order, and the clock's time."""

    seq: int
    at: float


class State:
    """The parts of a workspace, for the rules to work on."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.people = People()
        self.objects = Objects()
        self.anonymous = Anonymous()
        self.suppressions = Suppressions()
        self.deliveries = Deliveries()
        self.identification = Identification(self.people, self.suppressions, settings)
        #: By segment id: the cio_ids in it.
        self.segments: dict[int, set[str]] = defaultdict(set)
        #: By form id: submissions.
        self.forms: Counter[str] = Counter()
        #: By ULID: how often an event with it was accepted; all but the first were ignored.
        self.event_ids: dict[str, int] = {}

    def find(self, ref: PersonRef) -> Person | None:
        """Whoever has this identifier."""
        return self.people.find(ref.key)

    def remove(self, person: Person) -> None:
        """Delete a person with all their ties."""
        self.objects.part_all(person)
        for segment_id in person.segments:
            self.segments[segment_id].discard(person.cio_id)
        self.people.remove(person)
