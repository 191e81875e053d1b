"""The workspace: takes operations in the order they are accepted, and says what became of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from trackrelay.sandbox import operations
from trackrelay.sandbox.operations import Operation

from . import event_rules, object_rules, person_rules
from .outcome import Outcome
from .settings import Settings
from .state import Arrival, State

_RULES: Final[dict[type[Operation], Callable[[State, Any, Arrival], Outcome]]] = {
    operations.Identify: person_rules.identify,
    operations.Event: event_rules.event,
    operations.DeletePerson: person_rules.delete,
    operations.Suppress: person_rules.suppress,
    operations.Unsuppress: person_rules.unsuppress,
    operations.AddDevice: person_rules.add_device,
    operations.DeleteDevice: person_rules.delete_device,
    operations.Merge: person_rules.merge,
    operations.RelatePerson: person_rules.relate,
    operations.SubmitForm: person_rules.submit_form,
    operations.IdentifyObject: object_rules.identify,
    operations.DeleteObject: object_rules.delete,
    operations.RelateObject: object_rules.relate,
    operations.ChangeSegment: object_rules.change_segment,
    operations.ReportMetric: event_rules.report_metric,
    operations.Unsubscribe: event_rules.unsubscribe,
}


class Workspace:
    """People, objects and what happened to them."""

    def __init__(self, settings: Settings) -> None:
        self.state = State(settings)

    def apply(self, operation: Operation, arrival: Arrival) -> Outcome:
        """Let one accepted operation take effect."""
        return _RULES[type(operation)](self.state, operation, arrival)

    def reset(self) -> None:
        """Forget everything but the settings."""
        self.state = State(self.state.settings)
