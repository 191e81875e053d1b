"""Breaks trackrelay in every way that happens in production, and counts what is lost, doubled and out of order.

    python -m tests.chaos --list
    python -m tests.chaos --seed 7 --only redis-restart

Real processes throughout: Valkey, PostgreSQL, the sandbox, Celery workers of both pools, beat, and producers under load.
"""
