"""The console as an ASGI application: alone, or mounted below a path of another one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path as FilePath
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from trackrelay.worker.settings import Settings, load

from .console_parts import ConsoleParts, LiveMode
from .console_settings import ConsoleSettings, load_console_settings
from .identity import FrameworkUser, OneTimeLink
from .machine_paths import MachinePaths
from .page import Path
from .page_table import PAGES
from .page_templates import STATIC, static_path
from .request_gate import RequestGate
from .security_headers import SecurityHeaders

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def console_app(
    settings: Settings | None = None,
    *,
    console_settings: ConsoleSettings | None = None,
    user: FrameworkUser | None = None,
    link: OneTimeLink | None = None,
    live_mode: LiveMode = "stream",
) -> Starlette:
    """Return the console.

    Args:
        settings: of the stores; None: those of the process.
        console_settings: who may use it; None: those of the process.
        user: returns the user of a framework from the ASGI scope, instead of signing in here.
        link: signs in whoever has it.
        live_mode: how parts of a page renew themselves.

    Raises:
        ConfigurationError: with one line for each setting that is missing or wrong.
    """
    parts = ConsoleParts(
        load() if settings is None else settings,
        load_console_settings() if console_settings is None else console_settings,
        link,
        user,
        live_mode,
    )
    parts.environment.globals["pages"] = [page for page in PAGES if page.is_listed]
    gate = RequestGate(parts)
    app = Starlette(
        routes=list(_routes(gate)),
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={HTTPException: _unknown(gate)},
        lifespan=_lifespan(parts),
    )
    app.state.parts = parts
    return app


def _routes(gate: RequestGate) -> Iterator[Route]:
    yield Route("/sign-in", gate.sign_in, methods=["GET", "POST"])
    yield Route("/sign-out", gate.sign_out, methods=["POST"])
    machines = MachinePaths(gate.parts)
    for asked in ("/metrics", "/healthz", "/readyz"):
        yield Route(asked, machines.answer)
    yield Route("/static/{digest}/{name:path}", _static)
    found: dict[str, dict[str, Path]] = {}
    for page in PAGES:
        for path in page.paths:
            method = "POST" if path.kind == "post" else "GET"
            found.setdefault(path.path, {})[method] = path
    for address, by_method in found.items():
        yield Route(address, _endpoint(gate, by_method), methods=list(by_method))


def _endpoint(gate: RequestGate, by_method: dict[str, Path]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await gate.answer(request, by_method[method])

    return endpoint


def _unknown(gate: RequestGate) -> Callable[[Request, Exception], Any]:
    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        user = await run_in_threadpool(gate.parts.identities.user_of, request)
        text = {404: "There is no such page.", 405: "This address does not accept such a request."}
        return await gate.problem(
            request, user, error.status_code, text.get(error.status_code, error.detail)
        )

    return answer


async def _static(request: Request) -> Response:
    name = str(request.path_params["name"])
    if name not in _static_files():
        raise HTTPException(404)
    if f"/static/{request.path_params['digest']}/{name}" != static_path(name):
        # A page of another version; what it gets must not be kept under that address.
        return RedirectResponse(request.scope.get("root_path", "").rstrip("/") + static_path(name))
    return FileResponse(
        STATIC / name,
        media_type=_TYPES.get(FilePath(name).suffix, "text/plain"),
        headers={"cache-control": "public, max-age=31536000, immutable"},
    )


def _static_files() -> frozenset[str]:
    return frozenset(str(path.relative_to(STATIC)) for path in STATIC.rglob("*") if path.is_file())


def _lifespan(parts: ConsoleParts) -> Callable[[Any], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(parts.process_stores.close)

    return lifespan
