"""The endpoints: where they are, who may call them, what they read, how they refuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from trackrelay.sandbox import published_limits
from trackrelay.sandbox.parsed_operations import DeletePerson, Operation, Suppress, Unsuppress

from . import v1, v2
from .parsed_request import Request
from .refusal import Malformed, Refused
from .track_answers import NO_CONTENT, OK, Answer, meta_error, meta_errors, v2_errors, v2_partly


class Told(NamedTuple):
    """What a request tells: an operation or the reason it is refused, and its JSON where v2 sent it."""

    operations: list[Operation | Refused]
    sources: Sequence[bytes]


class Endpoint(NamedTuple):
    """One operation of the description."""

    method: str
    template: str
    read: Callable[[Request, int], Told]
    #: The answer when everything is accepted.
    accepted: Answer = OK
    #: The answer when the request, or its only operation, is refused.
    refuse: Callable[[int, Any], Answer] = meta_errors
    needs_credentials: bool = True

    @property
    def is_v2(self) -> bool:
        """v2 refuses with fields and reasons, v1 with a sentence."""
        return self.refuse is v2_errors

    @property
    def is_batch(self) -> bool:
        """Only a batch can be refused in part."""
        return self.template == BATCH_PATH

    def refusal(self, status: int, refused: Refused) -> Answer:
        """The documented answer to a refused request."""
        return self.refuse(status, refused if self.is_v2 else _sentence(refused))

    def answer(self, refused: list[tuple[int, Refused]]) -> Answer:
        """The answer, given what was refused."""
        if not refused:
            return self.accepted
        return v2_partly(refused) if self.is_batch else self.refusal(400, refused[0][1])


def _sentence(refused: Refused) -> str:
    """v1 has no room for a field: refusals that name one were found by what it shares with v2."""
    return f"{refused.field} {refused.message}" if refused.field else refused.message


BATCH_PATH = "/api/v2/batch"
ENTITY_PATH = "/api/v2/entity"


class _Batch(msgspec.Struct):
    batch: list[msgspec.Raw]


_batch_decoder = msgspec.json.Decoder(_Batch)
_decode = msgspec.json.Decoder().decode


def _read_batch(request: Request, most_operations: int) -> Told:
    request.require_json_type()
    if len(request.body) >= published_limits.BATCH_BYTES:
        raise Malformed(
            "batch", f"the request must be smaller than {published_limits.BATCH_BYTES} bytes"
        )
    try:
        sources = [bytes(raw) for raw in _batch_decoder.decode(request.body).batch]
        # All of it is decoded before any of it counts: half a batch is no batch.
        documents = [_decode(source) for source in sources]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed("batch", f"the body is not a batch in valid JSON: {error}") from None
    if len(sources) > most_operations:
        raise Malformed("batch", f"a batch cannot have more than {most_operations} operations")
    return Told(
        [_read(document, len(source)) for document, source in zip(documents, sources, strict=True)],
        sources,
    )


def _read_entity(request: Request, _: int) -> Told:
    document = request.json()
    return Told([_read(document, len(request.body))], [request.body])


def _read(document: Any, size: int) -> Operation | Refused:
    try:
        if size > published_limits.OPERATION_BYTES:
            raise Refused(
                "", f"an operation cannot be larger than {published_limits.OPERATION_BYTES} bytes"
            )
        return v2.parse(document)
    except Refused as refused:
        return refused


def _one(read: Callable[[Request], Operation]) -> Callable[[Request, int], Told]:
    def read_one(request: Request, _: int) -> Told:
        try:
            return Told([read(request)], ())
        except Malformed:
            raise
        except Refused as refused:
            return Told([refused], ())

    return read_one


def _nothing(_: Request, __: int) -> Told:
    return Told([], ())


_CUSTOMER = "/api/v1/customers/{identifier}"
_SEGMENT = "/api/v1/segments/{segment_id}"

BATCH = Endpoint("POST", BATCH_PATH, _read_batch, refuse=v2_errors)
ENTITY = Endpoint("POST", ENTITY_PATH, _read_entity, refuse=v2_errors)
REGION = Endpoint("GET", "/api/v1/accounts/region", _nothing)

ENDPOINTS: tuple[Endpoint, ...] = (
    BATCH,
    ENTITY,
    REGION,
    Endpoint("PUT", _CUSTOMER, _one(v1.identify)),
    Endpoint("DELETE", _CUSTOMER, _one(v1.simple(DeletePerson, "delete"))),
    Endpoint("PUT", f"{_CUSTOMER}/devices", _one(v1.add_device)),
    Endpoint("DELETE", f"{_CUSTOMER}/devices/{{device_id}}", _one(v1.delete_device)),
    Endpoint("POST", f"{_CUSTOMER}/suppress", _one(v1.simple(Suppress, "suppress"))),
    Endpoint("POST", f"{_CUSTOMER}/unsuppress", _one(v1.simple(Unsuppress, "unsuppress"))),
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
