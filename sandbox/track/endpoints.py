"""The endpoints of the Track API: paths, readers, refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from trackrelay.sandbox import published_limits
from trackrelay.sandbox.parsed_operations import Operation
from trackrelay.sandbox.routes import Routes
from trackrelay.sandbox.workspace.person_operations import DeletePerson, Suppress, Unsuppress

from . import v1, v2
from .track_messages import (
    NO_CONTENT,
    OK,
    Answer,
    MalformedError,
    RefusalError,
    Request,
    meta_error,
    meta_errors,
    v2_errors,
    v2_partly,
)


class Parsed(NamedTuple):
    """What a request asks for.

    Attributes:
        operations: Each operation, or why it is refused.
        sources: The JSON of each operation; empty for v1.
    """

    operations: list[Operation | RefusalError]
    sources: Sequence[bytes]


class Endpoint(NamedTuple):
    """One endpoint of the description."""

    method: str
    template: str
    read: Callable[[Request, int], Parsed]
    #: The answer if everything is accepted.
    accepted: Answer = OK
    #: Builds the answer if the request, or its only operation, is refused.
    refuse: Callable[[int, Any], Answer] = meta_errors
    needs_credentials: bool = True

    @property
    def is_batch(self) -> bool:
        """Whether some operations can be accepted while others are refused."""
        return self.template == BATCH_PATH

    def refusal(self, status: int, refusal: RefusalError) -> Answer:
        """Return the documented answer to a refused request."""
        if self.refuse is v2_errors:
            return self.refuse(status, refusal)
        # v1 has no place for a field. Only the checks that v1 shares with v2 name one.
        field = f"{refusal.field} " if refusal.field else ""
        return self.refuse(status, field + refusal.message)

    def answer(self, refusals: list[tuple[int, RefusalError]]) -> Answer:
        """Return the answer, given the refusals by the index of their operation."""
        if not refusals:
            return self.accepted
        return v2_partly(refusals) if self.is_batch else self.refusal(400, refusals[0][1])


BATCH_PATH = "/api/v2/batch"


class _Batch(msgspec.Struct):
    batch: list[msgspec.Raw]


_batch_decoder = msgspec.json.Decoder(_Batch)
_decode = msgspec.json.Decoder().decode


def _read_batch(request: Request, max_operations: int) -> Parsed:
    request.require_json_type()
    if len(request.body) >= published_limits.BATCH_BYTES:
        raise MalformedError(
            "batch", f"the request must be smaller than {published_limits.BATCH_BYTES} bytes"
        )
    try:
        sources = [bytes(raw) for raw in _batch_decoder.decode(request.body).batch]
        # Decode all operations before any takes effect: an invalid batch is refused as a whole.
        documents = [_decode(source) for source in sources]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedError("batch", f"the body is not a batch in valid JSON: {error}") from None
    if len(sources) > max_operations:
        raise MalformedError("batch", f"a batch cannot have more than {max_operations} operations")
    return Parsed(
        [_read(document, len(source)) for document, source in zip(documents, sources, strict=True)],
        sources,
    )


def _read_entity(request: Request, _: int) -> Parsed:
    document = request.json()
    return Parsed([_read(document, len(request.body))], [request.body])


def _read(document: Any, size: int) -> Operation | RefusalError:
    try:
        if size > published_limits.OPERATION_BYTES:
            raise RefusalError(
                "", f"an operation cannot be larger than {published_limits.OPERATION_BYTES} bytes"
            )
        return v2.parse(document)
    except RefusalError as refusal:
        return refusal


def _one(read: Callable[[Request], Operation]) -> Callable[[Request, int], Parsed]:
    def read_one(request: Request, _: int) -> Parsed:
        try:
            return Parsed([read(request)], ())
        except MalformedError:
            raise
        except RefusalError as refusal:
            return Parsed([refusal], ())

    return read_one


def _nothing(_: Request, __: int) -> Parsed:
    return Parsed([], ())


_CUSTOMER = "/api/v1/customers/{identifier}"
_SEGMENT = "/api/v1/segments/{segment_id}"

BATCH = Endpoint("POST", BATCH_PATH, _read_batch, refuse=v2_errors)
ENTITY = Endpoint("POST", "/api/v2/entity", _read_entity, refuse=v2_errors)
REGION = Endpoint("GET", "/api/v1/accounts/region", _nothing)

ENDPOINTS: tuple[Endpoint, ...] = (
    BATCH,
    ENTITY,
    REGION,
    Endpoint("PUT", _CUSTOMER, _one(v1.identify)),
    Endpoint("DELETE", _CUSTOMER, _one(v1.simple(DeletePerson))),
    Endpoint("PUT", f"{_CUSTOMER}/devices", _one(v1.add_device)),
    Endpoint("DELETE", f"{_CUSTOMER}/devices/{{device_id}}", _one(v1.delete_device)),
    Endpoint("POST", f"{_CUSTOMER}/suppress", _one(v1.simple(Suppress))),
    Endpoint("POST", f"{_CUSTOMER}/unsuppress", _one(v1.simple(Unsuppress))),
    Endpoint("POST", f"{_CUSTOMER}/events", _one(v1.event)),
    Endpoint("POST", "/api/v1/events", _one(v1.anonymous_event)),
    Endpoint("POST", "/api/v1/forms/{form_id}/submit", _one(v1.submit_form), accepted=NO_CONTENT),
    Endpoint("POST", "/api/v1/merge_customers", _one(v1.merge), refuse=meta_error),
    Endpoint("POST", f"{_SEGMENT}/add_customers", _one(v1.change_segment(remove=False))),
    Endpoint("POST", f"{_SEGMENT}/remove_customers", _one(v1.change_segment(remove=True))),
    Endpoint("POST", "/api/v1/metrics", _one(v1.metric), needs_credentials=False),
    Endpoint("POST", "/api/v1/push/events", _one(v1.push_metric), needs_credentials=False),
    Endpoint("POST", "/unsubscribe/{delivery_id}", _one(v1.unsubscribe), needs_credentials=False),
)

ROUTES = Routes(ENDPOINTS)
#: Nearly all traffic goes to these: they are found by the raw path.
_HOT = {("POST", endpoint.template): endpoint for endpoint in (BATCH, ENTITY)}


def find_hot(method: str, raw_path: str) -> Endpoint | None:
    """Return the v2 endpoint with exactly this path, if there is one."""
    return _HOT.get((method, raw_path))
