"""The ASGI application: from a request to its effects and its answer, unless a fault interferes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import cached_property, partial
from typing import NamedTuple

from starlette.applications import Starlette

from .app_api.app_endpoints import APP_ROUTES, AppEndpoint
from .app_api.app_messages import empty
from .connection import (
    BodyTooLargeError,
    Connection,
    Receive,
    Scope,
    Send,
    misbehave,
    pause,
)
from .core import Sandbox
from .faults import Traffic
from .routes import UnknownEndpointError
from .track.endpoints import REGION, ROUTES, Endpoint, Parsed, find_hot
from .track.track_messages import (
    Answer,
    MalformedError,
    RefusalError,
    Request,
    json_answer,
    meta_error,
    split_path,
    v2_partly,
)
from .traffic_records import RequestRecord
from .views.control_api import control_api
from .views.control_messages import error_response
from .views.guard import Guard

_NOTHING = Parsed([], ())
_TRACK_URLS = {"us": "https://track.customer.io", "eu": "https://track-eu.customer.io"}


class Plan(NamedTuple):
    """A request that was read but not applied yet.

    Attributes:
        path: The path by which it is counted, with names in braces for identifiers.
        parsed: The operations.
        apply: Applies the operations and returns the answer.
        default_answer: Returns the API's answer of another status, for faults.
    """

    path: str
    parsed: Parsed
    apply: Callable[[], Answer]
    default_answer: Callable[[int, str], Answer]


class SandboxApp:
    """Serves the Track API, the App API and, below /_sandbox, the control endpoints."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._guard = Guard(sandbox.options.host, sandbox.options.allowed_host)

    @cached_property
    def _control_api(self) -> Starlette:
        # Its routes take longer to make than all the rest, and an in-process sandbox needs none.
        return control_api(self.sandbox)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        raw_path: str = scope["raw_path"].decode("latin-1")
        if raw_path.startswith("/_sandbox"):
            objection = self._guard.objection(scope["method"], scope["headers"])
            app = self._control_api if objection is None else error_response(objection, 403)
            await app(scope, receive, send)
        else:
            await self._serve(scope, raw_path, Connection(scope, receive, send))

    def answer(self, request: Request) -> Answer:
        """Answer a request that did not come over HTTP; faults and latency do not apply."""
        return self._plan(request).apply()

    async def _serve(self, scope: Scope, raw_path: str, connection: Connection) -> None:
        headers = dict(scope["headers"])
        query = scope["query_string"].decode("latin-1")
        try:
            body = await connection.body()
        except BodyTooLargeError:
            await connection.answer(meta_error(413, "the request is too large"))
            return
        request = Request(scope["method"], raw_path, query, headers, body)
        at = time.time()
        record = self.sandbox.requests.begin(at, request)
        self.sandbox.counts.arrived(at)
        plan = self._plan(request)
        record.operations = len(plan.parsed.operations)
        try:
            record.status = await self._exchange(request, plan, record, connection)
        finally:
            record.finished = time.time()
            self.sandbox.counts.left(plan.path, record.status)

    async def _exchange(
        self, request: Request, plan: Plan, record: RequestRecord, connection: Connection
    ) -> int | None:
        sandbox = self.sandbox
        if sandbox.settings.latency_s:
            await asyncio.sleep(sandbox.settings.latency_s)
        if sandbox.faults:
            for active in sandbox.faults.hitting(_traffic(request, plan.parsed)):
                record.fault = f"{active.fault.kind} (fault {active.id})"
                if active.fault.kind != "delay":
                    return await misbehave(active, connection, plan.apply, plan.default_answer)
                await pause(active, active.fault.seconds or 0)
        answer = plan.apply()
        record.status = answer.status
        await connection.answer(answer)
        return answer.status

    def _plan(self, request: Request) -> Plan:
        endpoint = find_hot(request.method, request.raw_path)
        if endpoint is not None:
            return self._track_plan(endpoint, request)
        request.segments = split_path(request.raw_path)
        try:
            if request.segments[:1] == ("v1",):
                return self._app_plan(APP_ROUTES.find(request.method, request.segments), request)
            return self._track_plan(ROUTES.find(request.method, request.segments), request)
        except UnknownEndpointError as unknown:
            return Plan("unknown", _NOTHING, partial(_not_found, unknown), meta_error)

    def _track_plan(self, endpoint: Endpoint, request: Request) -> Plan:
        try:
            parsed = endpoint.read(request, self.sandbox.settings.batch_operations)
            apply = partial(self._apply, endpoint, request, parsed)
        except MalformedError as malformed:
            parsed, apply = _NOTHING, partial(endpoint.refusal, 400, malformed)
        admitted = partial(self._admit, endpoint, request, apply)
        return Plan(endpoint.template, parsed, admitted, partial(_default_answer, endpoint))

    def _admit(self, endpoint: Endpoint, request: Request, apply: Callable[[], Answer]) -> Answer:
        """Check rate limit and credentials, then apply the operations."""
        settings = self.sandbox.settings
        if not self.sandbox.rate_limit.admit(settings.rate_limit):
            answer = _default_answer(endpoint, 429, "too many requests")
            if settings.retry_after is None:
                return answer
            return answer.with_headers((b"retry-after", settings.retry_after.encode()))
        authorization = request.headers.get(b"authorization", b"")
        if endpoint.needs_credentials and not self.sandbox.credentials.admit_track(authorization):
            return meta_error(401, "unauthorized")
        return apply()

    def _apply(self, endpoint: Endpoint, request: Request, parsed: Parsed) -> Answer:
        if endpoint is not REGION:
            refusals = self.sandbox.apply(_traffic(request, parsed), parsed, endpoint.template)
            return endpoint.answer(refusals)
        settings = self.sandbox.settings
        return json_answer(
            200,
            {
                "url": _TRACK_URLS[settings.region],
                "region": settings.region,
                "environment_id": settings.environment_id,
            },
        )

    def _app_plan(self, endpoint: AppEndpoint, request: Request) -> Plan:
        answer = partial(self._answer_app, endpoint, request)
        return Plan(endpoint.template, _NOTHING, answer, endpoint.default_answer)

    def _answer_app(self, endpoint: AppEndpoint, request: Request) -> Answer:
        """Check credentials and rate limit, then answer."""
        sandbox = self.sandbox
        if not sandbox.credentials.admit_app(request.headers.get(b"authorization", b"")):
            return empty(401)
        limit = sandbox.settings.app_rate_limit
        if endpoint.is_limited and not sandbox.app_rate_limit.admit(limit):
            return empty(429)
        return endpoint.answer(sandbox.state, request)


def _traffic(request: Request, parsed: Parsed) -> Traffic:
    return Traffic(request.method, request.raw_path, request.body, parsed.operations)


def _default_answer(endpoint: Endpoint, status: int, message: str) -> Answer:
    """Return the answer that the API would give with this status."""
    if status == 204:
        return Answer(204, b"", ())
    if status == 207 and endpoint.is_batch:
        return v2_partly([])
    if status < 300:
        return json_answer(status, {})
    if status in (401, 403):
        return meta_error(status, message)
    return endpoint.refusal(status, RefusalError("", message))


def _not_found(unknown: UnknownEndpointError) -> Answer:
    if not unknown.methods:
        return meta_error(404, "not found")
    answer = meta_error(405, "method not allowed")
    return answer.with_headers((b"allow", ", ".join(unknown.methods).encode()))
