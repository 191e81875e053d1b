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
    "a fact of an event is sometimes null",
    "Conditions such as `is greater than 50` do not match, and messages show an empty place.",
    "Find the place in the code that does not know the value; send the event when it is known.",
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
    "Campaigns that wait for it do not start, and segments on it empty themselves.",
    "Look for a deploy or a failed job at that time; if it is meant, acknowledge the finding.",
)
STATE_MISSING = _rule(
    "Q308",
    Severity.WARNING,
    "an event comes without the change that belongs to it",
    "Segments on the attribute lag behind the event: buyers count as people without an order.",
    "Send the person's new attributes together with the event.",
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

SHARED_EMAIL = _rule(
    "Q801",
    Severity.ERROR,
    "one email, several people",
    "Customer.io keeps one profile for an email: the other id loses its address, its history and "
    "its frequency caps are split, and audiences are counted twice.",
    "Look the person up before you create an id, and merge the profiles that are there.",
)
BOTH_WAYS = _rule(
    "Q802",
    Severity.WARNING,
    "people are named now by id, now by email",
    "What is sent to the email before the id is known makes a second profile, which no merge ends.",
    "Name people by their id everywhere; send the email as an attribute.",
)
ID_FORMS = _rule(
    "Q803",
    Severity.ERROR,
    "applications have different ids for people",
    "Each id is a profile of its own: history, consent and frequency caps are split.",
    "Choose one stable id, and send that from all applications.",
)
ADDRESS_AS_ID = _rule(
    "Q804",
    Severity.WARNING,
    "an address is sent as an id",
    "Somebody who changes the address becomes another person, and the old profile gets messages.",
    "Send the internal id as the id, and the address as an attribute.",
)
PLACEHOLDER_ID = _rule(
    "Q805",
    Severity.ERROR,
    "an id that names nobody",
    "Everybody without an id becomes one person, who gets the messages of all of them.",
    "Find the place in the code that knows no id, and send nothing there.",
)
NEVER_JOINED = _rule(
    "Q806",
    Severity.WARNING,
    "anonymous visitors do not become known",
    "What somebody did before the sign-up belongs to nobody: the cart of the phone gets a reminder "
    "although it was bought on the desktop.",
    "Give `identify` the anonymous id at the moment when the email is learnt.",
)
SHARED_DEVICE = _rule(
    "Q807",
    Severity.WARNING,
    "one device or visitor, several people",
    "Messages reach somebody else, and what one person did counts for another.",
    "Remove the device and renew the anonymous id when somebody logs out.",
)

REFUSED_CALLS = _rule(
    "Q901",
    Severity.WARNING,
    "calls are refused",
    "What these calls say is nowhere: segments and messages do without it.",
    "Correct the calls; until then, TRACKRELAY_ON_INVALID=dead_letter keeps their data.",
)
LOST_CALLS = _rule(
    "Q902",
    Severity.ERROR,
    "calls are only logged",
    "What these calls say is nowhere but in the applications' logs.",
    "Set TRACKRELAY_ON_UNAVAILABLE=outbox, and no job is lost while the queue is away.",
)
IGNORED = _rule(
    "Q903",
    Severity.ERROR,
    "Customer.io ignores what is sent",
    "It was accepted and not applied: profiles and events lack it, and nothing failed.",
    "Read the reasons in `trackrelay verify --list`, correct the data and replay the jobs.",
)
NOT_THERE = _rule(
    "Q904",
    Severity.ERROR,
    "Customer.io does not have what was delivered",
    "Segments and messages do without it.",
    "Look at `trackrelay verify --list`: another program may remove it.",
)

#: These rules, by id; see ``all_rules`` for all.
DATA_RULES = {each.id: each for each in list(globals().values()) if isinstance(each, Rule)}
