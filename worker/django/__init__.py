"""``manage.py trackrelay …``, and dead letters and the backlog in Django's admin.

Add ``"trackrelay.worker.django"`` to ``INSTALLED_APPS``, beside ``"trackrelay.django"``. It does
not start Celery.
"""
