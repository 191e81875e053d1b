"""trackrelay at home in Django: put ``"trackrelay.django"`` into ``INSTALLED_APPS`` and your settings into ``TRACKRELAY``.

The functions of :mod:`trackrelay` then wait for the commit of the transaction they are called in, or, with the outbox, are rows of
it; take a user where they take a person; and read Django's settings. What is only Django's is here.
"""

from __future__ import annotations

from .django_visitors import anonymous_id, identify_visitor, visitor

__all__ = ["anonymous_id", "identify_visitor", "visitor"]
