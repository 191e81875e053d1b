"""Telling the sandbox to misbehave, and to stop."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from trackrelay.sandbox.core import Sandbox
from trackrelay.sandbox.faults.fault import Fault, fault_from

from .view_http import document, shown, wrong


class Control:
    """Faults, outage, credentials, settings, reset."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def faults(self, request: Request) -> Response:
        """POST adds a fault, GET lists them, DELETE ends them all."""
        if request.method == "POST":
            return await self._add(request, fault_from, outage=False)
        if request.method == "DELETE":
            self._sandbox.faults.delete_all()
            return shown({})
        return shown({"faults": self._sandbox.faults.view()})

    async def fault(self, request: Request) -> Response:
        """DELETE ends one fault."""
        number = str(request.path_params["number"])[:20]
        known = number.isascii() and number.isdigit() and self._sandbox.faults.delete(int(number))
        return shown({}) if known else wrong(f"there is no fault {number}", 404)

    async def outage(self, request: Request) -> Response:
        """POST: nothing works until DELETE."""
        if request.method == "POST":
            return await self._add(request, _outage, outage=True)
        self._sandbox.faults.delete_all(outages_only=True)
        return shown({})

    async def _add(self, request: Request, read: Any, outage: bool) -> Response:
        try:
            fault: Fault = read(await document(request))
        except ValueError as error:
            return wrong(str(error))
        return shown({"id": self._sandbox.faults.add(fault, outage)}, 201)

    async def credentials(self, request: Request) -> Response:
        """PUT changes keys: those before are refused from now on."""
        try:
            changes = await document(request)
        except ValueError as error:
            return wrong(str(error))
        known = {"site_id", "api_key", "app_api_key"}
        if not changes.keys() <= known:
            return wrong(f"credentials are an object with some of {', '.join(sorted(known))}")
        for name, value in changes.items():
            setattr(self._sandbox.credentials, name, str(value)[:1_000])
        return shown({})

    async def settings(self, request: Request) -> Response:
        """GET shows them, PUT changes some."""
        if request.method == "PUT":
            try:
                self._sandbox.change_settings(await document(request))
            except ValueError as error:
                return wrong(str(error))
        return shown(msgspec.to_builtins(self._sandbox.settings))

    async def delivery(self, request: Request) -> Response:
        """PUT says to whom a message went, so that an unsubscribe finds them."""
        try:
            person = (await document(request)).get("person")
        except ValueError as error:
            return wrong(str(error))
        if not isinstance(person, str):
            return wrong('say to whom it went: {"person": "id:42"}')
        self._sandbox.workspace.state.deliveries.of(
            request.path_params["delivery_id"]
        ).person_key = person
        return shown({})

    async def reset(self, request: Request) -> Response:
        """POST: as just started."""
        self._sandbox.reset()
        return shown({})


def _outage(asked: dict[str, Any]) -> Fault:
    return fault_from({"kind": "status", "message": "the sandbox plays an outage", **asked})
