"""Whoever sent a request: somebody logged in, or somebody nobody knows yet."""

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

#: Where the extension is found.
EXTENSION = "trackrelay"
_ATTRIBUTE = "_trackrelay_visitor"


def anonymous_id() -> str:
    """The anonymous id of whoever sent the request; one who has none is given one, and the response sets their cookie."""
    return _visitor().id


def visitor() -> Person:
    """Whoever sent the request: who is logged in, if ``TrackRelay.person_loader`` knows, or else somebody with an anonymous id.

    For ``track``, ``page`` and ``screen``::

        track(visitor(), "product_viewed", {"product_id": product.id})
    """
    who = _extension().load_person()
    return Person(anonymous_id=anonymous_id()) if who is None else Person.of(who)


def identify_visitor(
    person: PersonLike, attributes: Mapping[str, Any] | None = None, **arguments: Any
) -> str:
    """Whoever sent the request has said who they are: what they did as an anonymous visitor becomes theirs.

    To be called where an email address is learned: sign-up, newsletter, checkout. They keep their anonymous id until
    :func:`forget_visitor`, so that what they do afterwards without being logged in is theirs too.

    Args:
        person: who: their id, or ``Person(email=…)``.
        attributes, arguments: as for :func:`trackrelay.identify`; ``through=`` an outbox, to have it in a transaction.

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
    """Whoever comes next at this browser is somebody else: to be called at logout."""
    _visitor().renew()


def remember_visitor(response: flask.Response) -> flask.Response:
    """Set the cookie, if anybody asked who this is and they had none."""
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
    # Not flask.g: whoever has an application context of their own would share it between requests.
    request: flask.Request = flask.request._get_current_object()  # type: ignore[attr-defined]
    return request


def _extension() -> TrackRelay:
    found: TrackRelay | None = flask.current_app.extensions.get(EXTENSION)
    if found is None:
        raise ConfigurationError(
            "this application has no TrackRelay: call TrackRelay().init_app(app)"
        )
    return found
