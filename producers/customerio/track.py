"""The client. It enqueues what the official one sends."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

from trackrelay.errors import InvalidOperationError, TrackRelayError
from trackrelay.operations.operation import Operation
from trackrelay.operations.refused_operations import RefusedPayload

from . import request_operations, submission
from .client_base import CustomerIOException, translated
from .constants import CIOID, EMAIL, ID
from .empty_response import Answer
from .regions import Region, Regions
from .value_cleanup import as_sent, clean, whole_seconds

_site_id: Any = None


class CustomerIO:
    """Has the methods of the official client for the Track API. Each enqueues and returns at once.

    The shape of an identifier decides its kind, as in the Track API's v1: with an ``@`` it is an
    email address, with ``cio_`` a cio_id, else an id.

    Each method raises :class:`CustomerIOException` for what Customer.io would refuse, and if the
    queue does not take it. The exception is an :class:`~trackrelay.InvalidOperationError`,
    :class:`~trackrelay.QueueUnavailableError` or :class:`~trackrelay.QueueFullError` as well.

    Args:
        site_id: not used, like all other arguments: the worker has its own credentials and
            addresses.
        api_key: not used.
        host: part of ``base_url``, but not used for requests; so are region, port and url_prefix.
        region: see host.
        port: see host.
        url_prefix: see host.
        json_encoder: not used by the official client either.
        retries: not used.
        timeout: not used.
        backoff_factor: not used.
        use_connection_pooling: not used.
    """

    def __init__(
        self,
        site_id: Any = None,
        api_key: Any = None,
        host: str | None = None,
        region: Any = Regions.US,
        port: int | None = None,
        url_prefix: str | None = None,
        json_encoder: Any = None,
        retries: int = 3,
        timeout: float = 10,
        backoff_factor: float = 0.02,
        use_connection_pooling: bool = True,
    ) -> None:
        if not isinstance(region, Region):
            raise CustomerIOException("invalid region provided")
        if json_encoder is not None:
            warnings.warn(
                "json_encoder is not used, as in the official client",
                DeprecationWarning,
                stacklevel=2,
            )
        _warn_of_another_workspace(site_id)
        self.site_id, self.api_key = site_id, api_key
        self.host = host or region.track_host
        self.port = port or 443
        self.url_prefix = url_prefix or "/api/v1"
        self.retries, self.timeout, self.backoff_factor = retries, timeout, backoff_factor
        self.use_connection_pooling = use_connection_pooling
        self.setup_base_url()

    # ── people ────────────────────────────────────────────────────────────────────────────────────

    def identify(self, id: Any, **kwargs: Any) -> Answer:
        """Create or update a person. The keyword arguments are attributes."""
        _require(id, "id", "identify")
        return self.send_request("PUT", self.get_customer_query_string(id), kwargs)

    def delete(self, customer_id: Any) -> Answer:
        """Delete a person."""
        _require(customer_id, "customer_id", "delete")
        return self.send_request("DELETE", self.get_customer_query_string(customer_id), {})

    def suppress(self, customer_id: Any) -> Answer:
        """Delete a person and block the identifier."""
        _require(customer_id, "customer_id", "suppress")
        return self.send_request(
            "POST", f"{self.get_customer_query_string(customer_id)}/suppress", {}
        )

    def unsuppress(self, customer_id: Any) -> Answer:
        """Allow a suppressed identifier again."""
        _require(customer_id, "customer_id", "unsuppress")
        return self.send_request(
            "POST", f"{self.get_customer_query_string(customer_id)}/unsuppress", {}
        )

    def merge_customers(
        self, primary_id_type: str, primary_id: Any, secondary_id_type: str, secondary_id: Any
    ) -> Answer:
        """Merge the secondary person into the primary one. Customer.io cannot undo a merge."""
        kinds = {"primary": primary_id_type, "secondary": secondary_id_type}
        ids = {"primary": primary_id, "secondary": secondary_id}
        for which, kind in kinds.items():
            if not self.is_valid_id_type(kind):
                raise CustomerIOException(f"invalid {which} id type")
        for which, id in ids.items():
            _require(id, f"{which} customer_id")
        people = {which: {kinds[which]: ids[which]} for which in kinds}
        return self.send_request("POST", f"{self.base_url}/merge_customers", people)

    # ── events ────────────────────────────────────────────────────────────────────────────────────

    def track(
        self, customer_id: Any, name: Any, data: Any = None, id: Any = None, timestamp: Any = None
    ) -> Answer:
        """Send an event of a person."""
        _require(customer_id, "customer_id", "track")
        return self.send_request(
            "POST", self.get_event_query_string(customer_id), _event(name, data, id, timestamp)
        )

    def track_anonymous(
        self, anonymous_id: Any, name: Any, data: Any = None, id: Any = None, timestamp: Any = None
    ) -> Answer:
        """Send an event of an anonymous visitor.

        Without an anonymous_id it is an invite to ``data["recipient"]``.
        """
        event = _event(name, data, id, timestamp)
        if anonymous_id is not None and anonymous_id != "":
            event["anonymous_id"] = anonymous_id
        return self.send_request("POST", self.get_events_query_string(), event)

    def pageview(self, customer_id: Any, page: Any, **data: Any) -> Answer:
        """Send a page view of a person. The keyword arguments are its data."""
        _require(customer_id, "customer_id", "pageview")
        event = {"type": "page", "name": page, "data": data}
        return self.send_request("POST", self.get_event_query_string(customer_id), event)

    def backfill(self, customer_id: Any, name: Any, timestamp: Any, **data: Any) -> Answer:
        """Send a past event of a person. The keyword arguments are its data."""
        _require(customer_id, "customer_id", "backfill")
        try:
            when = whole_seconds(timestamp)
        except Exception as error:
            raise CustomerIOException(f"{timestamp} is not a valid timestamp ({error})") from error
        event = {"name": name, "data": data, "timestamp": when}
        return self.send_request("POST", self.get_event_query_string(customer_id), event)

    # ── devices ───────────────────────────────────────────────────────────────────────────────────

    def add_device(self, customer_id: Any, device_id: Any, platform: Any, **data: Any) -> Answer:
        """Add or update a device. The keyword arguments are ``last_used`` and ``attributes``."""
        for value, name in (
            (customer_id, "customer_id"),
            (device_id, "device_id"),
            (platform, "platform"),
        ):
            _require(value, name, "add_device")
        device = {**data, "id": device_id, "platform": platform}
        return self.send_request(
            "PUT", self.get_device_query_string(customer_id), {"device": device}
        )

    def delete_device(self, customer_id: Any, device_id: Any) -> Answer:
        """Remove a device."""
        for value, name in ((customer_id, "customer_id"), (device_id, "device_id")):
            _require(value, name, "delete_device")
        path = f"{self.get_device_query_string(customer_id)}/{_encoded(device_id)}"
        return self.send_request("DELETE", path, {})

    # ── several, and anything ─────────────────────────────────────────────────────────────────────

    def batch(self, operations: Any) -> Answer:
        """Enqueue operations of the API's v2. The response's ``errors`` name the refused ones.

        Args:
            operations: a list of operations, or the body of the request: ``{"batch": […]}``.
        """
        if isinstance(operations, Mapping):
            operations = operations.get("batch")
        if not operations:
            raise CustomerIOException("operations cannot be empty in batch")
        return self.send_request("POST", self._v2_address("batch"), {"batch": operations})

    def entity(self, operation: Any = None, **fields: Any) -> Answer:
        """Enqueue one operation of the API's v2: a dict or keyword arguments.

        The official client has no such method.
        """
        if not (operation or fields):
            raise CustomerIOException("operation cannot be empty in entity")
        return self.send_request(
            "POST", self._v2_address("entity"), {**(operation or {}), **fields}
        )

    def send_request(self, method: str, url: str, data: Any) -> Answer:
        """Enqueue the operations in a request to the Track API. All other methods call this one.

        Raises:
            CustomerIOException: Customer.io would refuse it, it cannot be enqueued, or the queue
                did not take it.
        """
        try:
            sent = as_sent(data)
            try:
                found = request_operations.read(method, url, sent)
            except InvalidOperationError as error:
                return _instead(error, method, url, sent)
            return Answer(submission.enqueue(found.operations), tuple(found.errors))
        except CustomerIOException:
            raise
        except TrackRelayError as error:
            raise translated(error) from error

    # ── addresses ─────────────────────────────────────────────────────────────────────────────────

    def setup_base_url(self) -> None:
        """Set ``base_url``."""
        self.host = self.host.partition("://")[2] or self.host
        port = "" if self.port == 443 else f":{self.port}"
        self.base_url = f"https://{self.host.strip('/')}{port}/{self.url_prefix.strip('/')}"

    def _v2_address(self, endpoint: str) -> str:
        port = "" if self.port == 443 else f":{self.port}"
        return f"https://{self.host}{port}/api/v2/{endpoint}"

    def get_customer_query_string(self, customer_id: Any) -> str:
        """Return the URL of a person."""
        return f"{self.base_url}/customers/{_encoded(customer_id)}"

    def get_event_query_string(self, customer_id: Any) -> str:
        """Return the URL for the events of a person."""
        return f"{self.get_customer_query_string(customer_id)}/events"

    def get_events_query_string(self) -> str:
        """Return the URL for anonymous events."""
        return f"{self.base_url}/events"

    def get_device_query_string(self, customer_id: Any) -> str:
        """Return the URL for the devices of a person."""
        return f"{self.get_customer_query_string(customer_id)}/devices"

    def is_valid_id_type(self, id_type: Any) -> bool:
        """Return whether a merge accepts this kind of identifier."""
        return id_type in {ID, EMAIL, CIOID}

    # ── context manager ───────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Do nothing: the client has no connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _instead(error: InvalidOperationError, method: str, url: str, sent: Any) -> Answer:
    """Apply ``on_invalid`` to a refused request."""
    if not error.parts:
        call = {"call": f"{method} {urlsplit(url).path}", "arguments": [sent]}
        error.parts = (RefusedPayload(call),)
    parts = submission.replacements(error)
    submission.enqueue([part for part in parts if isinstance(part, Operation)])
    return Answer(tuple(part.id for part in parts))


def _require(value: Any, what: str, method: str = "") -> None:
    if value is None or value == "":
        raise CustomerIOException(f"{what} cannot be blank{method and f' in {method}'}")


def _encoded(identifier: Any) -> str:
    return quote(str(identifier), safe="")


def _event(name: Any, data: Any, id: Any, timestamp: Any) -> dict[str, Any]:
    event = {"name": name, "data": clean(data or {})}
    if id is not None:
        event["id"] = id
    # An invalid time is ignored.
    with suppress(TypeError, ValueError, OverflowError):
        event["timestamp"] = whole_seconds(timestamp)
    return event


def _warn_of_another_workspace(site_id: Any) -> None:
    """Warn if two clients name different workspaces: the worker knows only one."""
    global _site_id
    if site_id and _site_id and site_id != _site_id:
        warnings.warn(
            "CustomerIO clients with two site_ids: both enqueue for the one workspace whose "
            "credentials the worker has",
            RuntimeWarning,
            stacklevel=3,
        )
    _site_id = site_id or _site_id
