"""The operations in a request to the Track API."""

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
#: The paths after the prefix ``/api/v1``, which a client can change.
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
class RequestOperations:
    """The operations in a request, and the API's errors for those that it would refuse."""

    operations: list[Operation]
    errors: list[dict[str, Any]] = field(default_factory=list)


def read(method: str, url: str, data: Mapping[str, Any]) -> RequestOperations:
    """Return the operations in a request.

    Args:
        method: the HTTP method.
        url: the URL or its path, with percent-encoded identifiers.
        data: the decoded body.

    Raises:
        InvalidOperationError: Customer.io would refuse it. For a batch see
            :attr:`RequestOperations.errors`.
        CustomerIOException: there is no such request, or it cannot be enqueued.
    """
    parts = urlsplit(url)
    if parts.path.endswith("/api/v2/batch"):
        return _batch(data.get("batch"))
    if parts.path.endswith("/api/v2/entity"):
        return RequestOperations([operation(data)])
    for verb, path, made in _ROUTES:
        if verb == method.upper() and (match := path.fullmatch(parts.path)):
            named = {name: unquote(value) for name, value in match.groupdict().items()}
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            return RequestOperations(made(data, **named, **query))
    raise CustomerIOException(f"{method} {_shown(parts.path)} is no request that can be enqueued")


def _batch(operations: Any) -> RequestOperations:
    if not isinstance(operations, list):
        raise InvalidOperationError(
            "batch must be a list of operations",
            field="batch",
            limit="a list of operations",
            actual="something else",
        )
    found = RequestOperations([])
    for index, document in enumerate(operations):
        try:
            found.operations.append(operation(document))
        except InvalidOperationError as error:
            # Like the API: the rest of the batch is accepted, and the response has the errors.
            found.operations.extend(submission.replacements_in_batch(error, index))
            found.errors.append(
                {
                    "batch_index": index,
                    "reason": "invalid",
                    "field": error.field,
                    "message": str(error),
                }
            )
    return found


def _shown(path: str) -> str:
    # Without the rest, which may name a person.
    return "/".join(path.split("/")[:4])
