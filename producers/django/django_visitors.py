"""Whoever sent a request: a user, or somebody nobody knows yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trackrelay.errors import ConfigurationError
from trackrelay.operations.anonymous_ids import AnonymousCookie, Visitor
from trackrelay.operations.refs import Person, PersonLike

from .django_settings import django_settings

#: Where the middleware leaves it.
ATTRIBUTE = "_trackrelay_visitor"


def cookie() -> AnonymousCookie:
    """The cookie, as ``TRACKRELAY["ANONYMOUS_COOKIE"]`` says.

    Raises:
        ConfigurationError: with what is wrong there.
    """
    return AnonymousCookie.of(django_settings().anonymous_cookie)


def visitor_of(request: Any) -> Visitor:
    """Whoever sent ``request``.

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
    """The anonymous id of whoever sent ``request``; one who has none is given one, and the response sets their cookie.

    Raises:
        ConfigurationError: the middleware is missing.
    """
    return visitor_of(request).id


def visitor(request: Any) -> Person:
    """Whoever sent ``request``: the user who is logged in, or else somebody with an anonymous id.

    For ``track``, ``page`` and ``screen``::

        track(visitor(request), "product_viewed", {"product_id": product.pk})

    In an asynchronous view, ``await request.auser()`` first.

    Raises:
        ConfigurationError: nobody is logged in, and the middleware is missing.
    """
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return Person.of(user)
    return Person(anonymous_id=anonymous_id(request))


def identify_visitor(
    request: Any, person: PersonLike, attributes: Mapping[str, Any] | None = None, **arguments: Any
) -> str:
    """Whoever sent ``request`` has said who they are: what they did as an anonymous visitor becomes theirs.

    To be called where an email address is learned: sign-up, newsletter, checkout. They keep their anonymous id until they log
    out, so that what they do afterwards without being logged in is theirs too.

    Args:
        person: who: a user, an id, or ``Person(email=…)``.
        attributes, arguments: as for :func:`trackrelay.identify`.

    Returns:
        the job's id.
    """
    from trackrelay import identify

    return identify(person, attributes, anonymous_id=visitor_of(request).known_id, **arguments)
