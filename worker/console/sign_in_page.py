"""Sign in and out."""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from trackrelay.configuration.console_values import ConsoleUser
from trackrelay.worker.cli.common.humanize import duration
from trackrelay.worker.reasons import Act
from trackrelay.worker.storage import acts
from trackrelay.worker.storage.acts import Author

from .console_parts import ConsoleParts
from .identity import SESSION_COOKIE, SESSION_S
from .page_request import PageRequest
from .passwords import is_password

log = structlog.get_logger("trackrelay.console")

NOBODY = ConsoleUser("", frozenset())
_WRONG = "The name or the password is wrong."


@dataclass(frozen=True, slots=True)
class SignInPage:
    """Shows the form, and checks what it sends. A visitor has no session yet."""

    parts: ConsoleParts

    def show(
        self, request: Request, error: str = "", status: int = 200, name: str = ""
    ) -> Response:
        """Return the form, or what is to be done where nobody signs in here."""
        identities = self.parts.identities
        page = PageRequest(request, self.parts, NOBODY)
        settings = self.parts.console_settings
        return HTMLResponse(
            page.text(
                "sign_in.html",
                error=error,
                name=name,
                next=own_path(request.query_params.get("next", "")),
                has_form=identities.has_sessions and settings.has_passwords,
                has_link=identities.link is not None,
                header=settings.proxy_header,
            ),
            status,
        )

    def follow_link(self, request: Request) -> Response | None:
        """Sign in whoever has the link that this process printed; None if it is another one."""
        link, token = self.parts.identities.link, request.query_params.get("token", "")
        if link is None or not token:
            return None
        if not self.parts.signer.is_same(token, link.token):
            return self.show(
                request, "This link is from an earlier start. Use the one printed last.", 403
            )
        return self._welcome(request, link.user, "/")

    def check(self, request: Request, form: dict[str, list[str]]) -> Response:
        """Sign in with a name and a password."""
        page = PageRequest(request, self.parts, NOBODY, form)
        name, password = page.field("name", limit=200), form.get("password", [""])[0]
        address = self.parts.identities.address_of(request)
        wait_s = self.parts.limits.begin(name, address)
        if wait_s:
            log.warning("sign_in_limited", address=address, wait_s=wait_s)
            text = f"Too many attempts. Try again in {duration(wait_s)}."
            response = self.show(request, text, 429, name)
            response.headers["retry-after"] = str(wait_s)
            return response
        user = self.parts.console_settings.user(name)
        if not is_password(password, user.password_hash if user else "") or user is None:
            log.warning("sign_in_failed", address=address)
            return self.show(request, _WRONG, 403, name)
        self.parts.limits.forgive(name, address)
        return self._welcome(request, user, own_path(page.field("next")))

    def leave(self, request: Request) -> Response:
        """Sign out."""
        response = _redirect(self.parts.url(request, "/sign-in"))
        response.delete_cookie(SESSION_COOKIE, path=self.parts.prefix(request) or "/")
        return response

    def _welcome(self, request: Request, user: ConsoleUser, next_path: str) -> Response:
        address = self.parts.identities.address_of(request)
        log.info("signed_in", user=user.name, address=address)
        try:
            with self.parts.stores.engine.begin() as connection:
                acts.record(connection, Author(user.name, "console"), Act.SIGNED_IN)
        except SQLAlchemyError as error:
            # An operator must get in while Postgres is away; the log has the line.
            log.warning("act_not_recorded", act=str(Act.SIGNED_IN), error=type(error).__name__)
        path, _, query = next_path.partition("?")
        target = self.parts.url(request, path or "/") + (f"?{query}" if query else "")
        response = _redirect(target)
        session = self.parts.identities.session(user, time.time())
        self.parts.set_cookie(request, response, SESSION_COOKIE, session, SESSION_S)
        return response


def _redirect(location: str) -> Response:
    return Response(status_code=303, headers={"location": location})


def own_path(path: str) -> str:
    """Return ``path`` if it is one of the console; empty if it leads to another site."""
    is_own = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if is_own and path.isprintable() and path.isascii() and len(path) < 1_000 else ""
