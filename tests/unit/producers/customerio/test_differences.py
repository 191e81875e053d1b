"""Where the drop-in is stricter than the official client, against many calls and the guide."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import customerio  # type: ignore[import-untyped]
import pytest
import requests
from requests.adapters import BaseAdapter

import trackrelay
from tests.support.official_calls import NAMES, calls
from trackrelay import InvalidOperationError
from trackrelay.customerio import CustomerIO
from trackrelay.sandbox.in_process import InProcessSandbox

GUIDE = Path(__file__).resolve().parents[4] / "docs" / "how-to" / "migrating-from-customerio.md"
SECTION = "## Calls that are refused here"


class Tap(BaseAdapter):
    """Answers in place of Customer.io, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[requests.PreparedRequest] = []

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        self.sent.append(request)
        answer = requests.Response()
        answer.status_code, answer._content, answer.url = 200, b"{}", str(request.url)
        return answer

    def close(self) -> None:
        """Nothing to close."""


class Outcome(NamedTuple):
    """What became of one call with each client."""

    #: Whether the official client sent anything.
    sent: bool
    #: Whether the sandbox takes what it sent.
    taken: bool
    #: What the drop-in refuses about it, in a form that is the same for all values; None: nothing.
    refused: str | None


@pytest.fixture(autouse=True)
def _queue() -> Iterator[None]:
    trackrelay.configure(backend="memory")
    yield
    trackrelay.configure()


def outcome(call: str) -> Outcome:
    """Make one call with both clients."""
    code = compile(call, "<call>", "eval")
    official, tap = customerio.CustomerIO("site", "key", retries=0), Tap()
    official.http.mount("https://", tap)
    # Or requests reads the environment for each call.
    official.http.trust_env = False
    try:
        eval(code, NAMES | {"cio": official})
    except Exception:
        assert not tap.sent, call
    return Outcome(bool(tap.sent), any(map(is_taken, tap.sent)), refusal(code))


def is_taken(request: requests.PreparedRequest) -> bool:
    """Return whether the sandbox takes the request, all of it."""
    body = request.body or b""
    answer = InProcessSandbox().send(
        str(request.method), request.path_url, body if isinstance(body, bytes) else b""
    )
    return answer.status in (200, 204)


def refusal(code: Any) -> str | None:
    """Return what the drop-in refuses about a call."""
    try:
        answer = eval(code, NAMES | {"cio": CustomerIO("site", "key")})
    except InvalidOperationError as error:
        return same_for_all(error.limit)
    except customerio.CustomerIOException as error:
        return (
            "no operation"
            if "is no request that can be enqueued" in str(error)
            else "as the official client"
        )
    except Exception as error:
        return f"as the official client: {type(error).__name__}"
    if answer.errors:
        return refusal(compile(f"cio.entity({first_of_batch(code)!r})", "<entity>", "eval"))
    return None


def first_of_batch(code: Any) -> Any:
    """Return the first operation that a call of ``batch`` sends."""
    kept: list[Any] = []

    class Recorder:
        def batch(self, operations: list[Any]) -> None:
            kept.extend(operations)

    eval(code, NAMES | {"cio": Recorder()})
    return kept[0]


def same_for_all(limit: str) -> str:
    """Return a limit without the identifier or the number that it names."""
    return re.sub(r"\b(id|email|cio_id)\b", "identifier", re.sub(r"\d[\d,]* bytes", "bytes", limit))


def guide() -> dict[str, Outcome]:
    """Return the calls that the guide names, with their outcomes."""
    section = GUIDE.read_text("utf-8").partition(SECTION)[2].partition("\n## ")[0]
    found = re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE)
    return {call: outcome(call) for call in found}


def test_each_call_that_the_guide_names_is_sent_there_and_refused_here() -> None:
    named = guide()
    assert len(named) > 10
    for call, found in named.items():
        assert (found.sent, bool(found.refused)) == (True, True), (call, found)


def test_every_call_that_is_stricter_here_is_so_for_a_reason_that_the_guide_names() -> None:
    known = {found.refused for found in guide().values()}
    all_calls = list(calls())
    assert len(all_calls) > 300
    unnamed = {}
    for call in all_calls:
        found = outcome(call)
        assert found.sent or found.refused, f"the official client refuses {call}"
        if found.taken and found.refused and found.refused not in known:
            unnamed[call] = found.refused
    assert not unnamed, json.dumps(unnamed, indent=1)


IGNORED = [
    "cio.identify('5', anonymous_id='')",
    "cio.identify('5', anonymous_id=' ')",
    "cio.identify('5', email='no address')",
    "cio.identify('5', cio_subscription_preferences={'topics': {'topic_1': ''}})",
    "cio.track('5', 'x', {'recipient': ''})",
    "cio.track('5', 'x', id='order-7')",
    "cio.track_anonymous(' ', 'x', {'recipient': 'ada@example.com'})",
    "cio.add_device('5', 't', 'ios', attribute={'a': 'b'})",
    "cio.add_device('5', 't', 'ios', attributes={'_last_status': 'sent'})",
    "cio.send_request('POST', f'{cio.base_url}/segments/7/add_customers', {'ids': ['1', '']})",
    "cio.send_request('POST', f'{cio.base_url}/forms/f/submit', {'data': {'id': '1', 'form_name': "
    "'x'}})",
    "cio.send_request('POST', f'{cio.base_url}/metrics', {'delivery_id': 'd', 'metric': 'opened', "
    "'more': 1})",
    "cio.batch([{'type': 'person', 'identifiers': {'id': '5'}, 'action': 'identify', 'attributes': "
    "{'email': 'x'}}])",
]


@pytest.mark.parametrize("call", IGNORED)
def test_what_the_api_takes_and_ignores_is_taken_here_too(call: str) -> None:
    found = outcome(call)
    assert found.sent
    assert found.refused is None
    (operation,) = trackrelay.default.default_producer().backend.operations  # type: ignore[attr-defined]
    assert not re.search(
        rb"anonymous_id|order-7|_last_status|form_name|more|recipient\":\"\"", operation.body
    )


@pytest.mark.parametrize("body", ["{'unsubscribe': False}", "{}"])
def test_an_unsubscribe_that_does_not_say_true_unsubscribes_nobody(body: str) -> None:
    call = f"cio.send_request('POST', 'https://track.customer.io/unsubscribe/d1', {body})"
    assert outcome(call) == Outcome(sent=True, taken=True, refused=None)
    assert trackrelay.default.default_producer().backend.operations == []  # type: ignore[attr-defined]


def test_an_email_that_is_no_address_reaches_customerio_beside_the_other_attributes() -> None:
    CustomerIO("site", "key").identify("5", email="not yet known", plan="pro")
    (operation,) = trackrelay.default.default_producer().backend.operations  # type: ignore[attr-defined]
    assert json.loads(operation.body)["attributes"] == {"plan": "pro", "email": "not yet known"}
    assert operation.stamp
    with pytest.raises(customerio.CustomerIOException, match="1,000"):
        CustomerIO("site", "key").identify("5", email="x" * 1_500)
