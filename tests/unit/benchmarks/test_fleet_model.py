"""The model of larger installations: arithmetic that can be checked by hand."""

import json

import msgspec
import pytest

from benchmarks import capacity, chart, scale_simulation
from benchmarks.capacity import Costs
from benchmarks.documents import found
from benchmarks.fleet_model import Fleet, Loss, Model, Scenario, Server
from benchmarks.fleet_sizes import fleet_for, keeps_up

COSTS = Costs(
    producer_job=90, append_job=40, append_of_many=2, redis_job=5, redis_cycle=300, worker_job=20,
    worker_cycle=5_000, postgres_job=15, postgres_cycle=2_000, wal_job=400, wal_cycle=2_000,
    defer_worker_job=20, defer_postgres_job=40, defer_wal_job=1_500, undefer_worker_job=30,
    undefer_postgres_job=40, undefer_wal_job=900, stream_job_bytes=700, ledger_row_bytes=300,
    backlog_row_bytes=1_500, idle_redis=0.0, idle_worker=0.0, idle_postgres=0.0,
)  # fmt: skip
FLEET = Fleet(
    redis=2, shards=4, worker_hosts=2, cores_of_host=1, slots_of_host=4, postgres_cores=2,
    requests_per_s=100,
)  # fmt: skip


def run(loss: Loss = "", burst: float = 1.0, rate: float = 100, seconds: float = 40) -> Model:
    scenario = Scenario(
        name="test", rate=rate, seconds=seconds, burst=burst, loss=loss, begins=10, ends=15
    )
    model = Model(COSTS, FLEET, scenario)
    model.run()
    return model


def test_work_waits_for_a_free_core_and_for_the_end_of_a_loss() -> None:
    server = Server(2, down=(10, 15))
    assert [server.serve(0, 4) for _ in range(3)] == [4, 4, 8]
    assert server.serve(11, 1) == 16
    assert server.busy_s == 13


def test_the_same_seed_gives_the_same_figures() -> None:
    assert run().outcome == run().outcome


def test_nothing_is_lost_and_little_waits_while_all_is_well() -> None:
    outcome = run().outcome
    assert outcome.to_outbox == 0
    assert 0 <= outcome.called - outcome.delivered < 100
    assert max(outcome.oldest_s) < 1


@pytest.mark.parametrize("loss", ["redis", "postgres", "workers", "customer.io"])
def test_a_loss_delays_jobs_and_loses_none(loss: Loss) -> None:
    outcome = run(loss).outcome
    assert outcome.max_oldest_s() > 3
    assert outcome.recovery_s() < 20
    assert outcome.called - outcome.delivered < 100
    assert (outcome.to_outbox > 0) == (loss == "redis")
    assert (outcome.max_backlog > 0) == (loss == "customer.io")


def test_a_fleet_keeps_up_with_the_rate_it_is_made_for_and_not_with_ten_times_as_much() -> None:
    fleet = fleet_for(500, COSTS)
    assert keeps_up(COSTS, fleet, 500, seconds=10)
    small = Fleet(
        redis=1, shards=1, worker_hosts=1, cores_of_host=1, slots_of_host=1, postgres_cores=1,
        requests_per_s=1,
    )  # fmt: skip
    assert keeps_up(COSTS, small, 5_000, seconds=10) is None


def test_curves_stay_inside_the_chart() -> None:
    picture = chart.lines("Ages & <lags>", {"a": [0.0, 5.0, 120.0], "b": [0.1]})
    assert "Ages &amp; &lt;lags&gt;" in picture
    points = picture.partition('points="')[2].partition('"')[0].split()
    assert len(points) == 3
    assert all(0 <= float(axis) <= 720 for point in points for axis in point.split(","))


def test_the_page_shows_the_measured_costs() -> None:
    measured = json.loads(capacity.RESULTS.read_text())
    costs = msgspec.convert(measured["costs"], Costs)
    page = scale_simulation.PAGE.read_text()
    assert found(page, "a job") == scale_simulation.measured_table(costs, measured["runs"])
    assert found(page, "costs") == scale_simulation.costs_table(costs)
    assert found(page, "bytes") == scale_simulation.bytes_table(costs)
