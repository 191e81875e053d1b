"""Rules about who people are: one person under several names, or several under one. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from trackrelay.worker.storage.queries.identity_query import Identities, SharedNames

from . import rules
from .catalog import Catalog
from .identity_notes import id_form, is_address, placeholder_in
from .rules import Finding, Rule, Severity

#: Fewer cases are mistakes of single people.
MIN_CASES = 3
#: Jobs of an application before the form of its ids says anything.
MIN_JOBS = 100
#: The share of an application's jobs whose ids have its usual form.
USUAL = 0.9
#: Visitors before it says anything that none became known; and how many of known people there are.
MIN_VISITORS, MIN_PEOPLE = 200, 20
#: The chance that so many visitors in a row stay unknown must be smaller.
MAX_CHANCE = 1e-9
#: People of one device that no family explains, and the share of shared ones.
CROWD, MAX_SHARE = 5, 0.05

SHARED_EMAIL = Rule(
    "Q801",
    "one email, several people",
    Severity.ERROR,
    "Customer.io keeps one profile for an email: the other id loses its address, its history and "
    "its frequency caps are split, and audiences are counted twice.",
    "Look the person up before you create an id, and merge the profiles that are there.",
)
BOTH_WAYS = Rule(
    "Q802",
    "people are named now by id, now by email",
    Severity.WARNING,
    "What is sent to the email before the id is known makes a second profile, which no merge ends.",
    "Name people by their id everywhere; send the email as an attribute.",
)
ID_FORMS = Rule(
    "Q803",
    "applications have different ids for people",
    Severity.ERROR,
    "Each id is a profile of its own: history, consent and frequency caps are split.",
    "Choose one stable id, and send that from all applications.",
)
ADDRESS_AS_ID = Rule(
    "Q804",
    "an address is sent as an id",
    Severity.WARNING,
    "Somebody who changes the address becomes another person, and the old profile gets messages.",
    "Send the internal id as the id, and the address as an attribute.",
)
PLACEHOLDER_ID = Rule(
    "Q805",
    "an id that names nobody",
    Severity.ERROR,
    "Everybody without an id becomes one person, who gets the messages of all of them.",
    "Find the place in the code that knows no id, and send nothing there.",
)
NEVER_JOINED = Rule(
    "Q806",
    "anonymous visitors do not become known",
    Severity.WARNING,
    "What somebody did before the sign-up belongs to nobody: the cart of the phone gets a reminder "
    "although it was bought on the desktop.",
    "Give `identify` the anonymous id at the moment when the email is learnt.",
)
SHARED_DEVICE = Rule(
    "Q807",
    "one device or visitor, several people",
    Severity.WARNING,
    "Messages reach somebody else, and what one person did counts for another.",
    "Remove the device and renew the anonymous id when somebody logs out.",
)

#: These rules, by id.
IDENTITY_RULES = {each.id: each for each in list(globals().values()) if isinstance(each, Rule)}


def identity_findings(found: Identities, catalog: Catalog) -> Iterator[Finding]:
    """Yield findings about the names of people.

    Args:
        found: which names belong together.
        catalog: how applications name people.
    """
    yield from _shared_emails(found.of("email"))
    yield from _both_ways(found)
    yield from _forms_of_ids(catalog)
    yield from _visitors(found)
    for kind, noun in (("device", "devices"), ("anonymous", "anonymous visitors")):
        yield from _shared_devices(found.of(kind), noun)


def _shared_emails(emails: SharedNames) -> Iterator[Finding]:
    if emails.shared >= MIN_CASES:
        evidence = f"{emails.shared:,} of {emails.names:,} emails have several people"
        yield Finding(
            rule=SHARED_EMAIL,
            subject="emails",
            evidence=(
                evidence + (f", one of them {emails.most}" if emails.most > 2 else ""),
                *rules.examples(emails.jobs),
            ),
            sources=emails.sources,
            since=emails.since,
        )


def _both_ways(found: Identities) -> Iterator[Finding]:
    both = found.both_ways
    if both.names >= MIN_CASES:
        yield Finding(
            rule=BOTH_WAYS,
            subject="people",
            evidence=(
                f"{both.names:,} people who have an id are named by their email "
                f"from {_listed(both.sources)}",
                *rules.examples(both.jobs),
            ),
            sources=both.sources,
            since=both.since,
        )


def _forms_of_ids(catalog: Catalog) -> Iterator[Finding]:
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    for stats in catalog.subjects.values():
        for of_type, jobs in stats.naming.items():
            if (form := id_form(of_type)) is not None:
                forms[stats.subject.source][form] += jobs
    usual: dict[str, list[str]] = defaultdict(list)
    for source, counts in sorted(forms.items()):
        yield from _odd_ids(source, counts)
        proper = Counter({form: jobs for form, jobs in counts.items() if _is_proper(form)})
        for form, jobs in proper.most_common(1):
            if proper.total() >= MIN_JOBS and jobs >= USUAL * proper.total():
                usual[form].append(source)
    if len(usual) > 1:
        yield Finding(
            rule=ID_FORMS,
            subject="ids of people",
            evidence=tuple(
                f"{_listed(sources)}: {form}" for form, sources in sorted(usual.items())
            ),
            sources=tuple(sorted(source for sources in usual.values() for source in sources)),
        )


def _is_proper(form: str) -> bool:
    return placeholder_in(form) is None and not is_address(form)


def _odd_ids(source: str, counts: Counter[str]) -> Iterator[Finding]:
    total = counts.total()
    for form, jobs in counts.items():
        placeholder = placeholder_in(form)
        if placeholder is not None and jobs >= MIN_CASES:
            yield Finding(
                rule=PLACEHOLDER_ID,
                subject=rules.from_source(f"id {placeholder}", source),
                evidence=(f"{jobs:,} of {total:,} jobs are for the person {placeholder!r}",),
                sources=(source,),
            )
        elif is_address(form) and jobs >= MIN_CASES:
            yield Finding(
                rule=ADDRESS_AS_ID,
                subject=rules.from_source("ids of people", source),
                evidence=(
                    f"{jobs:,} of {total:,} jobs have an email address or a phone number as the id",
                ),
                sources=(source,),
            )


def _visitors(found: Identities) -> Iterator[Finding]:
    visitors = found.visitors
    if visitors.visitors < MIN_VISITORS or found.ids < MIN_PEOPLE:
        return
    if not visitors.joined:
        evidence = (
            f"none of {visitors.visitors:,} visitors became known, beside {found.ids:,} people"
        )
    else:
        earlier = visitors.visitors - visitors.since_last
        share = visitors.joined / earlier if earlier else 0.0
        if visitors.since_last < MIN_VISITORS or (1 - share) ** visitors.since_last > MAX_CHANCE:
            return
        evidence = (
            f"{visitors.joined:,} of {earlier:,} visitors became known, "
            f"and none of the next {visitors.since_last:,}"
        )
    yield Finding(
        rule=NEVER_JOINED,
        subject="anonymous visitors",
        evidence=(evidence,),
        sources=visitors.sources,
        since=visitors.last_joined,
    )


def _shared_devices(names: SharedNames, noun: str) -> Iterator[Finding]:
    is_often = names.shared >= 2 * MIN_CASES and names.shared > MAX_SHARE * names.names
    if is_often or names.most >= CROWD:
        yield Finding(
            rule=SHARED_DEVICE,
            subject=noun,
            evidence=(
                f"{names.shared:,} of {names.names:,} have several people, "
                f"one of them {names.most}",
                *rules.examples(names.jobs),
            ),
            sources=names.sources,
            since=names.since,
        )


def _listed(sources: Iterable[str]) -> str:
    return ", ".join(source or "no source" for source in sources)
