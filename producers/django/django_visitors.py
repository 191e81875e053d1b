"""Visitors: the sender of a request, who is a user or anonymous."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trackrelay.errors import ConfigurationError
from trackrelay.operations.anonymous_ids import AnonymousCookie, Visitor
from trackrelay.operations.refs import Person, PersonLike

from .django_settings import django_settings

#: The request's attribute in which the middleware keeps the visitor.
ATTRIBUTE = "_trackrelay_visitor"


def cookie() -> AnonymousCookie:
    """Return the cookie that ``TRACKRELAY["ANONYMOUS_COOKIE"]`` describes.

    Raises:
        ConfigurationError: the setting is wrong.
    """
    return AnonymousCookie.of(django_settings().anonymous_cookie)


def visitor_of(request: Any) -> Visitor:
    """Return the visitor who sent ``request``.

    Raises:
        ConfigurationError: the middleware is missing.
    """
    found = getattr(request, ATTRIBUTE, None)
    if not isinstance(found, Visitor):
        raise ConfigurationError(
            'anonymous visitors need "trackrelay.django.middleware.VisitorMiddleware" in MIDDLEWARE'
        )
    return found


def anonymous_id(request: Any) -> str:
    """Return the anonymous id of the visitor.

    A new visitor gets one, and the response sets the cookie.

    Raises:
        ConfigurationError: the middleware is missing.
    """
    return visitor_of(request).id


def visitor(request: Any) -> Person:
    """Return the person who sent ``request``: the logged-in user, or an anonymous person.

    For ``track``, ``page`` and ``screen``::

        track(visitor(request), "product_viewed", {"product_id": product.pk})

    In an asynchronous view, ``await request.auser()`` first.

    Raises:
        ConfigurationError: no user is logged in, and the middleware is missing.
    """
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return Person.of(user)
    return Person(anonymous_id=anonymous_id(request))


def identify_visitor(
    request: Any, person: PersonLike, attributes: Mapping[str, Any] | None = None, **arguments: Any
) -> str:
    """Identify the visitor who sent ``request``: their anonymous events become this person's.

    Call it where you learn an email address: sign-up, newsletter, checkout. The visitor keeps the
    anonymous id until they log out, so later events without a login become theirs too.

    Args:
        person: a user, an id, or ``Person(email=…)``.
        attributes, arguments: as for :func:`trackrelay.identify`.

    Returns:
        the job's id.
    """
    from trackrelay import identify

    return identify(person, attributes, anonymous_id=visitor_of(request).known_id, **arguments)
