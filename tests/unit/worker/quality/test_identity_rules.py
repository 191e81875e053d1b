"""Findings about names of people: what is a finding, and what happens in every shop."""

from typing import Any

import pytest

from trackrelay.worker.quality.catalog import Catalog, SubjectStats
from trackrelay.worker.quality.catalog_observer import Subject
from trackrelay.worker.quality.identity_rules import identity_findings
from trackrelay.worker.storage.queries.identity_query import (
    BothWays,
    Identities,
    SharedNames,
    Visitors,
)


def named(**sources: dict[str, int]) -> Catalog:
    """A catalog in which applications name people in the given ways."""
    catalog = Catalog()
    for source, naming in sources.items():
        subject = Subject(source, "person.event", "viewed")
        catalog.subjects[subject] = SubjectStats(subject, jobs=1_000, naming=naming)
    return catalog


NUMBERS, UUIDS = {"by id a number": 500}, {"by id a UUID": 500}


@pytest.mark.parametrize(
    ("found", "catalog", "rules"),
    [
        (Identities(shared=(SharedNames("email", 9_000, 3, 2),)), {}, ["Q801"]),
        (Identities(shared=(SharedNames("email", 9_000, 2, 2),)), {}, []),
        (Identities(both_ways=BothWays(3)), {}, ["Q802"]),
        (Identities(both_ways=BothWays(2)), {}, []),
        (Identities(), {"web": NUMBERS, "crm": UUIDS}, ["Q803"]),
        (Identities(), {"web": NUMBERS, "crm": NUMBERS}, []),
        (Identities(), {"web": {**NUMBERS, **UUIDS}, "crm": UUIDS}, []),
        (Identities(), {"web": NUMBERS, "crm": {"by id a UUID": 99}}, []),
        (Identities(), {"web": {**NUMBERS, "by id an address or a number": 3}}, ["Q804"]),
        (Identities(), {"web": {**NUMBERS, "by id the placeholder guest": 3}}, ["Q805"]),
        (Identities(), {"web": {**NUMBERS, "by id the placeholder guest": 2}}, []),
        (Identities(ids=50, visitors=Visitors(300)), {}, ["Q806"]),
        (Identities(ids=50, visitors=Visitors(300, 6, 10)), {}, []),
        # One in ten became known, and none of the next 400.
        (Identities(ids=50, visitors=Visitors(800, 40, 400)), {}, ["Q806"]),
        # One in a hundred did: 400 without one are no news.
        (Identities(ids=50, visitors=Visitors(800, 4, 400)), {}, []),
        (Identities(ids=2, visitors=Visitors(300)), {}, []),
        (Identities(shared=(SharedNames("device", 9_000, 1, 5),)), {}, ["Q807"]),
        (Identities(shared=(SharedNames("device", 100, 6, 2),)), {}, ["Q807"]),
        (Identities(shared=(SharedNames("device", 1_000, 6, 3),)), {}, []),
    ],
)
def test_findings(found: Identities, catalog: dict[str, Any], rules: list[str]) -> None:
    assert [each.rule.id for each in identity_findings(found, named(**catalog))] == rules
