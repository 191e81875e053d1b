"""The accounts find what they are there to find: each test breaks one promise in made-up books."""

from typing import Any

import pytest

from tests.chaos.accounts import Accounts, draw
from tests.chaos.calls import Call
from tests.chaos.stores import Dead, Stores
from trackrelay.sandbox.client import Effect


def call(
    number: int, *, operation: str = "person.event", key: str = "id:1", **changes: Any
) -> Call:
    described: dict[str, Any] = {
        "id": f"ID{number}",
        "operation": operation,
        "keys": (key,),
        "mark": f"n:{number}",
        "told": "accepted",
        "began": 0.0,
        "ended": 0.0,
    }
    return Call(**(described | changes))


def effect(number: int, *, action: str = "event", key: str = "id:1", **changes: Any) -> Effect:
    seen: Any = {
        "seq": number,
        "type": "person",
        "action": action,
        "name": None,
        "keys": [key],
        "id": f"ID{number}" if action == "event" else None,
        "attributes": {"n": str(number)},
        "ignored": False,
        "note": None,
    }
    return seen | changes  # type: ignore[no-any-return]


def stores(
    ledger: str = "", dead: str = "", backlog: str = "", stream: str = "", outbox: str = ""
) -> Stores:
    return Stores(
        outbox=frozenset(outbox.split()),
        stream=frozenset(stream.split()),
        backlog=dict.fromkeys(backlog.split(), "failed"),
        dead={id: Dead(id, "rejected", "no", "open", 0.0) for id in dead.split()},
        ledger=dict.fromkeys(ledger.split(), 0.0),
    )


def accounts(
    calls: list[Call],
    where: Stores,
    effects: list[Effect],
    *,
    ambiguous: bool = True,
    **people: Any,
) -> Accounts:
    return draw([calls], where, effects, people.pop("people", {}), ambiguous=ambiguous)


def test_everything_delivered_once_and_in_order_is_good() -> None:
    drawn = accounts([call(1), call(2)], stores("ID1 ID2"), [effect(1), effect(2)])

    assert drawn.good
    assert drawn.jobs == 2


def test_an_accepted_job_that_is_nowhere_is_lost() -> None:
    drawn = accounts([call(1), call(2)], stores("ID1"), [effect(1)])

    assert drawn.lost == 1
    assert "is nowhere" in drawn.problems[0]


def test_an_accepted_job_that_still_waits_is_lost_and_its_reason_named() -> None:
    drawn = accounts([call(1)], stores(backlog="ID1"), [])

    assert drawn.lost == 1
    assert "still waits in the backlog (failed)" in drawn.problems[0]


def test_an_accepted_job_that_nobody_relayed_is_lost() -> None:
    assert "still waits in the outbox" in accounts([call(1)], stores(outbox="ID1"), []).problems[0]


def test_a_job_in_the_ledger_that_never_arrived_is_lost() -> None:
    drawn = accounts([call(1)], stores("ID1"), [])

    assert drawn.lost == 1


def test_a_dead_letter_nobody_expected_is_lost() -> None:
    assert accounts([call(1)], stores(dead="ID1"), []).lost == 1


def test_an_expected_dead_letter_is_right() -> None:
    assert accounts([call(1, fate="dead")], stores(dead="ID1"), []).good


def test_a_job_that_should_have_been_refused_and_was_not_is_a_problem() -> None:
    assert not accounts([call(1, fate="dead")], stores("ID1"), [effect(1)]).good


def test_a_job_in_the_ledger_and_among_the_dead_is_doubled() -> None:
    assert accounts([call(1)], stores("ID1", dead="ID1"), [effect(1)]).duplicated == 1


@pytest.mark.parametrize("place", ["backlog", "stream", "outbox"])
def test_a_job_that_is_settled_and_still_waits_is_doubled(place: str) -> None:
    assert accounts([call(1)], stores("ID1", **{place: "ID1"}), [effect(1)]).duplicated == 1


def test_what_was_looked_at_is_counted() -> None:
    drawn = accounts(
        [call(1), call(2), call(3, key="id:2")],
        stores("ID1 ID2 ID3"),
        [effect(1), effect(2), effect(3)],
    )

    assert (drawn.arrived, drawn.steps) == (3, 1)


