"""scratch"""
import os, time, threading
import pytest
import sqlalchemy as sa
from redis.exceptions import RedisError
from producers import Person
from producers.keys import shard_of
from tests.worker.delivery.in_process import *
from tests.worker.delivery.in_process import Worker, FakeApi
from worker.customerio.outcomes import Answer, NoAnswer
from worker.delivery import intake
from worker.delivery.shard_queue import ShardQueue
from worker.store import shards as shards_store

SH = 4
def sh(key): return shard_of(key, SH)

@pytest.fixture
def api(): return FakeApi()
@pytest.fixture
def worker(road, api):
    w = Worker(road.settings, api, lock_timeout_ms=100); yield w; w.close()

def test_plain(road, worker, api):
    ids=[road.producer.track("42", f"e{i}", {}) for i in range(5)]
    worker.work()
    assert road.ledger_ids()==set(ids); assert api.delivered==[f"e{i}" for i in range(5)]

def test_newer_format_not_crashed_after_upgrade(road, worker, api, monkeypatch):
    job=road.producer.track("42","e",{})
    s=sh("id:42")
    (eid,fields),=road.redis.xrange(f"trackrelay:{s}:live")
    road.redis.xdel(f"trackrelay:{s}:live", eid)
    road.redis.xadd(f"trackrelay:{s}:live", {b"v":b"2", b"j":fields[b"j"]})
    for _ in range(14): worker.hold(s)
    assert not road.dead_ids()
    monkeypatch.setattr(intake,"FORMAT_VERSION",2)
    worker.hold(s)
    assert not road.dead_ids()
    assert road.ledger_ids()=={job}

def test_locked_ledger_dead_letters_nothing(road, worker, api):
    job=road.producer.track("42","e",{})
    s=sh("id:42")
    with road.engine.connect() as c:
        c.execute(sa.text("LOCK TABLE trackrelay_ledger IN ACCESS EXCLUSIVE MODE"))
        for _ in range(14):
            with pytest.raises(sa.exc.SQLAlchemyError): worker.hold(s)
        c.rollback()
    worker.hold(s)
    assert not road.dead_ids()
    assert road.ledger_ids()=={job}

def test_ack_failing_is_not_crash(road, worker, api, monkeypatch):
    job=road.producer.track("42","e",{})
    s=sh("id:42")
    def boom(*a): raise SystemError("x")
    with monkeypatch.context() as m:
        m.setattr(ShardQueue,"acknowledge",boom)
        for _ in range(14):
            with pytest.raises(SystemError): worker.hold(s)
    worker.hold(s)
    assert not road.dead_ids()
    assert road.ledger_ids()=={job}

def two_shards():
    for i in range(1000):
        if sh(f"id:{i}")!=sh(f"id:x{i}"): return str(i), f"x{i}"

def test_crashed_cross_shard_blocks_nobody(road, worker, api, monkeypatch):
    a,b=two_shards()
    from worker.delivery import loop
    job=road.producer.merge(primary=Person(id=a), secondary=Person(id=b))
    after=road.producer.track(b,"after",{})
    worker.hold(sh(f"id:{b}"))
    with monkeypatch.context() as m:
        def boom(*a): raise SystemError("x")
        m.setattr(loop,"keep_back",boom)
        for _ in range(14):
            try: worker.hold(sh(f"id:{a}"))
            except SystemError: pass
    worker.work(2); make_due(road.engine); worker.work()
    print(road.dead_ids(), job)
    assert after in road.ledger_ids()

def test_nul_in_error(road, worker, api):
    bad={"on":True}
    api.answers=lambda r,o: Answer(503, b'{"errors":[{"reason":"x","message":"a\\u0000b"}]}') if bad["on"] else None
    job=road.producer.track("42","e",{}); s=sh("id:42")
    try: worker.hold(s)
    except Exception as e: print(repr(e)[:200])
    assert road.waiting(job)

