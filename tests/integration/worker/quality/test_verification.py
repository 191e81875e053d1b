"""What Customer.io accepted and lost is found, each in its own way, and nothing else."""

from __future__ import annotations

from tests.support.verification_harness import Verifying
from trackrelay import ObjectRef, Person


def test_data_that_arrived_is_verified_without_a_message(verifying: Verifying) -> None:
    producer = verifying.producer
    preferences = {"topics": {"topic_1": True}}
    jobs = [
        producer.identify("1", {"plan": "pro", "age": 7, "ratio": 0.5, "vip": True, "none": None}),
        producer.identify("1", {"email": "Ada@Example.com", "phone": "+4915112345678"}),
        producer.identify("1", {"tags": ["a", 1], "cio_subscription_preferences": preferences}),
        producer.identify(Person(email="grace@example.com"), {"unsubscribed": True, "x": "ü 🎉"}),
        producer.identify("nobody", {"plan": "x"}, update_only=True),
        producer.track("1", "order_placed", {"total": 5}),
        producer.page("1", "https://example.com/"),
        producer.screen("1", "home"),
        producer.add_device("1", "token", "ios"),
        producer.add_relationships("1", ObjectRef(1, "acme")),
        producer.identify_object(ObjectRef(1, "acme"), {"seats": 5}, relationships=["1"]),
        producer.identify("gone", {"a": 1}),
        producer.delete_person("gone"),
        producer.suppress("silent"),
    ]
    verifying.deliver(*jobs)
    verifying.verify()
    assert verifying.found() == set()
    (row,) = verifying.harness.rows("SELECT value FROM trackrelay_state WHERE name = 'verified'")
    assert sum(row.value.values()) >= 20


def test_a_lost_phone_is_found(verifying: Verifying) -> None:
    verifying.sandbox.lose("attribute", name="phone", person="id:1")
    verifying.deliver(
        verifying.producer.identify("1", {"phone": "+4915112345678", "plan": "pro"}),
        verifying.producer.identify("2", {"phone": "+4915112345679"}),
    )
    verifying.verify()
    assert verifying.found() == {("missing", "id:1", "attribute:phone")}
    (verdict,) = verifying.open()
    assert verdict.operation == "person.identify"
    assert "4915" not in verdict.reason


def test_an_unknown_cio_id_is_found(verifying: Verifying) -> None:
    verifying.deliver(verifying.producer.identify(Person(cio_id="a1234567"), {"plan": "pro"}))
    verifying.verify()
    assert ("ignored", "cio_id:a1234567", "exists") in verifying.found()


def test_a_cio_id_that_is_forgotten_is_found(verifying: Verifying) -> None:
    verifying.deliver(verifying.producer.identify("1", {"plan": "pro"}))
    cio_id = verifying.api.attributes("1").cio_id
    assert cio_id
    verifying.deliver(verifying.producer.identify(Person(cio_id=cio_id), {"age": 7}))
    verifying.sandbox.forget_cio_id(cio_id)
    verifying.verify()
    assert ("ignored", f"cio_id:{cio_id}", "exists") in verifying.found()


def test_an_email_that_another_id_took_over_is_found(verifying: Verifying) -> None:
    verifying.deliver(verifying.producer.identify("1", {"email": "ada@example.com"}))
    verifying.sandbox.take_over("ada@example.com", "id:9")
    verifying.verify()
    assert verifying.found() == {("missing", "id:1", "attribute:email")}
    assert "another profile has it" in verifying.open()[0].reason


def test_a_failed_attribute_change_is_found_with_the_reason_of_customer_io(
    verifying: Verifying,
) -> None:
    verifying.sandbox.lose("failed_attribute", name="plan", reason="plan is not allowed")
    job = verifying.producer.identify("1", {"plan": "pro"})
    verifying.deliver(job)
    verifying.verify()
    verifying.read_complaints()
    assert verifying.found() == {("ignored", "id:1", "attribute:plan")}
    (verdict,) = verifying.open()
    assert (verdict.job_id, verdict.reason) == (
        job,
        "plan is not allowed (failed_attribute_change)",
    )


