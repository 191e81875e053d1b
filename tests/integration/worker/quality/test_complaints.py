"""A complaint of Customer.io is matched to its job, counted once, and kept to be sent again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.support.command_line import CommandLine
from tests.support.verification_harness import Verifying
from trackrelay import ObjectRef
from trackrelay.worker.storage import state


def letters(verifying: Verifying) -> list[Any]:
    return verifying.harness.rows("SELECT * FROM trackrelay_dead_letters ORDER BY died_at")


def rows(verifying: Verifying) -> list[Any]:
    return verifying.harness.rows("SELECT * FROM trackrelay_verdicts ORDER BY id")


def send_as_somebody_else(verifying: Verifying, document: dict[str, Any]) -> None:
    """Write to the workspace past trackrelay."""
    settings = verifying.harness.settings
    answer = requests.post(
        f"{settings['CUSTOMERIO_TRACK_URL']}/api/v2/entity",
        json=document,
        auth=(settings["CUSTOMERIO_SITE_ID"], settings["CUSTOMERIO_TRACK_API_KEY"]),
        timeout=30,
    )
    assert answer.status_code == 200


def test_what_was_ignored_is_kept_repaired_replayed_and_resolved(
    verifying: Verifying, run: CommandLine
) -> None:
    loss = verifying.sandbox.lose("failed_attribute", name="plan", reason="plan is not allowed")
    job = verifying.producer.identify("1", {"plan": "pro", "age": 7})
    verifying.deliver(job)
    verifying.read_complaints()
    (letter,) = letters(verifying)
    assert (letter.reason, letter.state, letter.error) == ("ignored", "open", "plan is not allowed")
    assert letter.job_id != job
    assert letter.body["attributes"] == {"plan": "pro"}
    assert job in letter.history[0]["note"]
    shown = run("dead-letters", "show", letter.job_id).out
    assert f"job {job}" in shown.replace("\n", " ")
    assert "If the cause in Customer.io is gone" in shown

    verifying.sandbox.delete_loss(loss)
    assert run("replay", "--id", letter.job_id, "--yes").code == 0
    verifying.worker.work_off(lambda: verifying.harness.delivered(letter.job_id))
    person = verifying.sandbox.person("id:1")
    assert person is not None
    assert person["attributes"]["plan"] == "pro"
    verifying.read_complaints()
    verifying.verify()
    assert verifying.open() == []
    assert [row.state for row in letters(verifying)] == ["delivered"]


def test_an_event_is_replayed_once_its_data_was_added(
    verifying: Verifying, run: CommandLine
) -> None:
    loss = verifying.sandbox.lose("failed_event", name="order_placed", reason="too many events")
    job = verifying.producer.track("1", "order_placed", {"total": 5})
    verifying.deliver(job)
    verifying.read_complaints()
    (verdict,) = [each for each in verifying.open() if each.item.startswith("event:")]
    assert (verdict.verdict, verdict.job_id) == ("ignored", job)
    (letter,) = letters(verifying)
    verifying.sandbox.delete_loss(loss)
    refused = run("replay", "--id", letter.job_id, "--yes")
    assert refused.code == 1
    assert "did not report its attributes" in refused.out + refused.err
    again = run(
        "replay",
        "--id",
        letter.job_id,
        "--set",
        "attributes.total=5",
        "--yes",
    )
    assert again.code == 0
    verifying.worker.work_off(lambda: verifying.harness.delivered(letter.job_id))
    assert [each.name for each in verifying.api.activities("1", type="event")] == ["order_placed"]


@pytest.mark.parametrize("repeats", [False, True])
def test_each_complaint_is_counted_once(verifying: Verifying, repeats: bool) -> None:
    verifying.sandbox.settings(repeat_across_pages=repeats)
    verifying.sandbox.lose("failed_attribute", name="plan", reason="no")
    jobs = [verifying.producer.identify(f"p{number}", {"plan": "x"}) for number in range(230)]
    verifying.deliver(*jobs)
    verifying.read_complaints()
    verifying.read_complaints()
    found = rows(verifying)
    assert len(found) == 230
    assert {row.job_id for row in found} == set(jobs)
    assert len(letters(verifying)) == 230


def test_a_poll_that_ends_between_verdict_and_cursor_counts_nothing_twice(
    verifying: Verifying, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifying.sandbox.lose("failed_attribute", name="plan", reason="no")
    verifying.deliver(verifying.producer.identify("1", {"plan": "x"}))

    def killed(*_: Any) -> None:
        raise OSError("killed")

    with monkeypatch.context() as during:
        during.setattr(state, "put", killed)
        with pytest.raises(OSError, match="killed"):
            verifying.read_complaints()
    assert len(rows(verifying)) == 1
    verifying.read_complaints()
    assert len(rows(verifying)) == 1
    assert len(letters(verifying)) == 1


def test_a_complaint_about_another_program_is_nobodys_loss(verifying: Verifying) -> None:
    verifying.sandbox.lose("failed_attribute", name="plan", reason="no")
    send_as_somebody_else(
        verifying,
        {"type": "person", "identifiers": {"id": "7"}, "action": "identify",
            "attributes": {"plan": "x"}},
    )  # fmt: skip
    verifying.read_complaints()
    (verdict,) = verifying.open()
    assert (verdict.verdict, verdict.job_id, verdict.key) == ("unknown", None, "id:7")
    assert "no delivery from here explains it" in verdict.reason
    assert letters(verifying) == []


def test_complaints_about_relationships_objects_and_skipped_updates_are_read(
    verifying: Verifying,
) -> None:
    producer = verifying.producer
    verifying.sandbox.set_object_type(1, name="Companies", singular_name="Company", enabled=True)
    too_many = {f"a{number}": 1 for number in range(300)}
    verifying.deliver(
        producer.identify_object(ObjectRef(1, "acme"), too_many),
        producer.suppress("1"),
    )
    verifying.deliver(
        producer.identify_object(ObjectRef(1, "acme"), {"one_more": 1}),
        producer.identify("1", {"plan": "x"}),
        producer.merge(primary="nobody", secondary="nobody-else"),
    )
    verifying.read_complaints()
    found = {(each.verdict, each.item) for each in verifying.open()}
    assert ("ignored", "exists") in found


def test_nothing_secret_of_a_complaint_is_stored_or_logged(
    verifying: Verifying, capsys: pytest.CaptureFixture[str]
) -> None:
    verifying.sandbox.lose("failed_attribute", name="plan", reason="no")
    verifying.deliver(verifying.producer.identify("1", {"plan": "canary-plan-value"}))
    verifying.read_complaints()
    assert all("canary-plan-value" not in str(row) for row in rows(verifying))
    assert "canary-plan-value" not in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["replayed", "discarded"])
def test_a_complaint_is_settled_with_its_dead_letter(
    make_verifying: Callable[..., Verifying], run: CommandLine, ending: str
) -> None:
    # Its person is not in the sample, so no comparison resolves it.
    verifying = make_verifying(TRACKRELAY_VERIFY="sample", TRACKRELAY_VERIFY_SAMPLE="0.0000001")
    loss = verifying.sandbox.lose("failed_attribute", name="plan", reason="no")
    verifying.deliver(verifying.producer.identify("1", {"plan": "pro"}))
    verifying.read_complaints()
    (letter,) = letters(verifying)
    verifying.sandbox.delete_loss(loss)
    if ending == "replayed":
        assert run("replay", "--id", letter.job_id, "--yes").code == 0
        verifying.worker.work_off(lambda: verifying.harness.delivered(letter.job_id))
    else:
        assert run("dead-letters", "discard", "--id", letter.job_id, "--yes").code == 0
    verifying.read_complaints()
    assert [(row.state, row.resolved_by) for row in rows(verifying)] == [("resolved", ending)]
