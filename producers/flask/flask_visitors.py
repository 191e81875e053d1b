"""Visitors: the sender of a request, who is logged in or anonymous."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import flask

from trackrelay.errors import ConfigurationError
from trackrelay.operations.anonymous_ids import Visitor
from trackrelay.operations.refs import Person, PersonLike

from .flask_settings import cookie_of

if TYPE_CHECKING:
    from .extension import TrackRelay

#: The extension's name in ``app.extensions``.
EXTENSION = "trackrelay"
_ATTRIBUTE = "_trackrelay_visitor"


def anonymous_id() -> str:
    """Return the anonymous id of the visitor.

    A new visitor gets one, and the response sets the cookie.
    """
    return _visitor().id


def visitor() -> Person:
    """Return the person who sent the request: that of the person loader, or an anonymous one.

    For ``track``, ``page`` and ``screen``::

        track(visitor(), "product_viewed", {"product_id": product.id})
    """
    who = _extension().load_person()
    return Person(anonymous_id=anonymous_id()) if who is None else Person.of(who)


def identify_visitor(
    person: PersonLike, attributes: Mapping[str, Any] | None = None, **arguments: Any
) -> str:
    """Identify the visitor who sent the request: their anonymous events become this person's.

    Call it where you learn an email address: sign-up, newsletter, checkout. The visitor keeps the
    anonymous id until :func:`forget_visitor`, so later events without a login become theirs too.

    Args:
        person: an id, or ``Person(email=…)``.
        attributes, arguments: as for :func:`trackrelay.identify`; with ``through=`` an outbox, it
            is part of a transaction.

    Returns:
        the job's id.
    """
    import trackrelay

    through = arguments.pop("through", trackrelay)
    job_id: str = through.identify(
        person, attributes, anonymous_id=_visitor().known_id, **arguments
    )
    return job_id


def forget_visitor() -> None:
    """Give the browser a new anonymous id.

    Call it at logout: the next visitor may be another person.
    """
    _visitor().renew()


def remember_visitor(response: flask.Response) -> flask.Response:
    """Set the cookie, if a view asked for the visitor's id and the visitor had none."""
    found = getattr(_request(), _ATTRIBUTE, None)
    if isinstance(found, Visitor) and found.must_set_cookie and found.known_id:
        cookie = cookie_of(flask.current_app.config)
        response.set_cookie(**cookie.arguments(found.known_id, over_https=flask.request.is_secure))
        response.vary.add("Cookie")
    return response


def _visitor() -> Visitor:
    _extension()
    request = _request()
    found = getattr(request, _ATTRIBUTE, None)
    if not isinstance(found, Visitor):
        found = Visitor(request.cookies.get(cookie_of(flask.current_app.config).name))
        setattr(request, _ATTRIBUTE, found)
    return found


def _request() -> flask.Request:
    # Not flask.g: with an application context around several requests, they would share it.
    request: flask.Request = flask.request._get_current_object()  # type: ignore[attr-defined]
    return request


def _extension() -> TrackRelay:
    found: TrackRelay | None = flask.current_app.extensions.get(EXTENSION)
    if found is None:
        raise ConfigurationError(
            "this application has no TrackRelay extension: call TrackRelay().init_app(app)"
        )
    return found
