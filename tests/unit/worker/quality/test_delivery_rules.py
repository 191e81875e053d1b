"""What did not arrive is a finding: refused calls, and what Customer.io did not apply."""

from trackrelay.worker.quality.delivery_rules import delivery_findings
from trackrelay.worker.queue.failed_calls import FailedCall, FailedCalls
from trackrelay.worker.storage.queries.verification_overview import OpenVerdicts


def test_calls_and_verdicts_become_findings_by_what_they_are_about() -> None:
    calls = FailedCalls(
        refused=[
            FailedCall("shop", "person.event", "name", 12),
            FailedCall("shop", "person.event", "attributes", 1),
        ],
        unavailable=[FailedCall("", "", "away", 2)],
    )
    verdicts = [
        OpenVerdicts("ignored", "attribute:plan", 3, 1.0, ("", "shop"), ("01J",)),
        OpenVerdicts("missing", "exists", 1, 2.0, ("shop",), ()),
    ]
    found = list(delivery_findings(calls, verdicts))
    assert [each.key for each in found] == [
        "Q901 person.event from shop",
        "Q902 calls",
        "Q903 attribute plan",
        "Q904 people and objects",
    ]
    assert found[0].evidence == (
        "12 in 24 hours refused because of name",
        "1 in 24 hours refused because of attributes",
    )
    assert found[2].evidence == (
        "3 × from no source, shop",
        "see trackrelay find: 01J",
    )


def test_nothing_wrong_is_no_finding() -> None:
    assert list(delivery_findings(FailedCalls(), [])) == []
