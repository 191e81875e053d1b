"""``trackrelay forget`` leaves nothing in what was counted and fixed by a tracking plan."""

from __future__ import annotations

from datetime import timedelta

from tests.support.command_line import CommandLine
from tests.support.forgotten_person import ARGUMENTS, EMAIL, PERSON, VALUES, left
from tests.support.harness import Harness
from tests.support.in_process_worker import BUSY, FakeApi, Worker
from trackrelay import Person
from trackrelay.plan.plan_loader import parse_plan
from trackrelay.worker.storage import plans
from trackrelay.worker.storage.plans import NewPlan

PLAN = """
plan: 1
name: shop
enforcement: fix
events:
  shared:
    properties:
      scores: {type: object, additionalProperties: {type: number}}
      level: {enum: [basic, pro], type: string}
  kept: {enforcement: dead_letter, properties: {total: {type: number}}}
attributes:
  scores: {type: object, additionalProperties: {type: number}}
"""


def test_names_of_the_person_in_violations_fixes_and_the_catalog_are_gone(
    harness: Harness, worker: Worker, api: FakeApi, run: CommandLine
) -> None:
    plan = parse_plan(PLAN)
    with harness.engine.begin() as connection:
        plans.apply(connection, NewPlan(plan.name, plan.text, plan.digest), timedelta(), "ada@here")
    producer, who = harness.producer, Person(id=PERSON)
    # An application that makes names of people's: in a key, in the name of an event, as a value.
    scores = {PERSON: "1.5", EMAIL: "2.5", "total": "3.5"}
    fixed = producer.track(who, "shared", {"scores": scores, "level": VALUES[0]})
    named = producer.track(who, f"viewed by {PERSON}", {PERSON: VALUES[0], EMAIL: 1})
    person = producer.identify(who, {"email": EMAIL, "scores": scores})
    dead = producer.track(who, "kept", {"total": VALUES[0], PERSON: 1})
    other = producer.track("other", "shared", {"scores": {"total": "3.5"}})
    worker.work_off(lambda: harness.dead(dead) and harness.ledger_ids() >= {fixed, named, person})
    api.answers = lambda request, documents: BUSY
    waits = producer.track(who, "shared", {"scores": scores})
    worker.work_off(lambda: harness.waiting(waits))
    for each in (worker.resources.observer, worker.resources.plan):
        assert each
        each.flush()
    assert PERSON in harness.delivered(fixed).plan_note
    assert harness.waiting(waits).plan_note
    assert PERSON in str(harness.rows("SELECT * FROM trackrelay_plan_violations"))
    assert PERSON in str(harness.rows("SELECT * FROM trackrelay_catalog"))
    # An address is in no name, whoever is forgotten.
    for table in ("trackrelay_plan_violations", "trackrelay_catalog"):
        assert EMAIL not in str(harness.rows(f"SELECT * FROM {table}"))
    assert EMAIL not in harness.delivered(fixed).plan_note

    answer = run("forget", *ARGUMENTS, "--yes", "--json")

    assert answer.code == 0, answer
    assert answer.json["complete"]
    assert answer.json["stores"]["names"]["before"] > 0
    assert left(harness) == []
    assert harness.delivered(fixed).plan_note is None
    assert harness.delivered(other).plan_note == "scores.total: string → number"
    assert "scores.total  " in run("plan", "status").out

    producer.track(who, "shared", {"scores": scores})
    worker.work_off(lambda: not harness.stream_length())
    for each in (worker.resources.observer, worker.resources.plan):
        each.flush()
    assert left(harness) == []
