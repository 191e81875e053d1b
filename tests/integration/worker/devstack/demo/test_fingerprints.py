"""Calls and arrivals can be compared, for every operation."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.support.harness import Harness
from trackrelay import ObjectRef, Person, operations
from trackrelay.operations.operation import Operation
from trackrelay.worker.devstack.demo.demo_verdict import of_document, of_effect
from trackrelay.worker.devstack.demo.shop import MISTAKES, Shop

ACME = ObjectRef(1, "acme")
EVERYTHING: list[Operation] = [
    operations.identify("42", {"plan": "pro"}, anonymous_id="a-1", relationships=ACME),
    operations.identify(Person(email="Ada@Example.com"), {"n": 1.5}),
    operations.track("42", "bought", {"x": [1, {"y": None}]}),
    operations.page("42", "/"),
    operations.screen("42", "Basket", {}),
    operations.track_anonymous("a-2", "looked", {"sku": "ß"}),
    operations.page(Person(anonymous_id="a-2"), "/"),
    operations.add_device("42", "t", "ios", attributes={"n": 1}),
    operations.delete_device("42", "t"),
    operations.identify_object(ACME, {"name": "Acme"}, relationships=["42"]),
    operations.add_relationships("42", ACME, attributes={"role": "x"}),
    operations.delete_relationships("42", ACME),
    operations.add_relationships(ACME, ["42", "43"]),
    *operations.add_to_segment(7, ["42", "43", Person(email="ada@example.com")]),
    *operations.remove_from_segment(7, "42"),
    operations.submit_form("news", "42", {"n": 1}),
    operations.report_metric("d1", "opened"),
    operations.unsubscribe("d1"),
    operations.suppress("44"),
    operations.unsuppress("44"),
    operations.delete_object(ACME),
    operations.delete_person("42"),
]


def test_an_arrival_has_the_fingerprint_of_its_call(
    harness: Harness, start_worker: Callable[..., Any], run: Any
) -> None:
    start_worker(harness.settings | {"TRACKRELAY_MERGE_DELAY": "0"}, pool="threads", concurrency=4)
    merge = operations.merge(primary="42", secondary="45")
    for operation in (*EVERYTHING, merge):
        harness.producer.enqueue(operation)
    harness.wait_delivered([operation.id for operation in (*EVERYTHING, merge)])
    arrived = sorted(
        each for effect in harness.sandbox.effects(ignored=True) for each in of_effect(effect)
    )
    assert arrived == sorted(
        of_document(msgspec.json.decode(each.body), each.keys) for each in (*EVERYTHING, merge)
    )


def test_operations_that_say_different_things_have_different_fingerprints() -> None:
    found = [of_document(msgspec.json.decode(each.body), each.keys) for each in EVERYTHING]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("jobs", [100, 700, 2_000])
def test_the_shop_makes_about_as_many_jobs_as_it_is_asked_for(jobs: int) -> None:
    class Counting:
        count = 0

        def __getattr__(self, name: str) -> Callable[..., None]:
            def call(*arguments: Any, person_attributes: Any = None, **more: Any) -> None:
                made = (
                    getattr(operations, name)(
                        *arguments, person_attributes=person_attributes, **more
                    )
                    if (person_attributes)
                    else getattr(operations, name)(*arguments, **more)
                )
                self.count += len(made) if isinstance(made, tuple) else 1 + bool(person_attributes)

            return call

    counting: Any = Counting()
    shop = Shop(jobs)
    counting.count += sum(1 for _ in shop.old_customers())
    for step in shop.day():
        step(counting)
    assert jobs <= counting.count <= max(1.1 * jobs, jobs + 80)


def test_the_mistakes_are_mistakes() -> None:
    from trackrelay import InvalidOperationError, Producer

    producer = Producer(backend="memory")
    for mistake in MISTAKES:
        with pytest.raises(InvalidOperationError):
            mistake(producer)
