"""The rules of data quality: what can be wrong, what that does, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is."""

    #: Worth knowing; nothing is wrong.
    INFO = "info"
    #: Segments or messages are wrong for some people.
    WARNING = "warning"
    #: Campaigns that use it do not work.
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong.

    Attributes:
        id: what ``--ack`` and the documentation call it.
        title: what is wrong, in a few words.
        severity: how bad it is.
        effect: what it does to segments and campaigns.
        remedy: what to do.
    """

    id: str
    title: str
    severity: Severity
    effect: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        rule: the rule that found it.
        subject: the event, attribute or identifier, such as ``order_completed.total``.
        evidence: counts in words, one fact a line.
        sources: the applications concerned.
        since: since when, in unix seconds, if that is known.
    """

    rule: Rule
    subject: str
    evidence: tuple[str, ...]
    sources: tuple[str, ...] = ()
    since: float | None = None

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return self.rule.severity

    @property
    def key(self) -> str:
        """What identifies the finding from one check to the next."""
        return f"{self.rule.id} {self.subject}"


#: Begins a line of evidence that names jobs.
EXAMPLES = "see trackrelay find: "


def examples(jobs: Sequence[str]) -> tuple[str, ...]:
    """Return a line of evidence that names jobs, for ``trackrelay find``; none without jobs."""
    return (EXAMPLES + ", ".join(jobs),) if jobs else ()


def from_source(subject: str, source: str) -> str:
    """Return the subject of a finding that is about one application."""
    return f"{subject} from {source}" if source else subject


def _rule(id: str, severity: Severity, title: str, effect: str, remedy: str) -> Rule:
    return Rule(id=id, title=title, severity=severity, effect=effect, remedy=remedy)


