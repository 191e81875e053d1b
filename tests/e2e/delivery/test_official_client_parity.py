"""The official client's calls and the drop-in's have the same effects at the sandbox."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import customerio  # type: ignore[import-untyped]
import pytest

import trackrelay
import trackrelay.customerio
from tests.support import canaries, official_client
from tests.support.harness import Harness
from trackrelay.sandbox.client import Effect, SandboxClient
from trackrelay.sandbox.sandbox_process import SandboxProcess

#: A time nearer than this was taken from the clock: one snippet uses the time an hour ago.
RECENT_S = 2 * 3_600
#: A batch, in which the last operation is refused.
BATCH: list[dict[str, Any]] = [
    {
        "type": "person",
        "action": "identify",
        "identifiers": {"id": "80"},
        "attributes": {"plan": "pro"},
    },
    {
        "type": "person",
        "action": "event",
        "identifiers": {"id": "80"},
        "name": "seen",
        "timestamp": 1_700_000_000,
    },
    {
        "type": "object",
        "action": "identify",
        "identifiers": {"object_type_id": "1", "object_id": "acme"},
    },
    {"type": "person", "action": "nonsense", "identifiers": {"id": "80"}},
]
ROLE = {
    "identifiers": {"object_type_id": "1", "object_id": "acme"},
    "relationship_attributes": {"role": "admin"},
}
RELATED = {"identifiers": {"object_type_id": "1", "object_id": "acme"}}


@pytest.fixture
def harness(
    worker_settings: dict[str, str], sandbox: SandboxProcess, start_worker: Callable[..., Any]
) -> Iterator[Harness]:
    """A harness with a worker, which `producers` enqueues to."""
    from trackrelay.worker.queue.bootstrap import migrate

    harness = Harness(worker_settings | {"TRACKRELAY_MERGE_DELAY": "0s"}, sandbox.client)
    migrate(harness.engine, harness.redis, 4)
    trackrelay.configure(redis_url=worker_settings["TRACKRELAY_REDIS_URL"])
    start_worker(harness.settings, pool="threads", concurrency=4)
    yield harness
    harness.close()


def seen(sandbox: SandboxClient) -> dict[str, list[Any]]:
    """Return the effects in order, by whom they are about.

    Without the ids and times that only one of the two clients sets, and without repeats, which the
    worker does not even send.
    """
    by_key: dict[str, list[Any]] = defaultdict(list)
    repeats = sandbox.duplicates()
    for effect in sandbox.effects(ignored=True):
        if effect["ignored"] and effect["id"] in repeats:
            continue
        for key in effect["keys"] or ["nobody"]:
            by_key[key].append(
                (
                    effect["action"],
                    effect["name"],
                    _attributes(effect),
                    _past(effect),
                    effect["ignored"],
                )
            )
    return {key: told for key, told in by_key.items() if told}


def _past(effect: Effect) -> int | None:
    when = effect["timestamp"]
    return when if when is not None and when < time.time() - RECENT_S else None


def _attributes(effect: Effect) -> dict[str, Any]:
    # A device is compared in its person's view; an update of nobody, by whether it was ignored.
    attributes = {} if effect["action"] == "add_device" else effect["attributes"] or {}
    return {name: value for name, value in attributes.items() if name != "_update"}


def people(sandbox: SandboxClient) -> list[Any]:
    """Everybody as the sandbox knows them, without what it made up itself."""
    found = [sandbox.person(line["keys"][0]) or {} for line in sandbox.people()]
    for person in found:
        for name in ("cio_id", "timestamps"):
            person.pop(name)
        person["keys"] = sorted(key for key in person["keys"] if not key.startswith("cio_id:"))
        person["identifiers"].pop("cio_id", None)
        # What is sent for one person's id and for their email is in no order: they are two keys.
        person["events"] = sorted((event["action"], event["name"]) for event in person["events"])
    return sorted(found, key=lambda person: str(person["keys"]))


def both(harness: Harness, sandbox: SandboxProcess, act: Callable[[Any], Any]) -> tuple[Any, Any]:
    """What arrives of ``act(package)`` from the official client, and from the drop-in."""
    with official_client.pointed_at(sandbox):
        act(customerio)
    told = seen(harness.sandbox), people(harness.sandbox), harness.sandbox.objects() and "objects"
    harness.sandbox.reset()
    act(trackrelay.customerio)
    harness.wait_settled()
    return told, (
        seen(harness.sandbox),
        people(harness.sandbox),
        harness.sandbox.objects() and "objects",
    )


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")
def test_the_official_snippets_run_unchanged_and_the_same_arrives(
    harness: Harness, sandbox: SandboxProcess
) -> None:
    snippets = official_client.documented_snippets()
    assert len(snippets) >= 15
    by_official, by_drop_in = both(
        harness, sandbox, lambda package: official_client.run(snippets, package.__name__, sandbox)
    )
    # The snippets delete and suppress everybody in the end, so what happened before is compared.
    assert [told[0] for told in by_official[0]["id:5"]].count("event") >= 6
    assert by_drop_in == by_official
    assert [
        event["id"]
        for event in harness.sandbox.events()
        if event["id"] == "01HB4HBDKTFWYZCK01DMRSWRFD"
    ]


def everything(package: Any) -> None:
    """Calls of all kinds, with values of all kinds."""
    cio = package.CustomerIO(
        canaries.CANARY_SITE_ID, canaries.CANARY_API_KEY, region=package.Regions.US
    )
    moment = datetime(2026, 2, 3, 4, 5, 6, 789_000, tzinfo=timezone(timedelta(hours=2)))
    naive = datetime(2026, 2, 3, 4, 5, 6)
    cio.identify(
        id=5,
        email="ada@example.com",
        created_at=moment,
        seen_at=naive,
        score=float("nan"),
        tags=["a", naive],
    )
    cio.identify(
        id="5",
        nested={"at": moment, "list": [float("nan"), {"at": naive}], "pair": (1, 2)},
        plan=None,
    )
    cio.identify("ada@example.com", city="Berlin")
    cio.identify("7", _timestamp=1_700_000_000, plan="new")
    cio.identify("7", _timestamp=1_600_000_000, plan="old")
    cio.identify("8", _update=True, plan="nobody")
    cio.identify("+14155550100", plan="an id to v1")
    cio.identify("a/b c&d+e%", plan="odd")
    cio.identify("9", cio_relationships={"action": "add_relationships", "relationships": [ROLE]})
    cio.identify(
        "10", cio_relationships={"action": "add_relationships", "relationships": [RELATED]}
    )
    cio.identify(
        "10",
        cio_relationships={"action": "delete_relationships", "relationships": [RELATED]},
        plan="left",
    )
    cio.track(5, "bought", {"total": 12.5, "at": moment, "none": float("nan")}, timestamp=moment)
    cio.track("5", "bought", id="01HB4HBDKTFWYZCK01DMRSWRFD", timestamp="1561231234")
    cio.track("5", "bought", id="01HB4HBDKTFWYZCK01DMRSWRFD", timestamp="not a time")
    cio.track(
        "ada@example.com", " padded ", {"deep": {"er": [1, {"at": naive}]}}, timestamp=1561231234.9
    )
    cio.pageview("5", "/pricing", referrer="https://example.com", keywords=["a"])
    cio.backfill("5", "signed_up", naive, source="import")
    cio.backfill("5", "signed_up", "1408482680")
    cio.track_anonymous("anonymous-0001", "looked", {"sku": "a"})
    cio.track_anonymous("", "invited", {"recipient": "bo@example.com"})
    cio.identify("11", anonymous_id="anonymous-0001")
    cio.add_device("5", "token/1", "ios", last_used=1_514_764_800, attributes={"app": "1.2"})
    cio.add_device("5", "token/2", "android")
    cio.delete_device("5", "token/2")
    cio.identify("20", plan="kept", email="twenty@example.com")
    cio.identify("21", city="Rome")
    cio.merge_customers("id", "20", "id", "21")
    cio.delete("7")
    cio.suppress("22")
    cio.track("22", "swallowed")
    cio.unsuppress("22")
    cio.track("22", "heard")
    answer = cio.batch(BATCH)
    assert answer.status_code == 207
    assert [error["batch_index"] for error in answer.json()["errors"]] == [3]


def test_calls_of_all_kinds_with_values_of_all_kinds_arrive_the_same(
    harness: Harness, sandbox: SandboxProcess
) -> None:
    by_official, by_drop_in = both(harness, sandbox, everything)
    assert len(by_official[1]) >= 9
    # v2 has a separate operation for relationships that end.
    assert by_drop_in[0]["id:10"].pop()[0] == "delete_relationships"
    assert by_drop_in == by_official


def test_segments_and_forms_sent_by_custom_requests_arrive_the_same(
    harness: Harness, sandbox: SandboxProcess
) -> None:
    """Earlier releases had methods for them; code that uses them sends the requests itself."""

    def act(package: Any) -> None:
        cio = package.CustomerIO(sandbox.site_id, sandbox.api_key)
        for person in ("1", "2"):
            cio.identify(person, plan="pro")
        cio.send_request(
            "POST", f"{cio.base_url}/segments/7/add_customers?id_type=id", {"ids": ["1", "2"]}
        )
        cio.send_request("POST", f"{cio.base_url}/segments/7/remove_customers", {"ids": ["2"]})
        cio.send_request(
            "POST", f"{cio.base_url}/forms/contact/submit", {"data": {"id": "1", "topic": "hello"}}
        )
        cio.send_request(
            "POST", f"{cio.base_url}/metrics", {"delivery_id": "d1", "metric": "opened"}
        )

    def act_and_wait(package: Any) -> tuple[Any, Any]:
        act(package)
        harness.wait_settled()
        return people(harness.sandbox), harness.sandbox.others()["segments"]

    with official_client.pointed_at(sandbox):
        by_official = act_and_wait(customerio)
    harness.sandbox.reset()
    assert act_and_wait(trackrelay.customerio) == by_official
    assert by_official[1] == {"7": ["id:1"]}


def test_a_moment_is_what_the_official_client_makes_of_it(harness: Harness) -> None:
    cio = trackrelay.customerio.CustomerIO("site", "key")
    answer = cio.track("5", "bought", timestamp=datetime(2026, 1, 1, tzinfo=UTC))
    harness.wait_delivered(answer.job_ids)
    (event,) = harness.sandbox.events()
    assert (event["id"], event["timestamp"]) == (answer.job_ids[0], 1_767_225_600)