def test_an_ignored_merge_is_found(verifying: Verifying) -> None:
    verifying.sandbox.lose("operation", action="merge")
    verifying.deliver(
        verifying.producer.identify("1", {"plan": "a"}),
        verifying.producer.identify("2", {"plan": "b"}),
    )
    verifying.deliver(verifying.producer.merge(primary="1", secondary="2"))
    verifying.verify()
    assert verifying.found() == {("ignored", "id:2", "merge")}


def test_a_merge_that_was_carried_out_is_verified(verifying: Verifying) -> None:
    verifying.deliver(
        verifying.producer.identify("1", {"plan": "a"}),
        verifying.producer.identify("2", {"plan": "b"}),
        verifying.producer.track("2", "order_placed"),
    )
    verifying.deliver(verifying.producer.merge(primary="1", secondary="2"))
    verifying.verify()
    assert verifying.found() == set()


def test_a_suppressed_person_is_found(verifying: Verifying) -> None:
    verifying.deliver(verifying.producer.identify("1", {"plan": "pro"}))
    verifying.sandbox.suppress("id:1")
    verifying.deliver(verifying.producer.track("1", "order_placed"))
    verifying.verify()
    kinds = {(verdict, item) for verdict, _, item in verifying.found()}
    assert kinds <= {("missing", "exists"), ("different", "exists"), ("ignored", "exists")}
    assert kinds


def test_a_value_that_another_writer_overwrote_is_found(verifying: Verifying) -> None:
    verifying.deliver(verifying.producer.identify("1", {"plan": "pro"}, timestamp=1_700_000_000))
    verifying.sandbox.overwrite("id:1", "plan", "basic")
    verifying.verify()
    assert verifying.found() == {("different", "id:1", "attribute:plan")}
    assert "somebody else wrote it" in verifying.open()[0].reason


def test_lost_events_relationships_devices_and_deletes_are_found(verifying: Verifying) -> None:
    producer, sandbox = verifying.producer, verifying.sandbox
    sandbox.lose("event", name="order_placed")
    sandbox.lose("operation", action="add_relationships")
    sandbox.lose("operation", action="add_device")
    sandbox.lose("operation", action="delete")
    verifying.deliver(
        producer.identify("1", {"a": 1}),
        producer.track("1", "order_placed"),
        producer.track("1", "order_shipped"),
        producer.add_relationships("1", ObjectRef(1, "acme")),
        producer.add_device("1", "token", "ios"),
        producer.identify("2", {"a": 1}),
        producer.delete_person("2"),
    )
    verifying.verify()
    found = {(verdict, key, item.partition(":")[0]) for verdict, key, item in verifying.found()}
    assert found == {
        ("missing", "id:1", "event"),
        ("missing", "id:1", "relationship"),
        ("missing", "id:1", "device"),
        ("ignored", "id:2", "absent"),
    }


def test_a_later_write_under_another_name_of_the_person_is_no_loss(verifying: Verifying) -> None:
    ada = Person(email="ada@example.com")
    verifying.deliver(
        verifying.producer.identify("1", {"email": "ada@example.com", "plan": "a"},
            timestamp=1_700_000_000),
        verifying.producer.identify(ada, {"plan": "b"}, timestamp=1_700_000_100),
    )  # fmt: skip
    verifying.verify()
    assert verifying.found() == set()


def test_a_person_who_was_deleted_under_another_name_is_no_loss(verifying: Verifying) -> None:
    verifying.deliver(
        verifying.producer.identify("1", {"email": "ada@example.com", "plan": "a"}),
        verifying.producer.identify(Person(email="ada@example.com"), {"plan": "a"}),
    )
    verifying.deliver(verifying.producer.delete_person(Person(email="ada@example.com")))
    verifying.verify()
    assert verifying.found() == set()


def test_a_loss_that_was_sent_again_is_resolved(verifying: Verifying) -> None:
    loss = verifying.sandbox.lose("attribute", name="plan")
    verifying.deliver(verifying.producer.identify("1", {"plan": "pro"}))
    verifying.verify()
    assert verifying.found() == {("missing", "id:1", "attribute:plan")}
    verifying.sandbox.delete_loss(loss)
    verifying.deliver(verifying.producer.identify("1", {"plan": "pro"}))
    verifying.verify()
    assert verifying.found() == set()
    (row,) = verifying.harness.rows("SELECT state, resolved_by FROM trackrelay_verdicts")
    assert (row.state, row.resolved_by) == ("resolved", "verified")