MIXED_TYPES = _rule(
    "Q101",
    Severity.ERROR,
    "one attribute, several types",
    "A condition such as `is greater than 50` matches only the people whose value is a number.",
    "Send one type everywhere.",
)
MIXED_TIMES = _rule(
    "Q102",
    Severity.ERROR,
    "one time, several formats",
    "Customer.io compares times as unix seconds; milliseconds lie thousands of years ahead, and "
    "texts do not match `within the last hour`.",
    "Send unix seconds everywhere.",
)
NESTED = _rule(
    "Q103",
    Severity.ERROR,
    "sometimes a value, sometimes an object or list",
    "Conditions and templates that read the plain value find nothing in the nested form.",
    "Send the plain value, and put details into an attribute of another name.",
)
ONE_OBJECT = _rule(
    "Q104",
    Severity.WARNING,
    "everything is inside one object",
    "Conditions on an event's attributes see the object, and not what is inside it.",
    "Send what segments and templates use as attributes of the event itself.",
)
NULL_FACT = _rule(
    "Q105",
    Severity.WARNING,
    "a fact is null now and then",
    "Conditions such as `is greater than 50` do not match, and messages show an empty place.",
    "Find the place in the code that does not know the value; send it when it is known.",
)
NULL_NOW = _rule(
    "Q106",
    Severity.WARNING,
    "an attribute that was never null is null now",
    "The people concerned fall out of segments, and templates show an empty place.",
    "Look for a deploy at that time; send the value again.",
)
SPELLINGS = _rule(
    "Q201",
    Severity.WARNING,
    "one attribute, several spellings",
    "Each spelling is an attribute of its own: a segment on one misses the people of the other.",
    "Choose one name, and send only that.",
)
SYNONYMS = _rule(
    "Q202",
    Severity.WARNING,
    "one fact, several attribute names",
    "Applications call the same thing differently, so that no segment covers all people.",
    "Choose one name, and send only that.",
)
EVENT_SPELLINGS = _rule(
    "Q203",
    Severity.ERROR,
    "one event, several spellings",
    "A campaign that is triggered by one name never starts for the other.",
    "Choose one name, and send only that.",
)
RIVAL_EVENTS = _rule(
    "Q204",
    Severity.ERROR,
    "rival events for one fact",
    "Somebody who bought under one name counts as not having bought under the other, and gets "
    "the abandoned-cart message.",
    "Let one application send the event, under one name.",
)
NO_PURCHASES = _rule(
    "Q205",
    Severity.WARNING,
    "checkouts, but no purchases",
    "Nothing ends an abandoned-cart campaign: buyers get its messages too.",
    "Send an event such as `order_completed` from the server before the campaign starts.",
)
SENT_TWICE = _rule(
    "Q206",
    Severity.ERROR,
    "orders are sent more than once",
    "Counts and sums of orders are too high, and messages about an order are sent twice.",
    "Let one application send the event, and give the call the order's id as idempotency_key.",
)
ENDLESS = _rule(
    "Q207",
    Severity.INFO,
    "nothing ends what an event begins",
    "Messages about an order or a subscription go on after it was taken back.",
    "Send an event such as `refund_created` or `subscription_cancelled`, if there are any.",
)
VANISHED = _rule(
    "Q301",
    Severity.ERROR,
    "an attribute has vanished",
    "Segments that use it lose people silently, and templates show an empty place.",
    "Look for a deploy at that time; send the attribute again.",
)
RARELY_MISSING = _rule(
    "Q302",
    Severity.WARNING,
    "an attribute is missing now and then",
    "The people concerned fall out of segments, and templates show an empty place.",
    "Find the place in the code that leaves it out.",
)
APPEARED = _rule(
    "Q303",
    Severity.INFO,
    "a new attribute",
    "Segments on it cover only people who did something since then.",
    "Nothing, if it is meant to be there.",
)
LEFT_OUT = _rule(
    "Q304",
    Severity.WARNING,
    "one application leaves out a fact",
    "Segments and messages that use it leave out the people who use that application.",
    "Send the attribute from all applications that send the event.",
)
SHARE_FELL = _rule(
    "Q305",
    Severity.WARNING,
    "an attribute is sent less often than before",
    "The people concerned fall out of segments, and templates show an empty place.",
    "Look for a deploy at that time; send the attribute again.",
)
DECISION_STOPPED = _rule(
    "Q306",
    Severity.ERROR,
    "an event that starts or ends campaigns has stopped",
    "Campaigns that wait for it do not start, and those that it ends go on: buyers get reminders.",
    "Look for a deploy or a failed job at that time; send the event again.",
)
STOPPED = _rule(
    "Q307",
    Severity.WARNING,
    "an event has stopped",
    "Campaigns that wait for it do not start, and segments on it become empty.",
    "Look for a deploy or a failed job at that time; if it is meant, acknowledge the finding.",
)
STATE_MISSING = _rule(
    "Q308",
    Severity.WARNING,
    "an event comes without the change that belongs to it",
    "Segments on the attribute lag behind the event: buyers count as people without an order.",
    "Send the person's new attributes together with the event.",
)
NO_ORDER_STATE = _rule(
    "Q309",
    Severity.WARNING,
    "people buy, and no attribute says so",
    "A winback for former buyers, or a segment of first buyers, cannot tell who has bought.",
    "Send `last_order_at` and `orders_count` with each order.",
)
NO_MUST_HAVE = _rule(
    "Q310",
    Severity.INFO,
    "an attribute that retention programs use is not sent",
    "Segments, sending times or messages that use it cannot be built.",
    "Send it from the application that knows it, if a campaign is to use it.",
)
LATE = _rule(
    "Q401",
    Severity.WARNING,
    "events arrive late",
    "A message such as an abandoned-cart reminder is sent to people who have bought already.",
    "Send the event when it happens, from the server, not in a nightly batch.",
)
TOO_LATE = _rule(
    "Q402",
    Severity.ERROR,
    "events arrive after more than three days",
    "Customer.io does not trigger campaigns by events older than 72 hours.",
    "Send the event when it happens; use the bulk lane for history.",
)
FUTURE = _rule(
    "Q403",
    Severity.ERROR,
    "events from the future",
    "Windows such as `within the last hour` do not match until that time has come.",
    "Check the unit of the timestamp (seconds) and the clock of the sender.",
)
SHARED_CONSENT = _rule(
    "Q501",
    Severity.ERROR,
    "several applications write consent",
    "The last writer wins: people are messaged against their will, or not at all.",
    "Let one application own the attribute.",
)
SHARED_ATTRIBUTE = _rule(
    "Q502",
    Severity.INFO,
    "several applications write one attribute",
    "The last writer wins; an older value may overwrite a newer one.",
    "Let one application own the attribute.",
)
SHARED_STATE = _rule(
    "Q503",
    Severity.WARNING,
    "several applications compute one value",
    "Their counts and sums differ: a person moves in and out of segments with each writer.",
    "Let the system that knows all orders or contracts own the attribute.",
)
FEW_FACTS = _rule(
    "Q504",
    Severity.WARNING,
    "an application sends a few of another one's facts",
    "A trial or a forged request ends a campaign, or starts one, for somebody who did nothing.",
    "Find the place in the code that sends them; let the application that owns the fact send it.",
)
CLIENT_FACTS = _rule(
    "Q505",
    Severity.INFO,
    "a fact comes only from an application that shows pages",
    "If it is a browser or an app, ad blockers and closed windows lose events: buyers get "
    "reminders.",
    "Send purchases, refunds and cancellations from the server that knows them.",
)
INVENTED_NAMES = _rule(
    "Q601",
    Severity.WARNING,
    "too many different names",
    "Names that contain ids or values make events and attributes that nobody can segment by.",
    "Put the changing part into an attribute's value.",
)

PLACEHOLDER = _rule(
    "Q602",
    Severity.WARNING,
    "a name that is no name",
    "A template or variable was not filled in, or a trial was left behind: what happened is lost.",
    "Find the place in the code that sends it.",
)
SECRET = _rule(
    "Q603",
    Severity.ERROR,
    "a secret is sent",
    "Passwords and card numbers are shown to everybody who may see people's profiles.",
    "Stop sending it, delete it in Customer.io, and change what was disclosed.",
)

#: These rules, by id; see ``all_rules`` for all.
DATA_RULES = {each.id: each for each in list(globals().values()) if isinstance(each, Rule)}
