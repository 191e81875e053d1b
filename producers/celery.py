"""Let ``celery -A trackrelay worker`` and ``celery -A trackrelay beat`` find the workers' Celery app."""

from .worker.celery import app

__all__ = ["app"]
