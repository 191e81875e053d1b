"""Let ``celery -A trackrelay worker`` and ``… beat`` find the workers' Celery app."""

from .worker.celery import app

__all__ = ["app"]
