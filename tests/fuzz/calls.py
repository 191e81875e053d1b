"""Random calls of every public function end in an id and a valid document, or in our own error."""

from __future__ import annotations

import json
import logging
import random
import reprlib
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tests.support.description import description
from tests.support.nasty_values import NUMBERS, TEXTS, TIMES, Draw, mutated, nasty
from trackrelay import (
    InvalidOperationError,
    ObjectRef,
    Operation,
    Person,
    Producer,
    TrackRelayError,
    operations,
)
from trackrelay.operations import scalars
from trackrelay.operations.ids import is_ulid
from trackrelay.operations.keys import KINDS, shard_of
from trackrelay.operations.refused_operations import RefusedPayload, decode_refused
from trackrelay.operations.validation import check
from trackrelay.queue.append import Entry
from trackrelay.queue.job import decode_entry, encode_entry
from trackrelay.queue.redis_keys import Lane
from trackrelay.worker.track_api.request_builder import Request, batch, segment, single

NAME = "calls"

MAX_MESSAGE_CHARACTERS = 1_000
#: Of a refused call: what was passed, and the refusal.
MAX_KEPT_BYTES = 140_000
#: More than a case can need, and much less than what its values stand for.
MAX_GROWTH_BYTES = 400_000_000
#: One case in so many is compared with the description, which takes a hundred times as long.
DESCRIBED = 200
CHECKED_AGAIN = 10
#: One refusal in so many is stored, which can take a hundred thousand bytes of a large value.
KEPT = 20

_LIMITED = {("person", "identify"), ("object", "identify"), ("object", "identify_anonymous")}
_V1 = ("anonymous", "segment", "form")


def run(random: random.Random, more: Callable[[int], bool], **context: Any) -> int:
    """Try calls while ``more(tried)`` is true; return how many.

    Raises:
        AssertionError: one ended otherwise. The error names the seed that repeats it with
            :func:`try_case`.
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tried = 0
    with _quiet():
        producer = Producer(backend="memory")
        producer.backend = taken = _Taken()
        while more(tried):
            try_case(random.getrandbits(48), producer, taken)
            tried += 1
            if tried % 1_000 == 0:
                grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1_024
                assert grown < MAX_GROWTH_BYTES, f"memory has grown by {grown:,} bytes"
    return tried


def try_case(seed: int, producer: Producer, taken: _Taken) -> None:
    """Make the call of ``seed``."""
    rng = random.Random(seed)
    name, call, arguments = _case(rng, producer)
    taken.entries.clear()
    try:
        result = call(**arguments)
    except TrackRelayError as error:
        wrong = _wrong_error(error)
        if not wrong and rng.randrange(KEPT) == 0:
            wrong = _wrong_kept(error)
    except Exception as error:
        wrong = f"raised {type(error).__name__}: {str(error)[:200]}"
    else:
        wrong = _wrong_result(result, taken.entries, rng)
    if wrong:
        raise AssertionError(f"case {seed}, {name}({_shown(arguments)}): {wrong}")


def _is_the_same_again(document: Any, id: str, body: bytes) -> bool:
    try:
        return check(document, id=id).body == body
    except InvalidOperationError as error:
        # A date in the year 9999 is far away; its seconds alone look like milliseconds.
        return "reads as milliseconds" in str(error)


def _wrong_kept(error: TrackRelayError) -> str:
    """Return what is wrong with the form in which ``on_invalid="dead_letter"`` stores a call."""
    if not isinstance(error, InvalidOperationError):
        return ""
    for part in error.parts:
        if not isinstance(part, RefusedPayload):
            continue
        try:
            body = part.kept(error).body
            decode_refused(encode_entry(part.kept(error)))
        except Exception as raised:
            return f"cannot be kept: {type(raised).__name__}: {str(raised)[:200]}"
        if len(body) > MAX_KEPT_BYTES:
            return f"is kept in {len(body):,} bytes"
    return ""


class _Taken:
    """Keeps what one call enqueued."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def append(self, entries: Sequence[Entry], lane: Lane) -> None:
        self.entries += entries

    def close(self) -> None:
        pass


@contextmanager
def _quiet() -> Iterator[None]:
    log = logging.getLogger("trackrelay")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
        scalars.set_naive_timezone(None)


# ── cases ─────────────────────────────────────────────────────────────────────────────────────────


def _one_of(*choices: Any) -> Draw:
    return lambda rng: rng.choice(choices)


def _maybe(draw: Draw) -> Draw:
    return lambda rng: draw(rng) if rng.random() < 0.4 else None


