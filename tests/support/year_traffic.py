"""A day of a small shop: everything that writes into a table, a key or a file, once at least."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from unittest.mock import patch

import msgspec
import sqlalchemy as sa

from tests.support.harness import Harness
from tests.support.in_process_worker import (
    BUSY,
    Document,
    FakeApi,
    Worker,
    close_breakers,
    make_due,
    refusal,
)
from tests.support.outbox import Application, relay_once
from trackrelay import Person, Producer
from trackrelay.plan import parse_plan
from trackrelay.queue.redis_keys import PREFIX
from trackrelay.worker.dead_letters.eligibility import ReplayPolicy
from trackrelay.worker.dead_letters.replay_batches import Replayer
from trackrelay.worker.delivery.workspace_guard import note_refusal
from trackrelay.worker.maintenance import heartbeat, probe
from trackrelay.worker.maintenance.redis_leftovers import BROADCAST_TABLES
from trackrelay.worker.queue.shard_migration import Resharder
from trackrelay.worker.reasons import Act, VerdictKind
from trackrelay.worker.storage import (
    acts,
    alert_records,
    forgotten,
    incident_log,
    plans,
    sent_subjects,
    verdicts,
)
from trackrelay.worker.storage.acts import Author
from trackrelay.worker.storage.incident_log import Kind
from trackrelay.worker.storage.plans import NewPlan
from trackrelay.worker.storage.verdicts import NewVerdict
from trackrelay.worker.track_api.request_builder import Request
from trackrelay.worker.track_api.responses import Answer

_MADE_ANEW = sa.text("UPDATE trackrelay_dead_letters SET enqueued_at = now() WHERE job_id = :daily")
#: A process id that no process has.
NOBODY = 2**22 + 1
PEOPLE = 30
_PLAN = """
plan: 1
name: shop {day}
enforcement: warn
additional_events: true
events:
  order_completed:
    properties:
      total: {{type: integer}}
