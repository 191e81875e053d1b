"""What every request passes before a page's function: who sends it, and is it our form?"""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import structlog
from click import ClickException
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response

from trackrelay.configuration.console_values import ConsoleUser
from trackrelay.errors import TrackRelayError
from trackrelay.worker.cli.common.command_errors import explain

from .console_parts import ConsoleParts
from .identity import CSRF_COOKIE, SESSION_COOKIE, SESSION_S
from .live_events import live_response
from .page import Path
from .page_request import (
    NOTICE_COOKIE,
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    PageRequest,
)
from .sign_in_page import NOBODY, SignInPage

log = structlog.get_logger("trackrelay.console")

#: Bytes and fields of a form.
MAX_FORM, MAX_FIELDS = 2_000_000, 5_000
_FOREIGN = (
    "This form was not sent by a page of this console, or the page is old. Reload and repeat."
)


class TooLargeError(Exception):
    """A form is larger than :data:`MAX_FORM`."""


@dataclass(frozen=True, slots=True)
class RequestGate:
    """Calls the functions of pages."""

    parts: ConsoleParts

    async def sign_in(self, request: Request) -> Response:
        """Show the sign-in form, follow a link, or check a password."""
        page = SignInPage(self.parts)
        if request.method != "POST":
            if linked := await run_in_threadpool(page.follow_link, request):
                return linked
            return await run_in_threadpool(page.show, request)
        if not self.parts.identities.has_sessions or not _is_own_site(request):
            return await run_in_threadpool(page.show, request, _FOREIGN, 403)
        try:
            form = await _form(request)
            return await run_in_threadpool(page.check, request, form)
        except (TooLargeError, ValueError, BadRequestError):
            return await run_in_threadpool(page.show, request, "The form cannot be read.", 400)

    async def sign_out(self, request: Request) -> Response:
        """Sign out, if a form of this console asks for it."""
        user = self.parts.identities.user_of(request)
        try:
            form = await _form(request)
        except (TooLargeError, ValueError, ClientDisconnect):
            form = {}
        if user is None or await self._objection(request, user, form):
            return self._to_sign_in(request)
        return SignInPage(self.parts).leave(request)

    async def answer(self, request: Request, path: Path) -> Response:
        """Call the function of a path, if the user may."""
        user = await run_in_threadpool(self.parts.identities.user_of, request)
        if user is None:
            return self._to_sign_in(request)
        form: dict[str, list[str]] = {}
        new_csrf = _prepare_csrf(request)
        if path.kind == "post":
            try:
                form = await _form(request)
            except TooLargeError:
                return await self.problem(request, user, 413, "This form is too large.")
            except (ValueError, ClientDisconnect):
                return await self.problem(request, user, 400, "This form cannot be read.")
            if objection := await self._objection(request, user, form):
                return await self.problem(request, user, 403, objection)
        page = PageRequest(request, self.parts, user, form)
        found = await run_in_threadpool(self.call, page, path)
        if path.kind == "live" and isinstance(found, str):
            if request.query_params.get("once"):
                return HTMLResponse(found)
            return live_response(found, partial(self.call, page, path), self.parts.is_closing)
        response: Response = found
        if new_csrf:
            self.parts.set_cookie(request, response, CSRF_COOKIE, new_csrf, SESSION_S)
        self._cookies(request, response, user)
        return response

    def call(self, page: PageRequest, path: Path) -> Any:
        """Call the function of a path in this thread; its failure becomes a page."""
        try:
            page.require(path.role)
            return path.function(page)
        except ForbiddenError as error:
            return self._problem(page, 403, str(error))
        except (BadRequestError, ClickException) as error:
            text = error.message if isinstance(error, ClickException) else str(error)
            return self._problem(page, 400, text)
        except NotFoundError as error:
            return self._problem(page, 404, str(error))
        except (SQLAlchemyError, RedisError) as error:
            log.warning("page_unavailable", path=path.path, error=type(error).__name__)
            return self._problem(page, 503, _explained(error))
        except TrackRelayError as error:
            return self._problem(page, 503, str(error))
        except Exception:
            log.exception("page_failed", path=path.path)
            return self._problem(page, 500, "This page has a fault; the log of the console has it.")

    async def problem(
        self, request: Request, user: ConsoleUser | None, status: int, text: str
    ) -> Response:
        """Return a page that says what is wrong."""
        page = PageRequest(request, self.parts, user or NOBODY)
        return await run_in_threadpool(self._problem, page, status, text)

    def _problem(self, page: PageRequest, status: int, text: str) -> Response:
        return page.render("problem.html", status=status, text=text)

    async def _objection(
        self, request: Request, user: ConsoleUser, form: dict[str, list[str]]
    ) -> str:
        """Return why a form is not accepted; empty if it is."""
        if not _is_own_site(request):
            return _FOREIGN
        expected = self.parts.identities.csrf_token(request, user)
        given = (form.get("csrf") or [request.headers.get("x-csrf-token", "")])[0]
        is_ours = bool(expected) and hmac.compare_digest(
            given.encode(errors="replace"), expected.encode()
        )
        return "" if is_ours else _FOREIGN

    def _to_sign_in(self, request: Request) -> Response:
        path = str(request.scope["path"]).removeprefix(self.parts.prefix(request))
        query = request.url.query
        wanted = (path + (f"?{query}" if query else "")) if request.method == "GET" else ""
        location = self.parts.url(request, "/sign-in", next=wanted if wanted != "/" else "")
        if request.headers.get("hx-request") == "true":
            return Response(status_code=401, headers={"hx-redirect": location})
        return Response(status_code=303, headers={"location": location})

    def _cookies(self, request: Request, response: Response, user: ConsoleUser) -> None:
        now = time.time()
        if self.parts.identities.session_to_renew(request, user, now):
            session = self.parts.identities.session(user, now)
            self.parts.set_cookie(request, response, SESSION_COOKIE, session, SESSION_S)
        is_page = response.media_type == "text/html" and response.status_code == 200
        if NOTICE_COOKIE in request.cookies and is_page:
            response.delete_cookie(NOTICE_COOKIE, path=self.parts.prefix(request) or "/")


def _prepare_csrf(request: Request) -> str | None:
    """Return a new value for the cookie that forms belong to; None if the browser has one."""
    if len(request.cookies.get(CSRF_COOKIE, "")) >= 20:
        return None
    request.scope[CSRF_COOKIE] = secrets.token_urlsafe(18)
    return str(request.scope[CSRF_COOKIE])


def _explained(error: Exception) -> str:
    text = explain(error) or str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _is_own_site(request: Request) -> bool:
    """Return whether a request comes from a page of this site, as far as the browser says."""
    if site := request.headers.get("sec-fetch-site"):
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or origin.partition("://")[2] == request.headers.get("host")


async def _form(request: Request) -> dict[str, list[str]]:
    """Return the fields of a form.

    Raises:
        TooLargeError: it is too large.
        ValueError: it is no form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_FORM:
            raise TooLargeError
    if not raw:
        return {}
    if kind != "application/x-www-form-urlencoded":
        raise ValueError("not a form")
    return parse_qs(
        raw.decode("ascii"), keep_blank_values=True, strict_parsing=False, max_num_fields=MAX_FIELDS
    )