def _attributes(rng: random.Random) -> dict[str, Any]:
    known = [
        *(
            ("plan", "pro"),
            ("seats", 5),
            ("total", 12.5),
            ("paid", True),
            ("created_at", 1_714_564_800),
            ("gone", None),
        ),
        *(
            ("cart", [{"sku": "a", "qty": 1}]),
            ("address", {"city": "Berlin"}),
            ("since", datetime(2026, 1, 31, tzinfo=UTC)),
        ),
        *(
            ("email", "ada@example.com"),
            ("id", "42"),
            ("phone", "+4915123456789"),
            ("recipient", "ada@example.com"),
        ),
        *(
            ("bio", "x" * 990),
            ("title", "Home"),
            ("keywords", ["a"]),
            ("_update", True),
            ("anonymous_id", "visitor"),
        ),
    ]
    return dict(rng.sample(known, rng.randrange(6)))


_person = _one_of(
    "42",
    42,
    UUID(int=7),
    Person(email="ada@example.com"),
    Person(phone="+4915123456789"),
    Person(cio_id="03"),
)
_plain = _one_of("42", Person(email="ada@example.com"), Person(cio_id="03"))
_anybody: Draw = lambda rng: Person(anonymous_id="visitor") if rng.random() < 0.1 else _person(rng)  # noqa: E731
_object = _one_of(ObjectRef("1", "acme"), ObjectRef(2, 5), ObjectRef(cio_object_id="ob1"))
_when = _maybe(_one_of(1_714_564_800, 1_714_564_800.5, datetime(2026, 1, 31, 12, tzinfo=UTC)))
_key = _maybe(_one_of("order-1", 17, UUID(int=9)))
_name = _one_of("bought", "seen", " padded ", "x" * 100)
_to_objects: Draw = lambda rng: [(_object(rng), _attributes(rng)) for _ in range(rng.randrange(3))]  # noqa: E731
_to_people: Draw = lambda rng: [(_plain(rng), _attributes(rng)) for _ in range(rng.randrange(3))]  # noqa: E731
_event = {
    "person": _anybody,
    "name": _name,
    "data": _maybe(_attributes),
    "timestamp": _when,
    "idempotency_key": _key,
}

CALLS: dict[str, dict[str, Draw]] = {
    "identify": {
        "person": _person,
        "attributes": _maybe(_attributes),
        "anonymous_id": _maybe(_one_of("visitor", 5)),
        "relationships": _to_objects,
        "update_only": _one_of(True, False),
        "timestamp": _when,
        "idempotency_key": _key,
    },
    "track": {**_event, "person_attributes": _maybe(_attributes)},
    "page": {**_event, "person_attributes": _maybe(_attributes)},
    "screen": _event,
    "track_anonymous": {
        "anonymous_id": _maybe(_one_of("visitor")),
        "name": _name,
        "data": _attributes,
        "timestamp": _when,
        "idempotency_key": _key,
    },
    "delete_person": {"person": _person, "idempotency_key": _key},
    "suppress": {"person": _person, "idempotency_key": _key},
    "unsuppress": {"person": _person, "idempotency_key": _key},
    "merge": {
        "primary": _plain,
        "secondary": _one_of("43", Person(cio_id="04")),
        "idempotency_key": _key,
    },
    "add_device": {
        "person": _person,
        "token": _one_of("token", "x" * 200),
        "platform": _one_of("ios", "android"),
        "last_used": _when,
        "attributes": _maybe(_one_of({"os": "17", "push_enabled": True})),
    },
    "delete_device": {"person": _person, "token": _one_of("token")},
    "identify_object": {
        "obj": _object,
        "attributes": _maybe(_attributes),
        "relationships": _to_people,
    },
    "delete_object": {"obj": _object},
    "add_relationships": {
        "subject": _person,
        "others": _to_objects,
        "attributes": _maybe(_attributes),
    },
    "delete_relationships": {"subject": _object, "others": _to_people},
    "add_to_segment": {
        "segment_id": _one_of(1, "7", 2**31 - 1),
        "people": _one_of("42", ["42", 43], [Person(cio_id="0")]),
    },
    "remove_from_segment": {"segment_id": _one_of(1), "people": _one_of(["42"])},
    "submit_form": {
        "form_id": _one_of("form", 5),
        "person": _one_of("42", Person(email="a@b.cd")),
        "fields": _attributes,
    },
    "unsubscribe": {"delivery_id": _one_of("dgOq6QUDAAF")},
    "report_metric": {
        "delivery_id": _one_of("dgOq6QUDAAF"),
        "metric": _one_of("bounced", "clicked", "opened"),
        "recipient": _maybe(_one_of("ada@example.com", 4915123456789)),
        "reason": _maybe(_one_of("mailbox full")),
        "href": _maybe(_one_of("https://example.com")),
        "timestamp": _when,
    },
}
_PERSON: dict[str, Draw] = {
    "id": _maybe(_one_of("42")),
    "email": _maybe(_one_of("ada@example.com")),
    "phone": _maybe(_one_of("+4915123456789")),
    "cio_id": _maybe(_one_of("03")),
    "anonymous_id": _maybe(_one_of("visitor")),
}
_OBJECT: dict[str, Draw] = {
    "type_id": _one_of("1", 1),
    "object_id": _one_of("acme"),
    "cio_object_id": _maybe(_one_of("o")),
}
_SETTINGS: dict[str, Draw] = {
    "shards": _maybe(_one_of(4)),
    "source": _maybe(_one_of("shop")),
    "max_queue_length": _maybe(_one_of(1_000)),
    "enqueue_timeout": _maybe(_one_of("1s", 0.5)),
    "naive_timezone": _maybe(_one_of("Europe/Berlin")),
    "on_unavailable": _maybe(_one_of("raise", "log")),
}
_NAMES = list(CALLS)
# What an iterable of the caller's own raises is the caller's.
_NOT_MANY = [*TEXTS, *NUMBERS, *TIMES, None, b"x", object, {"a": 1}, {5}, range(3)]