def test_an_event_that_took_effect_twice_is_doubled() -> None:
    drawn = accounts([call(1)], stores("ID1"), [effect(1), effect(1)])

    assert drawn.duplicated == 1


def test_one_call_repeated_with_its_idempotency_key_is_one_job() -> None:
    drawn = accounts([call(1), call(1)], stores("ID1"), [effect(1)])

    assert drawn.good
    assert drawn.jobs == 1


def test_one_call_repeated_under_another_id_is_doubled() -> None:
    drawn = accounts([call(1), call(1, id="ID9")], stores("ID1 ID9"), [effect(1), effect(1)])

    assert drawn.duplicated == 1


def test_an_event_that_came_again_and_was_ignored_is_counted_only() -> None:
    drawn = accounts(
        [call(1)], stores("ID1"), [effect(1), effect(1, ignored=True, note="duplicate")]
    )

    assert drawn.good
    assert drawn.repeats_ignored == 1


def test_an_event_that_came_again_though_nothing_could_have_caused_it_is_doubled() -> None:
    effects = [effect(1), effect(1, ignored=True, note="duplicate")]

    assert accounts([call(1)], stores("ID1"), effects, ambiguous=False).duplicated == 1


def test_an_identify_that_came_again_is_harmless_where_a_crash_may_have_caused_it() -> None:
    calls = [call(1, operation="person.identify")]
    effects = [effect(1, action="identify"), effect(1, action="identify")]
    people = {"id:1": "1"}

    assert accounts(calls, stores("ID1"), effects, people=people).repeats_harmless == 1
    assert accounts(calls, stores("ID1"), effects, people=people).good
    assert accounts(calls, stores("ID1"), effects, people=people, ambiguous=False).duplicated == 1


def test_effects_in_another_order_than_the_calls_are_out_of_order() -> None:
    drawn = accounts([call(1), call(2)], stores("ID1 ID2"), [effect(2), effect(1)])

    assert drawn.out_of_order == 1


def test_lanes_have_orders_of_their_own() -> None:
    drawn = accounts([call(1, lane="bulk"), call(2)], stores("ID1 ID2"), [effect(2), effect(1)])

    assert drawn.good


def test_a_person_who_ends_with_an_older_value_is_out_of_order() -> None:
    calls = [call(1, operation="person.identify"), call(2, operation="person.identify")]
    effects = [effect(1, action="identify"), effect(2, action="identify")]

    assert accounts(calls, stores("ID1 ID2"), effects, people={"id:1": "2"}).good
    assert accounts(calls, stores("ID1 ID2"), effects, people={"id:1": "1"}).out_of_order == 1


def test_a_call_that_raised_may_be_there_or_not() -> None:
    raised = call(1, told="raised")

    assert accounts([raised], stores(), []).good
    assert accounts([raised], stores("ID1"), [effect(1)]).given_up_arrived == 1


def test_a_job_that_was_nowhere_for_a_while_is_lost_though_it_is_found_again() -> None:
    drawn = draw(
        [[call(1)]], stores("ID1"), [effect(1)], {}, ambiguous=True, midway=(stores(), 1.0)
    )

    assert drawn.lost == 1


def test_what_was_rolled_back_must_not_arrive() -> None:
    ghost = call(1, told="rolled back")

    assert accounts([ghost], stores(), []).good
    assert not accounts([ghost], stores("ID1"), [effect(1)]).good


def test_what_nobody_called_for_is_a_problem() -> None:
    assert not accounts([call(1)], stores("ID1"), [effect(1), effect(7)]).good


def test_what_went_with_a_wiped_redis_is_gone_and_what_came_later_is_lost() -> None:
    early, late = call(1, began=1.0, ended=1.1), call(2, began=9.0, ended=9.1)
    drawn = draw([[early, late]], stores(), [], {}, ambiguous=True, wiped_at=5.0)

    assert (drawn.gone, drawn.lost) == (1, 1)
    assert "ID2" in drawn.problems[0]
