"""Charts: what is missing is nothing delivered, and not known of what waited."""

from trackrelay.worker.cli.status.flow_charts import RANGES, flow_charts
from trackrelay.worker.storage.counters import Point
from trackrelay.worker.storage.counts import LATENCY_BOUNDS, Name, Tally

NOW = 1_800_000_030.0
LAST = 1_800_000_000


def buckets(place: int, number: int) -> tuple[int, ...]:
    return tuple(number if each == place else 0 for each in range(len(LATENCY_BOUNDS) + 1))


def test_each_minute_has_its_numbers() -> None:
    points = [
        Point(LAST, Name.DELIVERED, ("v2",), Tally(90, 9.0, buckets(0, 90))),
        Point(LAST, Name.DELIVERED, ("forms",), Tally(10, 50.0, buckets(6, 10))),
        Point(LAST - 120, Name.DIED, ("rejected",), Tally(3)),
        Point(LAST - 120, Name.DIED, ("expired",), Tally(1)),
        Point(LAST - 60, Name.WAITING, (), Tally(7, 12.34)),
        Point(LAST - 60, Name.REQUESTS, ("v2", "2xx"), Tally(1)),
    ]
    delivered, waiting, lag = flow_charts(points, RANGES["hour"], NOW)
    assert len(delivered.times) == 60
    assert delivered.times[-1] == LAST
    assert delivered.series[0].values[-3:] == [0, 0, 100]
    assert delivered.series[1].values[-3:] == [4, 0, 0]
    assert waiting.series[0].values[-3:] == [None, 7, None]
    assert lag.series[1].values[-3:] == [None, 12.3, None]
    quantile = lag.series[0].values[-1]
    # Nine of ten arrived within 0.1 s; the slowest take 5 to 10 s.
    assert quantile is not None
    assert 5 < quantile <= 10
    assert delivered.rows() == [(LAST, [100, 0]), (LAST - 120, [0, 4])]
    assert delivered.document()["step"] == 60
    assert [len(each.values) for each in lag.series] == [60, 60]
