"""The Celery app's parts: its class, its settings, its messages, its shutdown."""
