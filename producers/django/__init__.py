"""trackrelay in Django: add ``"trackrelay.django"`` to ``INSTALLED_APPS``, and set ``TRACKRELAY``.

The functions of :mod:`trackrelay` then enqueue when the current transaction is committed; with the
outbox, they write rows in that transaction. They take a user in place of a person, and read
Django's settings. This module adds what only Django needs.
"""

from __future__ import annotations

from .django_visitors import anonymous_id, identify_visitor, visitor

__all__ = ["anonymous_id", "identify_visitor", "visitor"]
