"""trackrelay's operators at home in Django: ``manage.py trackrelay …``, and dead letters and backlog in the admin.

Put ``"worker.django"`` into ``INSTALLED_APPS`` beside ``"producers.django"``. Nothing here starts Celery.
"""
