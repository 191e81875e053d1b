"""Which operations a request to the Track API stands for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.operation import Operation

from . import submission, v1_requests
from .client_base import CustomerIOException
from .leniency import operation

Read: TypeAlias = Callable[..., list[Operation]]

_CUSTOMER = "/customers/(?P<person>[^/]*)"
#: What follows the prefix ``/api/v1``, whatever that is set to.
_V1: tuple[tuple[str, str, Read], ...] = (
    ("PUT", _CUSTOMER, v1_requests.identify),
    ("DELETE", _CUSTOMER, v1_requests.bare("delete")),
    ("POST", f"{_CUSTOMER}/events", v1_requests.event),
    ("PUT", f"{_CUSTOMER}/devices", v1_requests.add_device),
    ("DELETE", f"{_CUSTOMER}/devices/(?P<token>[^/]*)", v1_requests.delete_device),
    ("POST", f"{_CUSTOMER}/suppress", v1_requests.bare("suppress")),
    ("POST", f"{_CUSTOMER}/unsuppress", v1_requests.bare("unsuppress")),
    ("POST", "/push/events", v1_requests.push_metric),
    ("POST", "/events", v1_requests.anonymous_event),
    ("POST", "/merge_customers", v1_requests.merge),
    ("POST", "/segments/(?P<segment>[^/]*)/add_customers", v1_requests.segment("add")),
    ("POST", "/segments/(?P<segment>[^/]*)/remove_customers", v1_requests.segment("remove")),
    ("POST", "/forms/(?P<form>[^/]*)/submit", v1_requests.form),
    ("POST", "/metrics", v1_requests.metric),
    ("POST", "/unsubscribe/(?P<delivery>[^/]*)", v1_requests.unsubscribe),
)
_ROUTES = tuple((method, re.compile(f"(?:/.*)?{path}"), read) for method, path, read in _V1)


@dataclass(frozen=True, slots=True)
class Told:
    """What a request tells: operations, and the API's words for those that it would refuse."""

    operations: list[Operation]
    errors: list[dict[str, Any]] = field(default_factory=list)


def read(method: str, url: str, data: Mapping[str, Any]) -> Told:
    """The operations of a request.

    Args:
        url: the whole of it, or its path; identifiers in it percent-encoded.
        data: the decoded body.

    Raises:
        InvalidOperationError: Customer.io would refuse it. In a batch the API refuses one by one, see :attr:`Told.errors`.
        CustomerIOException: there is no such request, or none that could be told later.
    """
    parts = urlsplit(url)
    if parts.path.endswith("/api/v2/batch"):
        return _batch(data.get("batch"))
    if parts.path.endswith("/api/v2/entity"):
        return Told([operation(data)])
    for verb, path, made in _ROUTES:
        if verb == method.upper() and (match := path.fullmatch(parts.path)):
            named = {name: unquote(value) for name, value in match.groupdict().items()}
            asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            return Told(made(data, **named, **asked))
    raise CustomerIOException(f"{method} {_shown(parts.path)} is no request that can be enqueued")


def _batch(operations: Any) -> Told:
    if not isinstance(operations, list):
        raise InvalidOperationError(
            "batch must be a list of operations",
            field="batch",
            limit="a list of operations",
            actual="something else",
        )
    told = Told([])
    for index, document in enumerate(operations):
        try:
            told.operations.append(operation(document))
        except InvalidOperationError as error:
            # As the API does: the rest of the batch is accepted, and what was not is in the answer.
            told.operations.extend(submission.instead_in_batch(error, index))
            told.errors.append(
                {
                    "batch_index": index,
                    "reason": "invalid",
                    "field": error.field,
                    "message": str(error),
                }
            )
    return told


def _shown(path: str) -> str:
    # Not what follows: it may name somebody.
    return "/".join(path.split("/")[:4])