def _case(rng: random.Random, producer: Producer) -> tuple[str, Callable[..., Any], dict[str, Any]]:
    kind = rng.random()
    if kind < 0.7:
        name = rng.choice(_NAMES)
        return name, getattr(producer, name), _arguments(rng, CALLS[name])
    if kind < 0.85:
        document = mutated(rng, _document(rng))
        while rng.random() < 0.4:
            document = mutated(rng, document)
        return "entity", producer.entity, {"operation": document}
    if kind < 0.9:
        return "Person", Person, _arguments(rng, _PERSON)
    if kind < 0.93:
        return "ObjectRef", ObjectRef, _arguments(rng, _OBJECT)
    if kind < 0.96:
        return "enqueue", producer.enqueue, {"operation": _operation(rng)}
    if kind < 0.99:
        many = (
            [_operation(rng) for _ in range(rng.randrange(4))]
            if rng.random() < 0.8
            else rng.choice(_NOT_MANY)
        )
        return "enqueue_many", producer.enqueue_many, {"operations": many}
    return "Producer", _configured, _arguments(rng, _SETTINGS)


def _configured(**settings: Any) -> None:
    try:
        Producer(
            **{name: value for name, value in settings.items() if value is not None}, backend="off"
        )
    finally:
        scalars.set_naive_timezone(None)


def _arguments(rng: random.Random, draws: dict[str, Draw]) -> dict[str, Any]:
    arguments = {}
    for name, draw in draws.items():
        value = draw(rng)
        if rng.random() < 0.15:
            value = nasty(rng) if rng.random() < 0.5 else mutated(rng, value)
        arguments[name] = value
    return arguments


def _made(rng: random.Random) -> Operation:
    name = rng.choice(_NAMES)
    while True:
        try:
            made = getattr(operations, name)(
                **{field: draw(rng) for field, draw in CALLS[name].items()}
            )
        except InvalidOperationError:  # some of what is valid alone contradicts the rest
            continue
        if made:
            return made if isinstance(made, Operation) else made[0]  # type: ignore[no-any-return]


def _document(rng: random.Random) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_made(rng).body)
    return document


def _operation(rng: random.Random) -> Any:
    """One that was checked, one that was changed since, or something else."""
    if rng.random() < 0.1:
        return nasty(rng)
    made = _made(rng)
    if rng.random() < 0.4:
        return made
    fields = {
        name: getattr(made, name) for name in ("id", "type", "action", "keys", "body", "stamp")
    }
    name = rng.choice(list(fields))
    way = rng.random()
    if way < 0.3:
        fields[name] = nasty(rng)
    elif way < 0.6:
        body = bytearray(made.body)
        body[rng.randrange(len(body))] = rng.randrange(256)
        fields["body"] = bytes(body)
    return Operation(**fields)


# ── what must hold ────────────────────────────────────────────────────────────────────────────────


def _wrong_error(error: TrackRelayError) -> str:
    message = str(error)
    if not 0 < len(message) <= MAX_MESSAGE_CHARACTERS:
        return f"an error of {len(message)} characters"
    if not message.replace("\n", "").isprintable():
        return f"an error that is not printable: {message!r}"
    if "secret" in message:
        return f"an error with a value's words: {message}"
    if isinstance(error, InvalidOperationError):
        words = (error.field, error.limit, error.actual)
        if not all(0 < len(each) <= 500 for each in words):
            return f"an error without field, limit or actual, or with long ones: {str(words)[:300]}"
    return ""


