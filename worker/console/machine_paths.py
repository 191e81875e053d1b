"""What machines ask for: metrics with a password or a session, and probes without."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from trackrelay.worker.cli.metrics.metrics_app import Responder

from .console_parts import ConsoleParts
from .passwords import is_password

_REALM = {"www-authenticate": 'Basic realm="trackrelay", charset="UTF-8"'}


@dataclass(slots=True)
class MachinePaths:
    """Answers ``/metrics``, ``/healthz`` and ``/readyz``."""

    parts: ConsoleParts
    _responder: Responder | None = None
    #: Digests of names with passwords that were right: a comparison takes a tenth of a second.
    _known: set[str] = field(default_factory=set)

    async def answer(self, request: Request) -> Response:
        """Return the answer to a probe, or to a scrape of somebody who may look."""
        path = str(request.scope["path"]).removeprefix(self.parts.prefix(request))
        if path == "/metrics":
            refusal = await run_in_threadpool(self._refusal, request)
            if refusal is not None:
                return refusal
        accept = request.headers.get("accept", "")
        found = await run_in_threadpool(self._made().answer, path, accept)
        return Response(found.body, found.status, {"content-type": found.content_type})

    def _made(self) -> Responder:
        if self._responder is None:
            self._responder = Responder(self.parts.stores)
        return self._responder

    def _refusal(self, request: Request) -> Response | None:
        if self.parts.identities.user_of(request) is not None:
            return None
        kind, _, encoded = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return Response("Sign in, or send a name and a password.\n", 401, _REALM)
        try:
            text = base64.b64decode(encoded, validate=True).decode()
        except ValueError:
            return Response("The name and password cannot be read.\n", 400)
        digest = self.parts.signer.digest("metrics", text)
        if digest in self._known:
            return None
        name, _, password = text.partition(":")
        address = self.parts.identities.address_of(request)
        if wait_s := self.parts.limits.begin(name, address):
            headers = {"retry-after": str(wait_s)}
            return Response("There were too many attempts.\n", 429, headers)
        user = self.parts.console_settings.user(name)
        if not is_password(password, user.password_hash if user else ""):
            return Response("The name or the password is wrong.\n", 401, _REALM)
        self.parts.limits.forgive(name, address)
        self._known.add(digest)
        return None
