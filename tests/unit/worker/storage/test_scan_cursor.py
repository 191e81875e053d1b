"""Where to look next in a lane's backlog."""

from hypothesis import given
from hypothesis import strategies as st

from trackrelay.worker.storage.scan_cursor import MAX_REST_S, REST, ScanCursor, ScanResult

TAKES_S = 0.01


def look(cursor: ScanCursor, now: float, seen: ScanResult) -> int:
    """Return where a scan with this result began."""
    start = cursor.start(now)
    cursor.advance(start, seen, now, now + TAKES_S)
    return start


def test_a_scan_continues_where_the_last_one_ended() -> None:
    cursor = ScanCursor()
    starts = [
        look(cursor, now, ScanResult(10, following, 900))
        for now, following in [(1.0, 100), (1.05, 200), (1.1, 300)]
    ]
    assert starts == [0, 100, 200]


def test_at_the_end_it_turns_to_the_first_row_that_it_found_on_the_way() -> None:
    cursor = ScanCursor()
    assert look(cursor, 1.0, ScanResult(10, 100, 900)) == 0
    assert look(cursor, 1.05, ScanResult(100, None, 900)) == 100
    assert look(cursor, 1.1, ScanResult(20, None, 900)) == 10
    assert look(cursor, 1.15, ScanResult(None, None, 900)) == 20
    assert look(cursor, 1.2, ScanResult(None, None, 900)) == 900


def test_it_begins_anew_after_so_many_times_as_long_as_that_took() -> None:
    cursor = ScanCursor()
    assert look(cursor, 1.0, ScanResult(10, 100, 900)) == 0
    assert look(cursor, 1.0 + TAKES_S, ScanResult(100, 200, 900)) == 100
    assert cursor.start(1.0 + TAKES_S + (REST - 1) * TAKES_S) == 200
    assert cursor.start(1.0 + TAKES_S + (REST + 1) * TAKES_S) == 0


def test_one_that_took_very_long_does_not_put_off_the_next_one_for_ever() -> None:
    cursor = ScanCursor()
    cursor.advance(0, ScanResult(10, 100, 900), 1.0, 31.0)
    cursor.advance(100, ScanResult(100, 200, 900), 31.0, 32.0)
    assert cursor.start(31.0 + MAX_REST_S - 1) == 200
    assert cursor.start(31.0 + MAX_REST_S + 1) == 0


def test_if_the_lowest_rows_stay_every_second_scan_continues() -> None:
    cursor = ScanCursor()
    later = [REST * number for number in range(1, 7)]
    assert [look(cursor, now, ScanResult(10, 100 * now, 9_000)) for now in later] == [
        0,
        2_000,
        0,
        6_000,
        0,
        10_000,
    ]


def test_a_rewound_cursor_starts_over() -> None:
    cursor = ScanCursor()
    look(cursor, 1.0, ScanResult(10, 100, 900))
    cursor.rest(100, 1.05, 9.0)
    assert cursor.start(1.05) == 100
    cursor.rewind()
    assert cursor.start(1.05) == 0


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=30))
def test_all_that_was_due_on_the_way_is_found_before_it_turns(
    steps: list[tuple[int, bool]],
) -> None:
    # Rows that stay due, and scans that find a few each: none is skipped until the cursor wraps
    # around.
    rows, found, cursor = list(range(0, 1_000, 3)), [], ScanCursor()
    for number, (most, grows) in enumerate(steps):
        start = cursor.start(1.0 + number * TAKES_S / 2)
        due = [row for row in rows if row >= start]
        taken = due[:most]
        following = taken[-1] + 1 if len(due) > most else None
        cursor.advance(
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