def _wrong_result(result: Any, entries: list[Entry], rng: random.Random) -> str:
    if isinstance(result, str) and [entry.operation.id for entry in entries] != [result]:
        return "an id of no operation"
    for entry in entries:
        if wrong := _wrong_entry(entry, rng):
            return wrong
    return ""


def _wrong_entry(entry: Entry, rng: random.Random) -> str:
    jobs = decode_entry(entry.data)
    if jobs[-1].id != entry.operation.id or len(jobs) != 1 + (
        entry.operation.companion is not None
    ):
        return "an entry of other jobs"
    for job in jobs:
        body = bytes(job.body)
        try:
            document = json.loads(body, parse_constant=_no_constant)
        except (ValueError, UnicodeError, RecursionError) as error:
            return f"a document that is no JSON: {error}"
        kind, _, action = job.operation.partition(".")
        wrong = _beyond_limits(document, body, kind, action)
        if (
            not is_ulid(job.id)
            or not job.keys
            or any(key.partition(":")[0] not in KINDS for key in job.keys)
        ):
            wrong = f"an id or keys of another form: {job.id}, {job.keys}"
        if wrong:
            return f"{wrong} in {body[:300]!r}"
        shard_of(job.keys[0], 4)
        if rng.randrange(CHECKED_AGAIN) == 0 and not _is_the_same_again(document, job.id, body):
            return f"another document when it is checked again: {body[:300]!r}"
        if rng.randrange(DESCRIBED) == 0 and (
            wrong := _not_described(job.operation, body, document)
        ):
            return f"{wrong} in {body[:300]!r}"
    return ""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _bytes(value: Any) -> int:
    return len(
        value.encode()
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    )


def _beyond_limits(document: dict[str, Any], body: bytes, kind: str, action: str) -> str:
    """Return what exceeds the published limits, by code independent of the product's."""
    if (document["type"], document["action"]) != (kind, action):
        return "another type and action"
    attributes = document.get("attributes", {})
    event = action in ("event", "page", "screen") and kind in ("person", "anonymous")
    if event:
        name = document["name"]
        if not name.strip() or len(name.encode()) > 100:
            return "an event's name"
        if _bytes(attributes) > 100_000 or (
            len(body) > 32_000 and (action == "screen" and kind == "person")
        ):
            return "an event's size"
    elif (
        kind not in _V1
        and (kind, action) not in (("delivery", "metric"), ("delivery", "unsubscribe"))
        and len(body) > 32_000
    ):
        return "an operation's size"
    if not 631_152_000 <= document.get("timestamp", 1_714_564_800) < 4_102_444_800:
        return "a timestamp"
    named = [
        document.get("identifiers", {}),
        document.get("primary", {}),
        document.get("person", {}),
    ]
    if kind == "person" and action != "merge" and len(named[0]) != 1:
        return "identifiers"
    if any(
        len(each.get("id", "").encode()) > 150
        for each in named
        if isinstance(each.get("id", ""), str) and kind != "delivery"
    ):
        return "a long id"
    limited = [attributes] if (kind, action) in _LIMITED else []
    limited += [
        each.get("relationship_attributes", {}) for each in document.get("cio_relationships", [])
    ]
    for each in limited:
        if len(each.keys() - {"_update"}) > 300:
            return "too many attributes"
        for name, value in each.items():
            if len(name.encode()) > 150 or _bytes(value) > 1_000:
                return f"a long attribute {name[:50]!r}"
    return ""


def _not_described(operation: str, body: bytes, document: dict[str, Any]) -> str:
    kind = operation.partition(".")[0]
    if kind in _V1 or operation in ("delivery.metric", "delivery.unsubscribe"):
        request: Request = segment([body]) if kind == "segment" else single(operation, body)
    elif len(body) > 32_000:
        request = single(operation, body)
    else:
        request = batch([body])
    path, _, query = request.path.partition("?")
    found = description().violations("POST", path, query, request.body)
    return "; ".join(found)[:500]


def _shown(arguments: dict[str, Any]) -> str:
    shown = []
    for name, value in arguments.items():
        try:
            text = reprlib.repr(value)
        except Exception:
            text = f"<{type.__dict__['__name__'].__get__(type(value))}>"
        shown.append(f"{name}={text[:200]}")
    return ", ".join(shown)[:2_000]
