"""Verification data of a forgotten person is deleted, and none is added."""

from tests.support.command_line import CommandLine
from tests.support.forgotten_person import everything
from tests.support.verification_harness import Verifying

PERSON = "canary-id-9951"
PLAN = "canary-plan-1177"


def test_verification_data_is_erased_and_a_later_complaint_is_ignored(
    verifying: Verifying, run: CommandLine
) -> None:
    harness = verifying.harness
    verifying.sandbox.lose("failed_attribute", name="plan", reason=f"no {PLAN}")
    verifying.deliver(verifying.producer.identify(PERSON, {"plan": PLAN}))
    assert harness.rows("SELECT * FROM trackrelay_sent")
    verifying.read_complaints()
    assert PLAN in everything(harness)
    verifying.deliver(verifying.producer.identify(PERSON, {"plan": PLAN, "turn": 2}))

    receipt = run("forget", PERSON, "--yes", "--json").json

    assert receipt["complete"]
    assert receipt["stores"]["verification"] == {"before": 2, "after": 0}
    text = everything(harness)
    assert [value for value in (PERSON, PLAN) if value in text] == []
    verifying.read_complaints()
    text = everything(harness)
    assert [value for value in (PERSON, PLAN) if value in text] == []


def test_the_deletion_itself_is_not_remembered(verifying: Verifying, run: CommandLine) -> None:
    receipt = run("forget", PERSON, "--delete", "--yes", "--json", "--no-wait").json
    verifying.deliver(receipt["customerio"][0]["job"])

    assert verifying.harness.rows("SELECT * FROM trackrelay_sent") == []
    assert run("forget", PERSON, "--delete", "--yes", "--json").json["complete"]
    assert PERSON not in everything(verifying.harness)
