"""A page of the console: where it is, who may see it, and what its functions get.

A page is one module in ``pages`` with a ``PAGE``, its templates, and a row of
:data:`.page_table.PAGES`. Its functions are ordinary functions that run in a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from starlette.responses import Response

from trackrelay.configuration.console_values import Role
from trackrelay.worker.cli.status.snapshot import Snapshot

from .page_request import PageRequest

#: Returns the answer to a request.
Show = Callable[[PageRequest], Response]
#: Returns a part of a page, as HTML, which replaces itself while somebody looks at it.
LivePart = Callable[[PageRequest], str]
#: Returns a number beside the page's name in the navigation; 0: none.
Badge = Callable[[Snapshot], int]


@dataclass(frozen=True, slots=True)
class Path:
    """One address of a page. Use :func:`get`, :func:`post` and :func:`live`."""

    path: str
    function: Callable[[PageRequest], Any]
    kind: Literal["get", "post", "live"]
    role: Role


def get(path: str, function: Show, role: Role = Role.VIEW) -> Path:
    """Return an address that shows something and changes nothing."""
    return Path(path, function, "get", role)


def post(path: str, function: Show, role: Role = Role.OPERATE) -> Path:
    """Return an address that a form is sent to. Only forms of the console itself reach it."""
    return Path(path, function, "post", role)


def live(path: str, function: LivePart, role: Role = Role.VIEW) -> Path:
    """Return an address from which a part of a page renews itself; see ``live`` in macros.html."""
    return Path(path, function, "live", role)


@dataclass(frozen=True, slots=True)
class Page:
    """One page."""

    #: Its name in the navigation.
    title: str
    #: Where the navigation leads: the first of its paths.
    paths: tuple[Path, ...]
    #: Whether it is in the navigation.
    is_listed: bool = True
    badge: Badge | None = None

    @property
    def path(self) -> str:
        """The address of the page."""
        return self.paths[0].path

    def covers(self, path: str) -> bool:
        """Return whether ``path``, without the console's own prefix, is below this page."""
        own = self.path.rstrip("/")
        return path == self.path or (bool(own) and path.startswith(f"{own}/"))
