"""The errors of the App API's client. ``except AppApiError`` catches all of them."""

from __future__ import annotations

from trackrelay.errors import TrackRelayError


class AppApiError(TrackRelayError):
    """The base class of the errors of :class:`~trackrelay.app_api.AppApi`.

    Attributes:
        status: the HTTP status of the answer, if there was one.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class AppApiCallError(AppApiError, ValueError):
    """The call asks for something that the App API cannot answer; nothing was sent."""


class AppApiAuthError(AppApiError):
    """Customer.io refuses the App API key (401 or 403)."""


class AppApiNotFoundError(AppApiError):
    """Customer.io has no such person, object or segment (404)."""


class AppApiRequestError(AppApiError):
    """Customer.io refuses the request, most often with 400 or 422."""


class AppApiUnavailableError(AppApiError):
    """No answer, or only 429 and 5xx, after all retries."""


class AppApiResponseError(AppApiError):
    """The answer is not as the App API describes it. The message quotes nothing of the answer."""
