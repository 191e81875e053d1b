"""The Track API: away, failing, limiting, slow, lying, refusing the credentials."""

from __future__ import annotations

import time
from typing import Any

from .plans import StackPlan, TrafficPlan
from .scenario import Trial, scenario

HTML = "<html><body><h1>Welcome to the hotel's network</h1></body></html>"
#: An operation that fails by itself becomes a dead letter after this many attempts.
FEW_ATTEMPTS = StackPlan(settings={"TRACKRELAY_MAX_ATTEMPTS": "3"})
#: What the workload calls a job that the endpoint will not take.
POISON = {"contains": '"poison"'}


# -- single faults


def short_outage(trial: Trial) -> None:
    """503 to everything for some seconds."""
    with trial.stack.sandbox.client.outage(503):
        trial.pause(1.0, 4.0)


def fault(trial: Trial, for_s: float, /, **details: Any) -> None:
    """One misbehaviour of the sandbox's for some seconds."""
    client = trial.stack.sandbox.client
    number = client.add_fault(**details)
    time.sleep(for_s)
    client.delete_fault(number)


def _rotate(trial: Trial, faults: list[dict[str, Any]], low_s: float, high_s: float) -> None:
    while trial.goes_on():
        trial.injected += 1
        fault(trial, trial.chance.uniform(low_s, high_s), **trial.chance.choice(faults))
        trial.pause(0.2, 1.0)


def keep_up(trial: Trial, *faults: dict[str, Any]) -> None:
    """Misbehave in all these ways for the whole time."""
    client = trial.stack.sandbox.client
    for each in faults:
        client.add_fault(**each)
    trial.pause(1e9)
    trial.injected += sum(int(each["hits"]) for each in client.faults())


# -- scenarios


@scenario("api-outage", "a minute of 503", seconds=60.0, ambiguous=False, jobs=8_000)
def _outage(trial: Trial) -> None:
    with trial.stack.sandbox.client.outage(503):
        trial.injected += 1
        trial.pause(1e9)


@scenario("api-5xx", "500, 502, 503 and 504 at random", ambiguous=False)
def _errors(trial: Trial) -> None:
    keep_up(
        trial,
        *({"kind": "status", "status": status, "rate": 0.1} for status in (500, 502, 503, 504)),
    )


@scenario("api-429", "429 in storms, without Retry-After", ambiguous=False, seconds=16.0)
def _limits(trial: Trial) -> None:
    _rotate(
        trial,
        [{"kind": "status", "status": 429}, {"kind": "status", "status": 429, "rate": 0.5}],
        1.0,
        4.0,
    )


@scenario("api-429-retry-after", "429 in storms, with Retry-After", ambiguous=False, seconds=16.0)
def _limits_with_word(trial: Trial) -> None:
    _rotate(
        trial,
        [{"kind": "status", "status": 429, "retry_after": str(n)} for n in (1, 2, 4)],
        1.0,
        3.0,
    )


@scenario(
    "api-hang", "answers that do not come before the timeout, effect or no effect", seconds=16.0
)
def _hang(trial: Trial) -> None:
    keep_up(
        trial,
        {"kind": "hang", "seconds": 8.0, "rate": 0.15},
        {"kind": "hang", "seconds": 8.0, "rate": 0.15, "effect": True},
    )


@scenario("api-close-after", "connections closed after the operations took effect")
def _close_after(trial: Trial) -> None:
    keep_up(trial, {"kind": "close_after", "rate": 0.3})


@scenario("api-close-before", "connections closed before anything took effect", ambiguous=False)
def _close_before(trial: Trial) -> None:
    keep_up(trial, {"kind": "close_before", "rate": 0.3})


@scenario(
    "api-garbage", "HTML and garbage, with 200 and with 4xx, effect or no effect", seconds=25.0
)
def _garbage(trial: Trial) -> None:
    faults: list[dict[str, Any]] = [
        {
            "kind": "body",
            "status": status,
            "body": body,
            "content_type": kind,
            "effect": effect,
            "rate": 0.5,
        }
        for status in (200, 400, 404, 413)
        for body, kind in (
            (HTML, "text/html"),
            ("", "text/plain"),
            ('{"half', "application/json"),
            ("[]", "application/json"),
        )
        for effect in (False, True)
        if not (effect and status != 200)
    ]
    _rotate(trial, faults, 0.5, 2.0)


@scenario("api-207-nonsense", "207 with indices that make no sense", seconds=16.0)
def _nonsense(trial: Trial) -> None:
    errors = (
        '{"errors": null}',
        '{"errors": [{"batch_index": 100000, "reason": "x"}]}',
        '{"errors": [{"batch_index": -1, "reason": "x"}]}',
        '{"errors": [{"batch_index": 0, "reason": "x"}, {"batch_index": 100000, "reason": "y"}]}',
        '{"errors": [{"batch_index": "0"}]}',
        '{"errors": {"batch_index": 0}}',
    )
    faults = [{"kind": "body", "status": 207, "body": body, "rate": 0.5} for body in errors]
    _rotate(trial, faults, 0.5, 2.0)


@scenario("api-drip", "the body drips in, slower than the timeout")
def _drip(trial: Trial) -> None:
    keep_up(trial, {"kind": "drip", "seconds": 8.0, "rate": 0.3})


@scenario(
    "api-redirect",
    "redirects, from everything and from the batch path alone",
    ambiguous=False,
    seconds=16.0,
)
def _redirect(trial: Trial) -> None:
    faults: list[dict[str, Any]] = [
        {"kind": "redirect"},
        {"kind": "redirect", "match": {"path": "/api/v2/batch"}, "rate": 0.5},
    ]
    _rotate(trial, faults, 1.0, 4.0)


@scenario("api-revoked", "credentials revoked, and restored", ambiguous=False, seconds=16.0)
def _revoked(trial: Trial) -> None:
    sandbox = trial.stack.sandbox
    while trial.goes_on():
        sandbox.client.set_credentials(api_key="another-key")
        trial.injected += 1
        trial.pause(3.0, 6.0)
        sandbox.client.set_credentials(api_key=sandbox.api_key)
        trial.pause(2.0, 4.0)


@scenario(
    "api-rotated",
    "credentials rotated: first there, seconds later in the file",
    ambiguous=False,
    seconds=25.0,
    stack=StackPlan(api_key_file=True),
)
def _rotated(trial: Trial) -> None:
    while trial.goes_on():
        key = f"key-{trial.injected}"
        trial.stack.sandbox.client.set_credentials(api_key=key)
        time.sleep(trial.chance.uniform(0.5, 3.0))
        trial.stack.api_key_file.write_text(key)
        trial.injected += 1
        trial.pause(4.0, 8.0)


@scenario(
    "api-one-forbidden",
    "some operations answered 403 though the credentials are good",
    stack=FEW_ATTEMPTS,
    traffic=TrafficPlan(mix="poisoned"),
    bound_s=90.0,
    api=({"kind": "status", "status": 403, "match": POISON},),
)
def _one_forbidden(trial: Trial) -> None:
    trial.pause(1e9)


@scenario(
    "api-one-crashing",
    "some operations crash the endpoint while all others succeed",
    stack=FEW_ATTEMPTS,
    traffic=TrafficPlan(mix="poisoned"),
    seconds=40.0,
    jobs=8_000,
    bound_s=90.0,
    api=({"kind": "close_before", "match": POISON},),
    note="such a job is distinguished from an outage by others that succeed meanwhile; "
    "while there are none, it waits.",
)
def _one_crashing(trial: Trial) -> None:
    trial.pause(1e9)
