"""The errors of tracking plans: of the file, and of a call that violates the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackrelay.errors import ConfigurationError, InvalidOperationError

if TYPE_CHECKING:
    from .plan_checker import Violation

#: Problems of one file that its error lists.
MAX_PROBLEMS = 50
#: Violations of one call that its error lists.
MAX_VIOLATIONS = 10


@dataclass(frozen=True, slots=True)
class PlanProblem:
    """One thing that is wrong in a plan's file."""

    file: str
    line: int
    #: Such as ``events.order_completed.owner``; empty: the whole file.
    place: str
    #: The end of a sentence about the place.
    problem: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.place} {self.problem}" if self.place else f"{where}: {self.problem}"


class PlanError(ConfigurationError):
    """The file is no tracking plan. The message has a line for each problem.

    Attributes:
        problems: everything that is wrong.
    """

    def __init__(self, problems: Sequence[PlanProblem]) -> None:
        shown = [str(each) for each in problems[:MAX_PROBLEMS]]
        if more := len(problems) - len(shown):
            shown.append(f"… and {more:,} more")
        super().__init__("\n".join(shown))
        self.problems = tuple(problems)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.problems,)


class PlanViolationError(InvalidOperationError):
    """A call violates the tracking plan, so it was not enqueued.

    Attributes:
        violations: everything that is wrong: names and types, never a value.
    """

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        limit: str = "",
        actual: str = "",
        violations: tuple[Violation, ...] = (),
    ) -> None:
        super().__init__(message, field=field, limit=limit, actual=actual)
        self.violations = violations


def violation_error(plan: str, violations: tuple[Violation, ...]) -> PlanViolationError:
    """Return the error of a call.

    Args:
        plan: the name of the plan.
        violations: at least one.
    """
    shown = "; ".join(each.text for each in violations[:MAX_VIOLATIONS])
    more = len(violations) - MAX_VIOLATIONS
    first = violations[0]
    return PlanViolationError(
        f"the call violates the tracking plan {plan!r}: {shown}"
        + (f"; and {more:,} more" if more > 0 else ""),
        field=f"attributes.{first.path}" if first.path else "name",
        limit=first.expected,
        actual=first.actual,
        violations=violations,
    )
