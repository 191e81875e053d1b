"""What the function of a page gets: the request, its user, the stores, and how to answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from trackrelay.configuration.console_values import ConsoleUser, Role
from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.reasons import Act
from trackrelay.worker.storage import acts
from trackrelay.worker.storage.acts import Author

from .console_parts import ConsoleParts

NOTICE_COOKIE = "trackrelay_notice"
#: Characters of a parameter or of a short form field that are read.
MAX_PARAMETER = 1_000


class BadRequestError(Exception):
    """A request asks for something that cannot be; the message is shown."""


class NotFoundError(Exception):
    """There is no such thing; the message is shown."""


class ForbiddenError(Exception):
    """The user lacks a role; the message is shown."""


@dataclass(slots=True)
class PageRequest:
    """One request to a page."""

    request: Request
    parts: ConsoleParts
    user: ConsoleUser
    #: What a form sent; each name with its values.
    form: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def stores(self) -> Stores:
        """The clients of this process. Every query has a deadline; see `ConsoleParts`."""
        return self.parts.stores

    @property
    def path(self) -> str:
        """The path of the request, without that below which the console is mounted."""
        return str(self.request.scope["path"]).removeprefix(self.parts.prefix(self.request)) or "/"

    @property
    def author(self) -> Author:
        """The user, for the history of acts."""
        return Author(self.user.name, "console")

    @property
    def who(self) -> str:
        """The user, for the histories of jobs."""
        return f"{self.user.name} (console)"

    @property
    def page_paths(self) -> list[str]:
        """The addresses of all pages in the navigation."""
        pages: Any = self.parts.environment.globals["pages"]
        return [each.path for each in pages]

    @property
    def csrf(self) -> str:
        """What each form sends back, to show that it is ours."""
        return self.parts.identities.csrf_token(self.request, self.user)

    @property
    def is_htmx(self) -> bool:
        """Whether htmx asks for a part of a page."""
        return self.request.headers.get("hx-request") == "true"

    def can(self, role: Role | str) -> bool:
        """Return whether the user has a role."""
        return role in self.user.roles

    def require(self, role: Role) -> None:
        """Refuse the request unless the user has a role.

        Raises:
            ForbiddenError: the user lacks it.
        """
        if not self.can(role):
            raise ForbiddenError(f"This needs the role {role}, which {self.user.name} lacks.")

    def path_value(self, name: str) -> str:
        """Return a part of the path."""
        return checked(str(self.request.path_params[name]), name)

    def param(self, name: str, default: str = "") -> str:
        """Return a parameter of the address, without blanks around it.

        Raises:
            BadRequestError: it is too long, or no text that a store can hold.
        """
        return checked(self.request.query_params.get(name, default), name).strip()

    def params(self, name: str) -> list[str]:
        """Return all values of a parameter that can be given several times."""
        values = self.request.query_params.getlist(name)[:100]
        return [found for value in values if (found := checked(value, name).strip())]

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """Return a parameter that is a whole number from ``low`` to ``high``.

        Raises:
            BadRequestError: it is not.
        """
        text = self.param(name) or self.field(name) or str(default)
        if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
            raise BadRequestError(f"{name} must be a whole number from {low} to {high}.")
        return int(text)

    def field(self, name: str, default: str = "", limit: int = MAX_PARAMETER) -> str:
        """Return a field of the form, without blanks around it.

        Raises:
            BadRequestError: it is longer than ``limit``, or no text that a store can hold.
        """
        values = self.form.get(name)
        return checked(values[0] if values else default, name, limit).strip()

    def fields(self, name: str) -> list[str]:
        """Return all values of a field that can be given several times."""
        return [checked(value, name).strip() for value in self.form.get(name, [])]

    def url(self, path: str, **params: Any) -> str:
        """Return an address in the console. Parameters that are empty or None are left out."""
        return self.parts.url(self.request, path, **params)

    def here(self, **changed: Any) -> str:
        """Return the address of this request with some parameters changed."""
        query = self.request.query_params
        present = {name: query.getlist(name) for name in query}
        return self.url(self.path, **(present | changed))

    def badge(self, page: Any) -> int:
        """Return the number beside a page in the navigation; 0 also if it is not known."""
        known = self.parts.facts.glance() if page.badge else None
        return int(page.badge(known)) if known else 0

    def render(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Return a page made of a template, which also gets the status."""
        return HTMLResponse(self.text(template, status=status, **values), status)

    def text(self, template: str, **values: Any) -> str:
        """Return what a template makes."""
        return self.parts.render(template, self, values)

    def json(self, document: Any) -> Response:
        """Return a JSON document, for a chart."""
        return JSONResponse(document)

    def redirect(self, path: str, notice: str = "", **params: Any) -> Response:
        """Send the browser to another page, which shows ``notice`` once.

        Every form ends so: reloading the page sends nothing again.
        """
        response = Response(status_code=303, headers={"location": self.url(path, **params)})
        if self.is_htmx:
            # htmx follows a redirect by itself, into the element; this changes the page.
            response = Response(headers={"hx-redirect": self.url(path, **params)})
        if notice:
            payload = {"text": notice[:500], "at": time.time(), "user": self.user.name}
            self.parts.set_cookie(
                self.request, response, NOTICE_COOKIE, self.parts.signer.sign("notice", payload), 60
            )
        return response

    def notice(self) -> str:
        """Return what the page before left to be shown."""
        found = self.parts.signer.read(
            "notice", self.request.cookies.get(NOTICE_COOKIE), since=time.time() - 60
        )
        is_own = found is not None and found.get("user") == self.user.name
        return str(found.get("text", "")) if found and is_own else ""

    def record(
        self, connection: sa.Connection, act: Act, subject: str = "", **details: Any
    ) -> None:
        """Write into the history that the user did something; see `acts.record`."""
        acts.record(connection, self.author, act, subject, details)


def checked(value: str, name: str, limit: int = MAX_PARAMETER) -> str:
    """Return ``value``.

    Raises:
        BadRequestError: it is too long, or no text that a store can hold.
    """
    if len(value) > limit:
        raise BadRequestError(
            f"{name} has {len(value):,} characters; the limit is {limit:,} characters."
        )
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise BadRequestError(f"{name} has a character that no text can have.")
    return value
