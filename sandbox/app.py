"""The ASGI application: from a request to its effects and its answer, or to what a fault makes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from .app_api.app_answers import answer_app
from .connection import Connection, Receive, Scope, Send, TooLarge
from .core import Sandbox
from .faults.fault_book import Entry, Traffic
from .faults.misbehaviour import Misbehaviour, pause
from .recording.request_log import RequestRecord
from .track import track_routes
from .track.endpoints import REGION, Endpoint, Told
from .track.parsed_request import Request, segments
from .track.refusal import Malformed, Refused
from .track.track_answers import Answer, json_answer, meta_error, v2_partly
from .views.guard import Guard
from .views.view_http import wrong
from .views.view_routes import views

_NOTHING = Told([], ())
_TRACK_URLS = {"us": "https://track.customer.io", "eu": "https://track-eu.customer.io"}


class Plan(NamedTuple):
    """What a request asks for: read, but not carried out."""

    #: The path without what varies in it, to count by.
    path: str
    told: Told
    answer: Callable[[], Answer]
    #: The API's answer of a status, should a fault ask for one.
    usual: Callable[[int, str], Answer]


class SandboxApp:
    """Serves the Track API, the App API and, below /_sandbox, itself."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._views = views(sandbox)
        self._guard = Guard(sandbox.options.host, sandbox.options.allowed_host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        raw_path: str = scope["raw_path"].decode("latin-1")
        if raw_path.startswith("/_sandbox"):
            objection = self._guard.objection(scope["method"], scope["headers"])
            await (self._views if objection is None else wrong(objection, 403))(
                scope, receive, send
            )
        else:
            await self._serve(scope, raw_path, Connection(scope, receive, send))

    def answer(self, request: Request) -> Answer:
        """The answer to a request that did not come over HTTP; faults and latency are of the network, and not here."""
        return self._plan(request).answer()

    async def _serve(self, scope: Scope, raw_path: str, connection: Connection) -> None:
        headers = dict(scope["headers"])
        query = scope["query_string"].decode("latin-1")
        try:
            body = await connection.body()
        except TooLarge:
            await connection.answer(meta_error(413, "the request is too large"))
            return
        request = Request(scope["method"], raw_path, query, headers, body)
        at = time.time()
        record = self.sandbox.requests.begin(at, request.method, raw_path, query, headers, body)
        self.sandbox.counts.arrived(at)
        plan = self._plan(request)
        record.operations = len(plan.told.operations)
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
        for entry in self._struck(request, plan):
            record.fault = f"{entry.fault.kind} (fault {entry.id})"
            if entry.fault.kind != "delay":
                return await Misbehaviour(entry, connection, plan.answer, plan.usual).perform()
            await pause(entry, entry.fault.seconds or 0)
        answer = plan.answer()
        record.status = answer.status
        await connection.answer(answer)
        return answer.status

    def _struck(self, request: Request, plan: Plan) -> list[Entry]:
        if not self.sandbox.faults:
            return []
        return self.sandbox.faults.striking(_traffic(request, plan.told))

    def _plan(self, request: Request) -> Plan:
        endpoint = track_routes.hot(request.method, request.raw_path)
        if endpoint is not None:
            return self._track_plan(endpoint, request)
        request.segments = segments(request.raw_path)
        if request.segments[:1] == ("v1",):
            return Plan("/v1/…", _NOTHING, partial(self._answer_app, request), meta_error)
        try:
            return self._track_plan(track_routes.find(request.method, request.segments), request)
        except track_routes.Unknown as unknown:
            return Plan("unknown", _NOTHING, partial(_not_found, unknown), meta_error)

    def _track_plan(self, endpoint: Endpoint, request: Request) -> Plan:
        usual = partial(_usual, endpoint)
        try:
            told = endpoint.read(request, self.sandbox.settings.batch_operations)
        except Malformed as malformed:
            refusal = partial(endpoint.refusal, 400, malformed)
            return Plan(
                endpoint.template, _NOTHING, partial(self._gated, endpoint, request, refusal), usual
            )
        carry_out = partial(self._carry_out, endpoint, request, told)
        return Plan(
            endpoint.template, told, partial(self._gated, endpoint, request, carry_out), usual
        )

    def _gated(self, endpoint: Endpoint, request: Request, inner: Callable[[], Answer]) -> Answer:
        settings = self.sandbox.settings
        if not self.sandbox.rate_limit.admit(settings.rate_limit):
            return _too_many(_usual(endpoint, 429, "too many requests"), settings.retry_after)
        authorization = request.headers.get(b"authorization", b"")
        if endpoint.needs_credentials and not self.sandbox.credentials.admit_track(authorization):
            return meta_error(401, "unauthorized")
        return inner()

    def _carry_out(self, endpoint: Endpoint, request: Request, told: Told) -> Answer:
        if endpoint is REGION:
            return self._region()
        refused = self.sandbox.carry_out(_traffic(request, told), told, endpoint.template)
        return endpoint.answer(refused)

    def _region(self) -> Answer:
        settings = self.sandbox.settings
        url = _TRACK_URLS[settings.region]
        return json_answer(
            200, {"url": url, "region": settings.region, "environment_id": settings.environment_id}
        )

    def _answer_app(self, request: Request) -> Answer:
        if not self.sandbox.credentials.admit_app(request.headers.get(b"authorization", b"")):
            return meta_error(401, "unauthorized")
        return answer_app(self.sandbox.workspace.state, request)


def _traffic(request: Request, told: Told) -> Traffic:
    return Traffic(request.method, request.raw_path, request.body, told.operations)


def _usual(endpoint: Endpoint, status: int, message: str) -> Answer:
    if status == 204:
        return Answer(204, b"", ())
    if status == 207 and endpoint.is_batch:
        return v2_partly([])
    if status < 300:
        return json_answer(status, {})
    if status in (401, 403):
        return meta_error(status, message)
    return endpoint.refusal(status, Refused("", message))


def _too_many(answer: Answer, retry_after: str | None) -> Answer:
    if retry_after is None:
        return answer
    return answer._replace(headers=(*answer.headers, (b"retry-after", retry_after.encode())))


def _not_found(unknown: track_routes.Unknown) -> Answer:
    if not unknown.methods:
        return meta_error(404, "not found")
    answer = meta_error(405, "method not allowed")
    return answer._replace(
        headers=(*answer.headers, (b"allow", ", ".join(unknown.methods).encode()))
    )
