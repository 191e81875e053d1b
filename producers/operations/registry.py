"""The registry of actions: everything that an action must be known by, one row an action.

The checks, the vocabulary and the worker read this table. ``CONTRIBUTING.md`` shows how to add an
action.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from functools import cached_property

from .checks import (
    delivery_checks,
    device_checks,
    event_checks,
    form_checks,
    object_checks,
    person_checks,
    segment_checks,
)
from .checks.check_result import Checked, Document


class Family(StrEnum):
    """A group of Track API endpoints that fail together.

    The names are also those of the breakers' Redis keys.
    """

    #: ``/api/v2/entity`` and ``/api/v2/batch``.
    V2 = "v2"
    #: ``/api/v1/events`` and ``/api/v1/customers/…/events``: anonymous events, and events too large
    #: for v2.
    V1_EVENTS = "v1_events"
    #: ``/api/v1/segments/…``.
    SEGMENTS = "segments"
    #: ``/api/v1/forms/…``.
    FORMS = "forms"
    #: ``/api/v1/metrics`` and ``/unsubscribe/…``.
    METRICS = "metrics"


class V1Request(StrEnum):
    """A v1 request, built by :mod:`trackrelay.worker.track_api.request_builder`."""

    PERSON_EVENT = "person_event"
    ANONYMOUS_EVENT = "anonymous_event"
    SEGMENT = "segment"
    FORM = "form"
    METRIC = "metric"
    UNSUBSCRIBE = "unsubscribe"


@dataclass(frozen=True)
class Action:
    """One row of the registry.

    Args:
        name: ``type.action``, e.g. ``person.event``: the name in the ledger, the logs and the
            command line.
        check: checks and normalises a document of this action.
        builders: the functions of the vocabulary that make it; ``entity()`` makes all.
        required: the fields that its documents must have beside ``type`` and ``action``, separated
            by blanks.
        optional: the fields that its documents may have, separated by blanks.
        family: the endpoints that deliver it.
        v1_request: the v1 request that carries it; in the family v2, only what is too large for v2.
        has_large_data: its data can have 100,000 bytes, because v1 takes what is too large for v2.
        has_id: its documents carry the job's id, by which Customer.io drops duplicates.
        carries_time: it says when it happened, so it can arrive late without undoing what is newer.
        is_barrier: it is settled before anything else is sent for its keys.
        removes_person: an earlier operation that arrived after it would bring the person back.
        is_delayed: it waits ``TRACKRELAY_MERGE_DELAY`` once it is first for its keys.
    """

    name: str
    check: Callable[[Document], Checked]
    _: KW_ONLY
    builders: tuple[str, ...] = ()
    required: str = "identifiers"
    optional: str = ""
    family: Family = Family.V2
    v1_request: V1Request | None = None
    has_large_data: bool = False
    has_id: bool = False
    carries_time: bool = False
    is_barrier: bool = False
    removes_person: bool = False
    is_delayed: bool = False

    @property
    def type_and_action(self) -> tuple[str, str]:
        """The fields ``type`` and ``action`` of its documents."""
        type, _, action = self.name.partition(".")
        return type, action

    @cached_property
    def required_fields(self) -> frozenset[str]:
        """All fields that its documents must have."""
        return frozenset(["type", "action", *self.required.split()])

    @cached_property
    def fields(self) -> frozenset[str]:
        """All fields that its documents can have."""
        return self.required_fields | frozenset(self.optional.split())

    @property
    def is_event(self) -> bool:
        """Whether it is an event, a page view or a screen view.

        Nothing else has an id at Customer.io.
        """
        return self.has_id


#: Every action. The order is that of the list in an error that names the known ones.
ACTIONS = (
    Action(
        "person.identify",
        person_checks.identify,
        builders=("identify",),
        optional="timestamp attributes cio_relationships",
        carries_time=True,
    ),
    Action(
        "person.delete",
        person_checks.bare,
        builders=("delete_person",),
        is_barrier=True,
        removes_person=True,
    ),
    Action(
        "person.suppress",
        person_checks.bare,
        builders=("suppress",),
        is_barrier=True,
        removes_person=True,
    ),
    Action(
        "person.unsuppress",
        person_checks.bare,
        builders=("unsuppress",),
        is_barrier=True,
    ),
    Action(
        "person.merge",
        person_checks.merge,
        builders=("merge",),
        required="primary secondary",
        is_barrier=True,
        is_delayed=True,
    ),
    Action(
        "person.add_relationships",
        person_checks.relate,
        builders=("add_relationships",),
        required="identifiers cio_relationships",
    ),
    Action(
        "person.delete_relationships",
        person_checks.relate,
        builders=("delete_relationships",),
        required="identifiers cio_relationships",
    ),
    Action(
        "person.add_device",
        device_checks.add,
        builders=("add_device",),
        required="identifiers device",
    ),
    Action(
        "person.delete_device",
        device_checks.delete,
        builders=("delete_device",),
        required="identifiers device",
    ),
    Action(
        "person.event",
        event_checks.of_known,
        builders=("track",),
        required="identifiers name",
        optional="id timestamp attributes",
        v1_request=V1Request.PERSON_EVENT,
        has_large_data=True,
        has_id=True,
        carries_time=True,
    ),
    Action(
        "person.page",
        event_checks.of_known,
        builders=("page",),
        required="identifiers name",
        optional="id timestamp attributes",
        v1_request=V1Request.PERSON_EVENT,
        has_large_data=True,
        has_id=True,
        carries_time=True,
    ),
    Action(
        "person.screen",
        event_checks.of_known,
        builders=("screen",),
        required="identifiers name",
        optional="id timestamp attributes",
        has_id=True,
        carries_time=True,
    ),
    Action(
        "anonymous.event",
        event_checks.of_anonymous,
        builders=("track", "track_anonymous"),
        required="identifiers name",
        optional="id timestamp attributes",
        family=Family.V1_EVENTS,
        v1_request=V1Request.ANONYMOUS_EVENT,
        has_large_data=True,
        has_id=True,
        carries_time=True,
    ),
    Action(
        "anonymous.page",
        event_checks.of_anonymous,
        builders=("page",),
        required="identifiers name",
        optional="id timestamp attributes",
        family=Family.V1_EVENTS,
        v1_request=V1Request.ANONYMOUS_EVENT,
        has_large_data=True,
        has_id=True,
        carries_time=True,
    ),
    Action(
        "anonymous.screen",
        event_checks.of_anonymous,
        builders=("screen",),
        required="identifiers name",
        optional="id timestamp attributes",
        family=Family.V1_EVENTS,
        v1_request=V1Request.ANONYMOUS_EVENT,
        has_large_data=True,
        has_id=True,
        carries_time=True,
    ),
    Action(
        "object.identify",
        object_checks.identify,
        builders=("identify_object",),
        optional="attributes cio_relationships",
    ),
    Action(
        "object.identify_anonymous",
        object_checks.identify_anonymous,
        optional="attributes anonymous_id cio_relationships",
    ),
    Action(
        "object.delete",
        object_checks.bare,
        builders=("delete_object",),
    ),
    Action(
        "object.add_relationships",
        object_checks.relate,
        builders=("add_relationships",),
        required="identifiers cio_relationships",
    ),
    Action(
        "object.delete_relationships",
        object_checks.relate,
        builders=("delete_relationships",),
        required="identifiers cio_relationships",
    ),
    Action(
        "delivery.event",
        delivery_checks.event,
        required="identifiers name attributes",
        carries_time=True,
    ),
    Action(
        "delivery.metric",
        delivery_checks.metric,
        builders=("report_metric",),
        required="identifiers name",
        optional="recipient reason href timestamp",
        family=Family.METRICS,
        v1_request=V1Request.METRIC,
        carries_time=True,
    ),
    Action(
        "delivery.unsubscribe",
        delivery_checks.unsubscribe,
        builders=("unsubscribe",),
        family=Family.METRICS,
        v1_request=V1Request.UNSUBSCRIBE,
    ),
    Action(
        "segment.add",
        segment_checks.membership,
        builders=("add_to_segment",),
        required="identifiers person",
        family=Family.SEGMENTS,
        v1_request=V1Request.SEGMENT,
    ),
    Action(
        "segment.remove",
        segment_checks.membership,
        builders=("remove_from_segment",),
        required="identifiers person",
        family=Family.SEGMENTS,
        v1_request=V1Request.SEGMENT,
    ),
    Action(
        "form.submit",
        form_checks.submit,
        builders=("submit_form",),
        required="identifiers person",
        optional="attributes",
        family=Family.FORMS,
        v1_request=V1Request.FORM,
        has_large_data=True,
    ),
)

#: The registry by ``type.action``, as jobs name their operation.
BY_NAME = {action.name: action for action in ACTIONS}
#: The registry by the fields ``type`` and ``action`` of a document.
BY_TYPE_AND_ACTION = {action.type_and_action: action for action in ACTIONS}
#: Every function of the vocabulary.
BUILDERS = (*dict.fromkeys(name for action in ACTIONS for name in action.builders), "entity")
