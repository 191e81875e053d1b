"""The workspace: applies accepted operations in order and returns the outcome of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from trackrelay.sandbox import parsed_operations
from trackrelay.sandbox.parsed_operations import Operation

from . import event_rules, object_rules, person_rules
from .workspace_state import Arrival, Outcome, Settings, State

_RULES: Final[dict[type[Operation], Callable[[State, Any, Arrival], Outcome]]] = {
    parsed_operations.Identify: person_rules.identify,
    parsed_operations.Event: event_rules.event,
    parsed_operations.DeletePerson: person_rules.delete,
    parsed_operations.Suppress: person_rules.suppress,
    parsed_operations.Unsuppress: person_rules.unsuppress,
    parsed_operations.AddDevice: person_rules.add_device,
    parsed_operations.DeleteDevice: person_rules.delete_device,
    parsed_operations.Merge: person_rules.merge,
    parsed_operations.RelatePerson: person_rules.relate,
    parsed_operations.SubmitForm: person_rules.submit_form,
    parsed_operations.IdentifyObject: object_rules.identify,
    parsed_operations.DeleteObject: object_rules.delete,
    parsed_operations.RelateObject: object_rules.relate,
    parsed_operations.ChangeSegment: object_rules.change_segment,
    parsed_operations.ReportMetric: event_rules.report_metric,
    parsed_operations.Unsubscribe: event_rules.unsubscribe,
}


class Workspace:
    """People, objects and events."""

    def __init__(self, settings: Settings) -> None:
        self.state = State(settings)

    def apply(self, operation: Operation, arrival: Arrival) -> Outcome:
        """Apply one accepted operation."""
        return _RULES[type(operation)](self.state, operation, arrival)
