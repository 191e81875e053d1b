"""A job across shards of which Redis lost one part, while the outbox still has the job."""

from tests.support.harness import Harness
from tests.support.in_process_worker import SHARDS, FakeApi, Worker, expire_lease, make_due
from tests.support.outbox import Application, relay_once
from trackrelay import operations
from trackrelay.operations.keys import shard_of
from trackrelay.worker.maintenance.ticks import recover_orphans
from trackrelay.worker.queue.queue_agreement import recover


def test_after_a_wipe_no_job_goes_without_its_other_part_while_the_outbox_still_has_it(
    postgres_application: Application, harness: Harness
) -> None:
    api = FakeApi()
    worker = Worker(harness.settings, api)
    mine = shard_of("id:42", SHARDS)
    cookie = next(f"c{n}" for n in range(1000) if shard_of(f"anonymous:c{n}", SHARDS) != mine)
    postgres_application.write(
        [
            operations.track_anonymous(cookie, "before", {}),
            operations.identify("42", {"label": "joined"}, anonymous_id=cookie),
        ]
    )
    relay_once(harness.settings)
    worker.run_shard(mine)
    harness.redis.flushall()
    with harness.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trackrelay_backlog SET due_at = due_at - interval '10 minutes'"
        )
    recover(worker.redis, worker.resources.engine, 1.0)
    recover_orphans(worker.resources)
    for shard in range(SHARDS):
        expire_lease(harness.redis, shard)
    worker.run_shard(mine)
    assert api.taken == []
    relay_once(harness.settings)
    for _ in range(4):
        worker.work()
        make_due(harness.engine)
    assert api.taken == ["before", "joined"]
    worker.close()
