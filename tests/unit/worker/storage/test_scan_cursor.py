"""Where to look next in a lane's backlog."""

from hypothesis import given
from hypothesis import strategies as st

from trackrelay.worker.storage.scan_cursor import LONGEST_REST_S, REST, ScanCursor, ScanResult

TAKES_S = 0.01


def look(sweep: ScanCursor, now: float, seen: ScanResult) -> int:
    """Where a look began that saw this."""
    start = sweep.start(now)
    sweep.looked(start, seen, now, now + TAKES_S)
    return start


def test_a_look_goes_on_where_the_last_one_ended() -> None:
    sweep = ScanCursor()
    starts = [
        look(sweep, now, ScanResult(10, following, 900))
        for now, following in [(1.0, 100), (1.05, 200), (1.1, 300)]
    ]
    assert starts == [0, 100, 200]


def test_at_the_end_it_turns_to_the_first_row_that_it_found_on_the_way() -> None:
    sweep = ScanCursor()
    assert look(sweep, 1.0, ScanResult(10, 100, 900)) == 0
    assert look(sweep, 1.05, ScanResult(100, None, 900)) == 100
    assert look(sweep, 1.1, ScanResult(20, None, 900)) == 10
    assert look(sweep, 1.15, ScanResult(None, None, 900)) == 20
    assert look(sweep, 1.2, ScanResult(None, None, 900)) == 900


def test_it_begins_anew_after_so_many_times_as_long_as_that_took() -> None:
    sweep = ScanCursor()
    assert look(sweep, 1.0, ScanResult(10, 100, 900)) == 0
    assert look(sweep, 1.0 + TAKES_S, ScanResult(100, 200, 900)) == 100
    assert sweep.start(1.0 + TAKES_S + (REST - 1) * TAKES_S) == 200
    assert sweep.start(1.0 + TAKES_S + (REST + 1) * TAKES_S) == 0


def test_one_that_took_very_long_does_not_put_off_the_next_one_for_ever() -> None:
    sweep = ScanCursor()
    sweep.looked(0, ScanResult(10, 100, 900), 1.0, 31.0)
    sweep.looked(100, ScanResult(100, 200, 900), 31.0, 32.0)
    assert sweep.start(31.0 + LONGEST_REST_S - 1) == 200
    assert sweep.start(31.0 + LONGEST_REST_S + 1) == 0


def test_where_what_stands_lowest_stays_there_every_second_look_goes_on() -> None:
    sweep = ScanCursor()
    later = [REST * number for number in range(1, 7)]
    assert [look(sweep, now, ScanResult(10, 100 * now, 9_000)) for now in later] == [
        0,
        2_000,
        0,
        6_000,
        0,
        10_000,
    ]


def test_asked_in_vain_it_begins_anew_when_told_to() -> None:
    sweep = ScanCursor()
    look(sweep, 1.0, ScanResult(10, 100, 900))
    sweep.asked(100, 1.05, 9.0)
    assert sweep.start(1.05) == 100
    sweep.rewind()
    assert sweep.start(1.05) == 0


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=30))
def test_all_that_was_due_on_the_way_is_found_before_it_turns(
    steps: list[tuple[int, bool]],
) -> None:
    # A backlog of rows that stay due, and looks that find a few each: none of them is passed over until the turn.
    rows, found, sweep = list(range(0, 1_000, 3)), [], ScanCursor()
    for number, (most, grows) in enumerate(steps):
        start = sweep.start(1.0 + number * TAKES_S / 2)
        due = [row for row in rows if row >= start]
        taken = due[:most]
        following = taken[-1] + 1 if len(due) > most else None
        sweep.looked(
            start,
            ScanResult(taken[0] if taken else None, following, rows[-1] + 1),
            1.0,
            1.0 + TAKES_S,
        )
        found += taken
        if following is None:
            break
        if grows:
            rows.append(rows[-1] + 3)
    assert found == rows[: len(found)]
