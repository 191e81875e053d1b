"""A thousand random filters find exactly whom a naive evaluation finds.

Pages repeat entries, and some requests get a 429.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

from tests.support.sandbox_api import Api
from tests.support.scripted_app_api import Asked, Reply, scripted
from trackrelay.app_api import AppApi, Filter, attr, in_segment, object_attr, requester
from trackrelay.sandbox import SandboxProcess

pytestmark = pytest.mark.usefixtures("no_limit")

PEOPLE = 24
FILTERS = 1_000
NAMES = ["plan", "country", "active", "n", "odd name", "é"]
VALUES: list[str | int | bool] = ["pro", "free", "DE", "", True, False, 1, 2, 3, "1", "true"]
SEGMENTS = [1, 2, 3]


class Subject(NamedTuple):
    """A person or an object, as the App API shows it."""

    attributes: Mapping[str, str]
    segments: frozenset[int]


def text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


Test = Callable[[Subject], bool]


def random_filter(choose: random.Random, depth: int, *, of_objects: bool) -> tuple[Filter, Test]:
    """A filter that is joined at most `depth` deep, and the naive test of the same conditions."""
    kind = choose.choice(["eq", "ne", "exists", "segment", "and", "or", "not"])
    if depth == 0 and kind in ("and", "or", "not"):
        kind = "eq"
    if kind == "segment" and not of_objects:
        segment = choose.choice(SEGMENTS)
        return in_segment(segment), lambda subject: segment in subject.segments
    if kind in ("and", "or", "not"):
        one, is_one = random_filter(choose, depth - 1, of_objects=of_objects)
        if kind == "not":
            return ~one, lambda subject: not is_one(subject)
        other, is_other = random_filter(choose, depth - 1, of_objects=of_objects)
        if kind == "and":
            return one & other, lambda subject: is_one(subject) and is_other(subject)
        return one | other, lambda subject: is_one(subject) or is_other(subject)
    name, value = choose.choice(NAMES), choose.choice(VALUES)
    named = (object_attr if of_objects else attr)(name)
    if kind == "ne":
        return named != value, lambda subject: subject.attributes.get(name) != text(value)
    if kind == "eq":
        return named == value, lambda subject: subject.attributes.get(name) == text(value)
    return named.exists(), lambda subject: name in subject.attributes


class Front:
    """Passes requests to the sandbox, repeats entries of earlier pages, refuses some requests."""

    def __init__(self, sandbox: SandboxProcess, choose: random.Random) -> None:
        self._sandbox = Api(sandbox)
        self._authorization = f"Bearer {sandbox.app_api_key}"
        self._choose = choose
        self._before: list[Any] = []
        self.refused = self.repeated = 0

    def answer(self, asked: Asked) -> Reply:
        if self._choose.random() < 0.1:
            self.refused += 1
            return Reply(status=429)
        found = self._sandbox.call(
            asked.method, asked.target, raw=asked.body, auth=self._authorization
        )
        document = found.json
        if "start" not in asked.query:
            self._before = []
        again = self._choose.sample(self._before, min(3, len(self._before)))
        self.repeated += len(again)
        self._before += document["identifiers"]
        document["identifiers"] = again + document["identifiers"]
        return Reply(document, found.status)


@pytest.fixture
def hardly_any_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requester, "MAX_PAUSE_S", 0.016)
    monkeypatch.setattr(requester, "LIMITED_PAUSE_S", 0.001)
    monkeypatch.setattr(requester, "MAX_TRIES", 20)


def some_attributes(choose: random.Random) -> dict[str, Any]:
    names = choose.sample(NAMES, choose.randint(0, len(NAMES)))
    return {name: choose.choice(VALUES) for name in names}


@pytest.mark.usefixtures("hardly_any_pause")
def test_people_are_those_of_a_naive_evaluation(free_sandbox: SandboxProcess, entity: Any) -> None:
    choose = random.Random(12)
    subjects: dict[str, Subject] = {}
    track = Api(free_sandbox)
    members: dict[int, list[str]] = {segment: [] for segment in SEGMENTS}
    for number in range(PEOPLE):
        person_id, attributes = f"p{number}", some_attributes(choose)
        entity(
            {
                "type": "person",
                "action": "identify",
                "identifiers": {"id": person_id},
                "attributes": attributes,
            }
        )
        segments = frozenset(choose.sample(SEGMENTS, choose.randint(0, 2)))
        for segment in segments:
            members[segment].append(person_id)
        subjects[person_id] = Subject({}, segments)
    for segment, ids in members.items():
        added = track.call("POST", f"/api/v1/segments/{segment}/add_customers", {"ids": ids})
        assert added.status == 200
    with AppApi(app_api_key=free_sandbox.app_api_key, app_url=free_sandbox.url) as api:
        for person_id, subject in subjects.items():
            attributes = api.attributes(person_id).attributes
            subjects[person_id] = subject._replace(attributes=attributes)

    front, sizes = Front(free_sandbox, choose), set()
    with (
        scripted(front.answer) as server,
        AppApi(app_api_key=free_sandbox.app_api_key, app_url=server.url) as api,
    ):
        for _ in range(FILTERS):
            where, matches = random_filter(choose, choose.randint(0, 4), of_objects=False)
            found = [each.id for each in api.people(where=where, page_size=9)]
            wanted = {person_id for person_id, subject in subjects.items() if matches(subject)}
            assert (set(found), len(found)) == (wanted, len(wanted)), where
            sizes.add(len(found))
    assert front.refused > 100
    assert front.repeated > 100
    assert len(sizes) > 15


@pytest.mark.usefixtures("hardly_any_pause")
def test_objects_are_those_of_a_naive_evaluation(free_sandbox: SandboxProcess, entity: Any) -> None:
    choose = random.Random(12)
    subjects: dict[str, Subject] = {}
    for number in range(PEOPLE):
        object_id, attributes = f"o{number}", some_attributes(choose)
        entity(
            {
                "type": "object",
                "action": "identify",
                "identifiers": {"object_type_id": "1", "object_id": object_id},
                "attributes": attributes,
            }
        )
        texts = {name: text(value) for name, value in attributes.items() if value != ""}
        subjects[object_id] = Subject(texts, frozenset())
    front = Front(free_sandbox, choose)
    with (
        scripted(front.answer) as server,
        AppApi(app_api_key=free_sandbox.app_api_key, app_url=server.url) as api,
    ):
        for _ in range(FILTERS // 4):
            where, matches = random_filter(choose, choose.randint(0, 4), of_objects=True)
            found = [each.object_id for each in api.objects(1, where=where, page_size=9)]
            wanted = {object_id for object_id, subject in subjects.items() if matches(subject)}
            assert (set(found), len(found)) == (wanted, len(wanted)), where
    assert front.refused > 20
    assert front.repeated > 20
