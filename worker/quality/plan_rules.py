"""The rules about the tracking plan: what violates it, what that does, and what to do."""

from __future__ import annotations

from .rules import Rule, Severity

UNREADABLE_PLAN = Rule(
    "Q701",
    "workers cannot read the tracking plan",
    Severity.ERROR,
    "Jobs are delivered without being compared with it.",
    "Upgrade these workers, or install the extra `plan`; then apply the plan again.",
)
UNPLANNED_EVENT = Rule(
    "Q702",
    "an event that the plan does not have",
    Severity.WARNING,
    "Nobody knows what it means, so nobody can rely on it in a campaign.",
    "Add it to the plan, or stop sending it.",
)
OTHER_NAME = Rule(
    "Q703",
    "sent under another name than the planned one",
    Severity.ERROR,
    "Segments and campaigns that use the planned name do not see it.",
    "Send the planned name, or let the plan `fix` it.",
)
MISSING_PROPERTY = Rule(
    "Q704",
    "a required property is missing",
    Severity.ERROR,
    "The people concerned fall out of segments, and templates show an empty place.",
    "Send the property with each event.",
)
OTHER_TYPE = Rule(
    "Q705",
    "another type than the planned one",
    Severity.ERROR,
    "A condition such as `is greater than 50` matches only the people whose value is a number.",
    "Send the planned type, or let the plan `fix` it.",
)
OTHER_VALUE = Rule(
    "Q706",
    "a value that the plan does not allow",
    Severity.WARNING,
    "Segments that list the planned values leave these people out.",
    "Send a planned value, or add it to the plan.",
)
UNPLANNED_PROPERTY = Rule(
    "Q707",
    "a property that the plan does not have",
    Severity.WARNING,
    "Nobody knows what it means, and it may be a misspelt name of a planned one.",
    "Add it to the plan, or stop sending it.",
)
OTHER_OWNER = Rule(
    "Q708",
    "written by an application that does not own it",
    Severity.ERROR,
    "The last writer wins; an older value may overwrite the owner's.",
    "Let only its owner send it, or let the plan `fix` it.",
)
LATER_THAN_PLANNED = Rule(
    "Q709",
    "later than the plan allows",
    Severity.WARNING,
    "A message such as an abandoned-cart reminder is sent to people who have bought already.",
    "Send the event when it happens.",
)
STATE_UNCHANGED = Rule(
    "Q710",
    "the event comes, and the state that must change with it does not",
    Severity.WARNING,
    "Segments by the attribute still have the people as they were before the event.",
    "Send the attribute together with the event, for example with `person_attributes=`.",
)
FIXED_BY_PLAN = Rule(
    "Q711",
    "the plan fixes what an application sends",
    Severity.INFO,
    "Customer.io has the planned form.",
    "Correct the application when there is time.",
)
MORE_VIOLATIONS = Rule(
    "Q712",
    "more violations of the plan than are counted",
    Severity.WARNING,
    "Names that contain ids or values make every event a violation of its own.",
    "Correct the violations that are reported, the most frequent first.",
)
NOT_SENT = Rule(
    "Q713",
    "the plan has it, and no application sends it",
    Severity.WARNING,
    "Campaigns that wait for it do not start, and segments and messages that use it are empty.",
    "Send it, or take it out of the plan.",
)

#: These rules, by id.
PLAN_RULES = {each.id: each for each in list(globals().values()) if isinstance(each, Rule)}
