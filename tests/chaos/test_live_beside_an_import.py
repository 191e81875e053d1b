"""Live jobs beside an import: what the scenarios call held up. Pure."""

from tests.chaos.calls import Call
from tests.chaos.job_faults import LIVE_LATE_S, held_up
from tests.chaos.stores import Stores


def live(number: int, at: float) -> Call:
    return Call(
        id=f"live-{number}",
        operation="person.event",
        keys=(),
        mark=f"n:{number}",
        told="accepted",
        began=at,
        ended=at,
    )


def imported(at: float) -> Call:
    return Call(
        id="imported",
        operation="person.identify",
        keys=(),
        mark="n:import-1",
        told="accepted",
        began=at,
        ended=at,
        lane="bulk",
    )


def found(calls: list[Call], late_s: float, until: float = 1_000.0) -> list[str]:
    ledger = {call.id: call.ended + late_s for call in calls} | {"imported": until}
    stores = Stores(frozenset(), frozenset(), {}, {}, ledger)
    return held_up(stores, [imported(0.0), *calls], 0.0)


def test_live_jobs_that_arrive_soon_were_not_held_up() -> None:
    assert found([live(number, float(number)) for number in range(1, 200)], LIVE_LATE_S - 0.1) == []


def test_live_jobs_that_wait_for_the_import_were_held_up() -> None:
    (problem,) = found([live(number, float(number)) for number in range(1, 200)], LIVE_LATE_S + 1)
    assert "6.0 s late" in problem


def test_an_import_without_live_jobs_beside_it_proves_nothing() -> None:
    (problem,) = found([live(1, 2_000.0)], 0.1)
    assert "no live job" in problem
