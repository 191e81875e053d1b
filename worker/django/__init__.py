"""trackrelay's operators at home in Django: ``manage.py trackrelay …``, and dead letters and backlog in the admin.

Put ``"trackrelay.worker.django"`` into ``INSTALLED_APPS`` beside ``"trackrelay.django"``. Nothing here starts Celery.
"""