"""


class Shop:
    """An application, its operators, and a fleet that is restarted every day."""

    def __init__(self, harness: Harness, outbox: Application) -> None:
        self._harness, self._outbox = harness, outbox
        self._api = FakeApi(answers=self._answer)
        self._is_away = False
        settings = {
            **harness.settings,
            "TRACKRELAY_MERGE_DELAY": "0s",
            "TRACKRELAY_VERIFY": "all",
            "TRACKRELAY_OUTBOX_URL": outbox.url,
        }
        self._settings = settings
        self.worker = Worker(settings, self._api)
        self._refusing = Producer(
            redis_url=settings["TRACKRELAY_REDIS_URL"], on_invalid="dead_letter", source="refused"
        )
        self._numbers = itertools.count()
        self._shards = 1
        self._lived = 0
        self._replayed_daily = ""

    def close(self) -> None:
        """Close every connection."""
        self.worker.close()
        self._refusing.close()

    def live(self, day: int) -> None:
        """Live through one day."""
        self._call(day)
        self._deliver()
        self._go_through_an_outage(day)
        self._handle_dead_letters()
        self._operate(day)
        self._restart_workers(day)
        if self._lived % 3 == 0:
            self._reshard()
        self._lived += 1
        self._api.sent.clear()

    def _answer(self, request: Request, documents: list[Document]) -> Answer | None:
        if self._is_away:
            return BUSY
        wrong = [
            {"batch_index": index, "reason": "invalid", "field": "name", "message": "no such event"}
            for index, document in enumerate(documents)
            if document.get("name") == "refused"
        ]
        if wrong and request.kind != "batch":
            return refusal("no such event")
        return Answer(207, msgspec.json.encode({"errors": wrong})) if wrong else None

    def _call(self, day: int) -> None:
        producer = self._harness.producer
        number = next(self._numbers)
        person = str(number % PEOPLE)
        producer.track(person, "order_completed", {"total": "12", "coupon": "A"})
        producer.track(person, f"campaign_{day}", {"step": 1})
        producer.track(person, "paid", {"n": day}, idempotency_key=f"invoice-{day}")
        producer.identify(
            f"new-{day}", {"email": f"p{day}@example.com"}, anonymous_id=f"visitor-{day}"
        )
        producer.merge(primary=person, secondary=Person(email=f"p{day}@example.com"))
        producer.delete_person(f"new-{day - 1}")
        for _ in range(3):
            producer.track(f"refused-{number}", "refused", {})
        self._refusing.track(person, "", {})
        self._outbox.track(person, "from_the_outbox")
        for _ in range(2):
            relay_once(self._settings)

    def _deliver(self) -> None:
        self._harness_settles(lambda: self._harness.stream_length() == 0)
        relay_once(self._settings)

    def _harness_settles(self, is_done: Callable[[], object]) -> None:
        def attempt() -> object:
            make_due(self._harness.engine)
            return is_done()

        self.worker.work_off(lambda: attempt() and self._harness.backlog_size() == 0)

    def _go_through_an_outage(self, day: int) -> None:
        self._is_away = True
        for number in range(4):
            self._harness.producer.track(f"waits-{number}", "waited", {"day": day})
        self.worker.work_off(lambda: self._harness.stream_length() == 0)
        self._is_away = False
        close_breakers(self._harness.redis)
        self._harness_settles(lambda: True)

    def _handle_dead_letters(self) -> None:
        if not self._replayed_daily:
            self._replayed_daily = self._age_a_letter()
        open_letters = [
            row.job_id
            for row in self._harness.rows(
                "SELECT job_id FROM trackrelay_dead_letters WHERE state = 'open' "
                "AND died_at > now() - interval '1 hour' AND job_id <> :daily ORDER BY job_id",
                daily=self._replayed_daily,
            )
        ]
        replayer = Replayer.of(self.worker.resources, who="ada")
        # As long as it is older than a deletion, the ledger keeps the deletion. That has no bound.
        with self._harness.engine.begin() as connection:
            connection.execute(_MADE_ANEW, {"daily": self._replayed_daily})
        for _ in replayer.replay([self._replayed_daily], ReplayPolicy()):
            pass
        # One is replayed and fails again, one is discarded, and the others stay open.
        for _ in replayer.replay(open_letters[:1], ReplayPolicy()):
            pass
        for _ in replayer.discard(open_letters[1:2]):
            pass
        self._harness_settles(lambda: True)

    def _age_a_letter(self) -> str:
        """Return a letter that was replayed a hundred times by a version without a bound."""
        with self._harness.engine.begin() as connection:
            id = connection.exec_driver_sql("""
                UPDATE trackrelay_dead_letters SET history = (
                    SELECT jsonb_agg(entry)
                    FROM (SELECT history -> 0 AS entry FROM generate_series(1, 200)) AS entries)
                WHERE job_id = (
                    SELECT min(job_id) FROM trackrelay_dead_letters
                    WHERE state = 'open' AND reason = 'rejected')
                RETURNING job_id
            """).scalar_one()
        return str(id)

    def _operate(self, day: int) -> None:
        ada = Author("ada", "console")
        name = f"oldest>{day}m"
        with self._harness.engine.begin() as connection:
            acts.record(connection, ada, Act.DELIVERY_PAUSED, str(day))
            for state in ("firing", "resolved"):
                alert_records.claim(connection, name, state, "late", float(day))
                alert_records.confirm(connection, name, state)
            incident_log.record_forgotten(connection, Kind.ROLLED_BACK, "G", 1, 1)
            incident_log.acknowledge(connection, None, "ada")
            for version in range(12):
                plan = parse_plan(_PLAN.format(day=f"{day}.{version}"))
                new = NewPlan(plan.name, plan.text, plan.digest)
                plans.apply(connection, new, timedelta(0), "ada")
            request = f"{day:026d}"
            key = self.worker.resources.hasher.hidden(f"email:gone{day}@example.com")
            forgotten.mark(connection, request, "erase", {key: None}, {})
            forgotten.complete(connection, request, {"done": True})
            verdicts.record(
                connection,
                NewVerdict(
                    job_id=None,
                    key=f"id:{day}",
                    operation="person.event",
                    item=f"event:{day}",
                    verdict=VerdictKind.MISSING,
                    reason="it is not there",
                    activity_id=f"activity-{day}",
                ),
            )
        with self._harness.engine.begin() as connection:
            for subject in sent_subjects.due(connection, 1000):
                sent_subjects.put_off(connection, subject.key, 3_600)

    def _restart_workers(self, day: int) -> None:
        """What is left of workers that were killed: each had another name."""
        client, name = self._harness.redis, f"celery@host-{day}"
        heartbeat._show(client, {"hostname": name})
        probe.write(name, {"worker": name, "pid": NOBODY})
        with patch("socket.gethostname", return_value=f"host-{day}"):
            note_refusal(client, "wrong key")
        for table in BROADCAST_TABLES:
            client.sadd(table, *(f"\x06\x16\x06\x16{name}-{number}" for number in range(300)))
        # The count of a delivery whose job somebody has removed from the backlog.
        client.hset(f"{PREFIX}0:live:handed", f"removed-{day}", 1)

    def _reshard(self) -> None:
        own = self.worker.resources
        self._shards = 3 - self._shards
        Resharder(own.engine, own.redis, own.settings, own.hasher, lambda _: None).run(self._shards)
