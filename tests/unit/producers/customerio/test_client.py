"""The drop-in has the official client's surface, and raises the same exceptions before it sends."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import customerio  # type: ignore[import-untyped]
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import trackrelay
from trackrelay import InvalidOperationError, Operation, QueueUnavailableError
from trackrelay.customerio import (
    CustomerIO,
    CustomerIOException,
    Regions,
    enqueue_through,
    request_operations,
    track,
)
from trackrelay.queue.append import Entry
from trackrelay.worker.devstack.servers import ports

#: Connections, which the drop-in has none of.
WITHOUT_COUNTERPART = {"http"}


@pytest.fixture
def enqueued() -> list[Operation]:
    """What was enqueued."""
    trackrelay.configure(backend="memory")
    return trackrelay.default.default_producer().backend.operations  # type: ignore[attr-defined,no-any-return]


@pytest.fixture
def cio(enqueued: list[Operation]) -> CustomerIO:
    """A drop-in client, on the memory backend."""
    return CustomerIO("site", "key")


def public(cls: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(cls) if not name.startswith("_")} | {"__init__"}


def shape(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    return [
        (each.name, each.kind, each.default)
        for each in inspect.signature(function).parameters.values()
    ]


def test_every_method_of_the_installed_official_client_is_there_with_the_same_parameters() -> None:
    official = public(customerio.CustomerIO) - WITHOUT_COUNTERPART
    assert official <= public(CustomerIO)
    for name in official:
        assert shape(getattr(CustomerIO, name)) == shape(getattr(customerio.CustomerIO, name)), name


def test_everything_the_official_package_exports_can_be_imported_from_here() -> None:
    for name in customerio.__all__:
        assert getattr(trackrelay.customerio, name) is not None
    for module in ("constants", "regions", "client_base", "track"):
        theirs, ours = (
            __import__(f"{package}.{module}", fromlist=["x"])
            for package in ("customerio", "trackrelay.customerio")
        )
        their_own = [
            name
            for name, value in vars(theirs).items()
            if "customerio" in getattr(value, "__module__", "")
        ]
        missing = {
            name for name in their_own if not name.startswith("_") and not hasattr(ours, name)
        }
        assert missing <= {"ClientBase", "TCPKeepAliveHTTPAdapter"}


def test_what_is_shared_is_the_official_packages_own() -> None:
    assert CustomerIOException is customerio.CustomerIOException
    assert Regions is customerio.Regions
    assert trackrelay.customerio.APIClient is customerio.APIClient
    with pytest.raises(ImportError, match="nonsense"):
        from trackrelay.customerio import nonsense  # noqa: F401


#: Calls that the official client refuses itself.
REFUSED: list[tuple[str, tuple[Any, ...]]] = [
    *(("identify", (blank,)) for blank in (None, "")),
    ("track", (None, "x")),
    ("track", ("1", "x", [1])),
    ("track", ("1", "x", "text")),
    ("pageview", ("", "x")),
    ("backfill", (None, "x", 1)),
    ("backfill", ("1", "x", "soon")),
    ("backfill", ("1", "x", None)),
    ("backfill", ("1", "x", float("inf"))),
    ("delete", (None,)),
    ("add_device", (None, "t", "ios")),
    ("add_device", ("1", "", "ios")),
    ("add_device", ("1", "t", None)),
    ("delete_device", ("", "t")),
    ("delete_device", ("1", None)),
    ("suppress", (None,)),
    ("unsuppress", ("",)),
    ("merge_customers", ("phone", "1", "id", "2")),
    ("merge_customers", ("id", "1", "cioid", "2")),
    ("merge_customers", ("id", "", "id", "2")),
    ("merge_customers", ("id", "1", "id", None)),
    ("batch", ([],)),
    ("batch", (None,)),
]


@pytest.mark.parametrize(("method", "arguments"), REFUSED)
def test_what_the_official_client_refuses_itself_raises_the_same(
    cio: CustomerIO, enqueued: list[Operation], method: str, arguments: tuple[Any, ...]
) -> None:
    with pytest.raises(Exception) as theirs:  # noqa: PT011 - whatever it is
        getattr(customerio.CustomerIO("site", "key", host="127.0.0.1", port=9), method)(*arguments)
    with pytest.raises(type(theirs.value)) as ours:
        getattr(cio, method)(*arguments)
    assert str(ours.value) == str(theirs.value)
    assert type(ours.value) is type(theirs.value)
    assert enqueued == []


@pytest.mark.parametrize(
    "value", [Decimal("1.5"), {1}, b"x", date(2026, 1, 1), uuid4(), float("inf"), object()]
)
def test_what_the_official_client_cannot_put_on_the_wire_raises_its_exception(
    cio: CustomerIO, value: Any
) -> None:
    with pytest.raises(customerio.CustomerIOException):
        customerio.CustomerIO("site", "key", host="127.0.0.1", port=9).identify("1", plan=value)
    with pytest.raises(CustomerIOException, match="cannot be sent as JSON"):
        cio.identify("1", plan=value)


def test_what_customerio_would_refuse_raises_at_the_call_and_says_which_limit(
    cio: CustomerIO,
) -> None:
    with pytest.raises(CustomerIOException, match="1,000") as raised:
        cio.identify("1", bio="x" * 1_500)
    assert isinstance(raised.value, InvalidOperationError)
    assert raised.value.field == "attributes.bio"
    with pytest.raises(CustomerIOException, match="blank"):
        cio.track("1", " ")


def test_a_queue_that_is_away_raises_the_exception_that_callers_catch() -> None:
    trackrelay.configure(redis_url=f"redis://127.0.0.1:{ports.free_port()}/0")
    with pytest.raises(CustomerIOException) as raised:
        CustomerIO("site", "key").track("1", "seen")
    assert isinstance(raised.value, QueueUnavailableError)
    assert raised.value.job_id


def test_the_exception_has_all_of_a_batch_that_is_not_enqueued(
    cio: CustomerIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def append(entries: Sequence[Entry], lane: str) -> None:
        if taken:
            raise QueueUnavailableError("gone", entries[0].operation)
        taken.append(len(entries))

    monkeypatch.setattr(trackrelay.default.default_producer().backend, "append", append)
    event = {"type": "person", "action": "event", "identifiers": {"id": "1"}, "name": "seen"}
    with pytest.raises(
        CustomerIOException, match=r"gone \(700 jobs, after 500 that were enqueued\)$"
    ) as raised:
        cio.batch([event] * 1_200)
    assert isinstance(raised.value, QueueUnavailableError)
    assert (taken, len(raised.value.operations), raised.value.enqueued_before) == ([500], 700, 500)


def test_a_client_without_a_queue_setting_raises_the_same_error_and_names_the_setting() -> None:
    with pytest.raises(CustomerIOException, match="TRACKRELAY_REDIS_URL"):
        CustomerIO("site", "key").track("1", "seen")


@pytest.mark.parametrize(
    ("identifier", "key"),
    [
        ("5", "id:5"),
        (5, "id:5"),
        ("Ada@Example.com", "email:ada@example.com"),
        ("cio_03ff", "cio_id:03ff"),
    ],
)
def test_the_form_of_an_identifier_decides_its_kind(
    cio: CustomerIO, enqueued: list[Operation], identifier: Any, key: str
) -> None:
    cio.identify(identifier, plan="pro")
    assert enqueued[0].keys == (key,)


@pytest.mark.parametrize("identifier", [".", "..", " ", "no@domain"])
def test_identifiers_that_would_name_another_person_are_refused(
    cio: CustomerIO, identifier: str
) -> None:
    with pytest.raises(CustomerIOException):
        cio.delete(identifier)


def test_the_answer_names_the_jobs_and_reads_like_the_apis(
    cio: CustomerIO, enqueued: list[Operation]
) -> None:
    answer = cio.track("5", "bought", {"total": 1})
    assert (answer.status_code, answer.ok, answer.json()) == (200, True, {})
    assert answer.job_ids == tuple(operation.id for operation in enqueued)


def test_a_long_batch_is_enqueued_whole(cio: CustomerIO, enqueued: list[Operation]) -> None:
    made = [
        {"type": "person", "action": "delete", "identifiers": {"id": str(number)}}
        for number in range(1_200)
    ]
    assert len(cio.batch(made).job_ids) == len(enqueued) == 1_200


#: Values of any type in place of a value of a request.
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", " ", "5", "a@b.co", "identify", "person"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["id", "email", "topics", "token", "identifiers", "relationships"]),
            inner,
            max_size=2,
        )
    ),
    max_leaves=4,
)
FIELDS = st.sampled_from(
    [
        "type",
        "action",
        "identifiers",
        "attributes",
        "name",
        "id",
        "timestamp",
        "device",
        "cio_relationships",
        "primary",
        "secondary",
        "batch",
        "data",
        "ids",
        "delivery_id",
        "metric",
        "event",
        "anonymous_id",
        "email",
        "cio_subscription_preferences",
        "unsubscribe",
        "_timestamp",
    ]
)
PATHS = [
    (method, path.replace("(?P<", "").replace(">[^/]*)", ""))
    for method, path, _ in request_operations._V1
]
V2 = [("POST", "/api/v2/entity"), ("POST", "/api/v2/batch")]


@example(("POST", "/api/v2/batch"), {"batch": 5}, {})
@example(
    ("POST", "/api/v2/entity"),
    {},
    {"action": "identify", "identifiers": 5, "attributes": {"email": "x"}},
)
@example(("POST", "/forms/form/submit"), {"data": "x"}, {})
@given(
    st.sampled_from([*PATHS, *V2]),
    st.dictionaries(FIELDS, JUNK, max_size=4),
    st.dictionaries(FIELDS, JUNK, max_size=4),
)
@settings(max_examples=3 * settings.default.max_examples)
def test_no_request_raises_anything_but_the_exception_that_callers_catch(
    request: tuple[str, str], outer: dict[str, Any], inner: dict[str, Any]
) -> None:
    trackrelay.configure(backend="off")
    method, path = request
    likely = {"type": "person", "identifiers": {"id": "5"}, **inner}
    for body in (outer, {"device": inner}, {"data": inner}, likely, {"batch": [outer, likely]}):
        with suppress(CustomerIOException):
            CustomerIO("site", "key").send_request(
                method, f"https://track.customer.io/api/v1{path}", body
            )


def test_a_request_that_cannot_be_told_later_says_so_and_names_nobody(cio: CustomerIO) -> None:
    with pytest.raises(CustomerIOException, match="GET /api/v1/customers is no request"):
        cio.send_request("GET", f"{cio.base_url}/customers/ada%40example.com/activities", {})


def test_operations_can_be_sent_another_way(cio: CustomerIO, enqueued: list[Operation]) -> None:
    pipeline = trackrelay.Pipeline()
    pipeline.enqueue_all = pipeline._submit  # type: ignore[attr-defined]
    enqueue_through(lambda: pipeline)  # type: ignore[arg-type,return-value]
    try:
        cio.track("5", "bought")
    finally:
        enqueue_through(None)
    assert (len(pipeline.operations), enqueued) == (1, [])


def test_two_workspaces_in_one_process_are_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track, "_site_id", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CustomerIO("one", "key")
        CustomerIO("one", "key")
    with pytest.warns(RuntimeWarning, match="two site_ids"):
        CustomerIO("two", "key")


def test_a_client_made_the_old_way_is_a_context_manager_and_keeps_what_it_was_given() -> None:
    with pytest.warns(DeprecationWarning, match="json_encoder"):
        client = CustomerIO(
            "site", "key", host="https://example.com/", port=8443, json_encoder=object
        )
    official = customerio.CustomerIO("site", "key", host="https://example.com/", port=8443)
    with client as inside:
        assert inside.base_url == official.base_url
        assert inside.get_device_query_string("a/b") == official.get_device_query_string("a/b")


def test_a_time_before_python_knew_zones_is_utc(cio: CustomerIO, enqueued: list[Operation]) -> None:
    cio.track("5", "bought", {"at": datetime(2026, 1, 1)})
    assert b'"at":1767225600' in enqueued[0].body
