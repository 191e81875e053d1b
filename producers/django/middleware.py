"""The middleware that sets the cookie of anonymous visitors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.utils.cache import patch_vary_headers

from trackrelay.operations.anonymous_ids import Visitor

from .django_visitors import ATTRIBUTE, cookie


class VisitorMiddleware:
    """Let views ask for the anonymous visitor. Works in synchronous and asynchronous projects.

    Set the cookie only if a view asked, so that other pages stay cacheable.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self._cookie = cookie()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        if self._is_async:
            return self._answer(request)
        visitor = self._recognise(request)
        return self._remember(request, visitor, self.get_response(request))

    async def _answer(self, request: Any) -> Any:
        visitor = self._recognise(request)
        return self._remember(request, visitor, await self.get_response(request))

    def _recognise(self, request: Any) -> Visitor:
        visitor = Visitor(request.COOKIES.get(self._cookie.name))
        setattr(request, ATTRIBUTE, visitor)
        return visitor

    def _remember(self, request: Any, visitor: Visitor, response: Any) -> Any:
        if visitor.must_set_cookie and visitor.known_id:
            response.set_cookie(
                **self._cookie.arguments(visitor.known_id, over_https=request.is_secure())
            )
            patch_vary_headers(response, ("Cookie",))
        return response