@pytest.mark.parametrize("entry",[b'[{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","operation":"person.event","keys":["id:1"],"body":{"a":"\xff"}}]',
  b'[{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","operation":"person.event","keys":["id:1\\u0000"],"body":{}}]',
  b'[{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAVXXXX","operation":"person.event","keys":["id:1"],"body":{}}]',
  b'[{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","operation":"person.event","keys":["id:1"],"body":'+b'['*3000+b']'*3000+b'}]',
  b'[{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","operation":"segment.add","keys":["id:1"],"body":{"type":"segment"}}]',
  b'[{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","operation":"person.event","keys":["id:1"],"body":{},"accepted_ms":99999999999999999}]',
], ids=["utf8","nul","longid","deep","segment","accepted"])
def test_malformed(road, worker, api, entry):
    road.redis.xadd("trackrelay:0:live",{"v":"1","j":entry})
    person=people(SH,0,1)[0]
    fine=road.producer.track(person,"fine",{})
    for _ in range(14):
        try: worker.hold(0)
        except Exception as e: print(type(e), str(e)[:100])
    assert fine in road.ledger_ids()
    assert road.stream_length()==0

def test_zombie_claimant(road, worker, api, monkeypatch):
    """paused between claim and take_over"""
    job=road.producer.track("42","e",{}); s=sh("id:42")
    from worker.delivery import holding
    q=ShardQueue(worker.resources.redis, s)
    assert q.claim()
    expire_lease(worker, s)     # it was paused
    q2=ShardQueue(worker.resources.redis, s)
    assert q2.claim()
    d=holding._take_over(q2, worker.resources)
    assert holding._take_over(q, worker.resources) is None
    assert d.round("live")
    assert road.ledger_ids()=={job}

def test_redis_lost_after_answer(road, worker, api, monkeypatch):
    job=road.producer.submit_form("f", Person(id="42"), {"a":"b"}); s=sh("id:42")
    b=worker.resources.breaker
    with monkeypatch.context() as m:
        def boom(*a,**k): raise RedisError("x")
        m.setattr(type(b),"delivered",boom)
        try: worker.hold(s)
        except RedisError: pass
    worker.hold(s)
    assert len(api.sent)==1

def test_segment_refused_does_not_halt(road, worker, api):
    api.answers=lambda r,o: Answer(400,b'{"meta":{"errors":["segment is not manual"]}}') if "segments" in r.path else None
    ps=people(SH,0,20)
    ids=road.producer.add_to_segment(7, ps)
    worker.work()
    print(road.breaker(), len(api.sent))
    assert road.breaker().get("state","closed")=="closed"
    assert road.dead_ids()==set(ids)

def test_breaker_retry_after(worker):
    b=worker.resources.breaker
    b.failed("slow", rate_limited=True, retry_after_s=30)
    b.delivered(1)
    assert b.standing().wait_s>25 and b.standing().state=="open"

def test_breaker_inflight(worker):
    b=worker.resources.breaker
    for _ in range(20): b.failed("x")
    print(b.standing())
    assert b.standing(may_probe=False).wait_s<=1.01

def test_breaker_halted_not_overwritten(worker):
    b=worker.resources.breaker
    b.halt("credentials","x")
    b.failed("x")
    assert b.standing().state=="halted"

def test_orphan_same_idem_other_anonymous(road, worker, api):
    # same id, another second key
    import itertools
    person="42"; s=sh("id:42")
    anon=[a for a in (f"a{i}" for i in range(100)) if sh(f"anonymous:{a}")!=s]
    j1=road.producer.identify("42",{}, anonymous_id=anon[0], idempotency_key="k")
    j2=road.producer.identify("42",{}, anonymous_id=anon[1], idempotency_key="k")
    assert j1==j2
    after=[road.producer.track_anonymous(a,"after",{}) for a in anon[:2]]+[road.producer.track("42","after",{})]
    worker.work(3)
    print(road.rows("select job_id,key,parts,sends,due_at from trackrelay_backlog"))
    assert set(after)<=road.ledger_ids()

def test_clock_behind(road, worker, api, monkeypatch):
    s=sh("id:42")
    road.producer.track("42","warm",{}); worker.hold(s)
    api.answers=lambda r,o: Answer(503,b"x")
    real=time.time
    from worker.delivery import loop
    job=road.producer.track("42","e",{})
    class T:
        @staticmethod
        def time(): return real()-600
        monotonic=staticmethod(__import__("time").monotonic)
    monkeypatch.setattr(loop,"time",T)
    for _ in range(5):
        close_breaker_state=None
        worker.hold(s); make_due(road.engine); road.redis.hset("trackrelay:breaker",mapping={"until_ms":0}); road.redis.delete("trackrelay:probe")
    r=road.waiting(job)
    print(r.attempts, r.history)
    assert r.attempts==0
