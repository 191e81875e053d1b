"""The parts of the Celery app: class, programs, settings, messages, start and shutdown."""
