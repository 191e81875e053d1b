"""Break trackrelay in every way that happens in production, and count the damage.

Counted is what is lost, duplicated or out of order.

    python -m tests.chaos --list
    python -m tests.chaos --seed 7 --only redis-restart

All processes are real: Valkey, PostgreSQL, the sandbox, Celery workers of both pools, beat, and
producers under load.
"""
