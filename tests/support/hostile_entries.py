"""Stream entries that no producer of ours writes, but a broken or malicious client can."""

from __future__ import annotations

import json
import random
from typing import Any

from trackrelay.operations.ids import new_id

Fields = dict[bytes | str, bytes | str | int]

_random = random.Random(10)
#: Letters that do not compress: Postgres fits a long key of one letter into an index, but not
#: these.
_NOISE = "".join(
    _random.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=200_000)
)


def job(**changes: Any) -> dict[str, Any]:
    """A job as producers write it, but for ``changes``."""
    id = new_id()
    body = {
        "type": "person",
        "identifiers": {"id": "h"},
        "action": "event",
        "name": "hostile",
        "id": id,
    }
    return {
        "id": id,
        "operation": "person.event",
        "keys": ["id:h"],
        "body": body,
        "stamp": True,
    } | changes


def jobs(*several: dict[str, Any]) -> Fields:
    """An entry of jobs."""
    return {"v": 1, "j": json.dumps(several).encode()}


def body(raw: bytes, operation: str = "person.event", *, stamp: bool = True) -> Fields:
    """An entry of one job with ``raw`` in place of its document."""
    head = json.dumps(
        {"id": new_id(), "operation": operation, "keys": ["id:h"], "stamp": stamp}
    ).encode()
    return {"v": 1, "j": b"[%s]" % (head[:-1] + b',"body":' + raw + b"}")}


def nested(levels: int) -> bytes:
    """An object in an object in an object."""
    return b'{"a":' * levels + b"1" + b"}" * levels


def all_cases() -> dict[str, Fields]:
    """Return every kind of entry, each with its own ids."""
    return {**_frames(), **_bodies(), **_jobs(), **_counts()}


def _frames() -> dict[str, Fields]:
    return {
        "version of 5,000 nines": {"v": "9" * 5_000, "j": json.dumps([job()])},
        "version of 5,000 zeros": {"v": "0" * 5_000, "j": json.dumps([job()])},
        "version empty": {"v": "", "j": json.dumps([job()])},
        "version negative": {"v": "-1", "j": json.dumps([job()])},
        "version no number": {"v": b"\xff\x00", "j": json.dumps([job()])},
        "other fields": {"x": "y"},
        "names of bytes": {b"\xff\x00": b"\xfe\x80\x00"},
        "2,000 fields": {f"f{number}": "x" for number in range(2_000)},
        "fields in another order": {"j": json.dumps([job()]), "v": 1},
        "a field more": jobs(job()) | {"z": "z"},
        "not JSON": {"v": 1, "j": b"\x81\xa2id\x01"},
        "no jobs": {"v": 1, "j": b"[]"},
        "an object": {"v": 1, "j": json.dumps(job())},
        "cut off": {"v": 1, "j": json.dumps([job()])[:-20]},
        "100,000 brackets": {"v": 1, "j": b"[" * 100_000 + b"]" * 100_000},
        "3 MB of garbage": {"v": 1, "j": b"\xff" * 3_000_000},
        "5,000 jobs": jobs(*(job(keys=[f"id:{number}"]) for number in range(5_000))),
        "one of two jobs bad": jobs(job(), job(id="short")),
    }


def _bodies() -> dict[str, Fields]:
    person = (
        b'{"type":"person","identifiers":{"id":"h"},"action":"event","name":"x",'
        b'"attributes":{"a":%s}}'
    )
    cases = {
        "null": body(b"null"),
        "a number": body(b"1"),
        "a list": body(b"[]"),
        "text": body(b'"x"'),
        "empty, stamped": body(b"{}"),
        "empty, not stamped": body(b"{}", stamp=False),
        "100,000 brackets": body(b"[" * 100_000 + b"]" * 100_000),
        "not UTF-8": body(person % b'"\xff"'),
        "half a character": body(person % b'"\\ud800"'),
        "a NUL in text": body(person % b'"\\u0000"'),
        "control characters": body(person % b'"\\u001b[31m\\u009b<script>"'),
        "a raw line feed": body(person % b'"a\nb"'),
        "1e400": body(person % b"1e400"),
        "an integer of 5,000 digits": body(person % (b"9" * 5_000)),
        "3 MB": body(person % (b'"' + b"x" * 3_000_000 + b'"')),
        "300,000 names": body(
            person % (b"{" + b",".join(b'"%d":0' % n for n in range(300_000)) + b"}")
        ),
        "huge timestamp": body(
            b'{"type":"person","action":"event","timestamp":1e300}', stamp=False
        ),
        "negative timestamp": body(
            b'{"type":"person","action":"event","timestamp":-99999999999999}', stamp=False
        ),
        "twice the same name": body(b'{"type":"person","type":null,"type":{}}'),
    }
    for levels in (199, 201, 900, 980):
        cases[f"{levels} levels"] = body(nested(levels))
    for operation in (
        "anonymous.event", "form.submit", "delivery.metric", "delivery.unsubscribe", "segment.add",
        "person.merge",
    ):  # fmt: skip
        for name, raw in (
            ("null", b"null"), ("list", b"[1]"), ("empty", b"{}"),
            ("1e400", b'{"name":1e400,"action":"event"}'),
            ("150 levels", nested(150)), ("digits", b'{"a":%s}' % (b"9" * 5_000)),
            ("not UTF-8", b'{"a":"\xff"}'),
            ("half a character", b'{"a":"\\udfff"}'),
            ("wrong types", b'{"identifiers":5,"person":"x","action":[]}'),
        ):  # fmt: skip
            cases[f"{operation} {name}"] = body(raw, operation)
    for name, raw in (
        ("5,000 digits", b'"%s"' % (b"9" * 5_000)), ("1e308", b"1e308"), ("1e400", b"1e400"),
        ("negative", b"-1"),
        ("no number", b'"x"'), ("a list", b"[]"), ("too much", b"99999999999999"),
    ):  # fmt: skip
        cases[f"segment's id: {name}"] = body(
            b'{"person":{"id":"1"},"action":"add","identifiers":{"segment_id":%s}}' % raw,
            "segment.add",
        )
    person_of_segment = b'{"person":%s,"action":"add","identifiers":{"segment_id":1}}'
    for name, raw in (
        ("a number", b'{"id":5}'),
        ("two", b'{"id":"1","email":"x"}'),
        ("none", b"{}"),
        ("deep", b"5"),
    ):
        cases[f"segment's person: {name}"] = body(person_of_segment % raw, "segment.add")
    form = b'{"identifiers":{"form_id":%s},"person":{"id":"1"},"attributes":%s}'
    for name, id, attributes in (
        ("a number", b"5", b"{}"), ("200 kB", b'"%s"' % (b"x" * 200_000), b"{}"),
        ("a list", b'"f"', b"[1]"),
        ("..", b'".."', b"{}"), ("a line", b'"x\\r\\nHost: evil"', b"{}"),
    ):  # fmt: skip
        cases[f"form: {name}"] = body(form % (id, attributes), "form.submit")
    return {f"body: {name}": fields for name, fields in cases.items()}


def _jobs() -> dict[str, Fields]:
    changes: dict[str, dict[str, Any]] = {
        "operation unknown": {"operation": "foo.bar"},
        "operation of 1 MB": {"operation": "x" * 1_000_000},
        "operation with a line feed": {"operation": "a\nb"},
        "operation with a NUL": {"operation": "a\0b"},
        "operation empty": {"operation": ""},
        "operation half a character": {"operation": "\ud800"},
        "operation a number": {"operation": 5},
        "key half a character": {"keys": ["id:\ud800"]},
        "key with a NUL": {"keys": ["id:\0"]},
        "no keys": {"keys": []},
        "key without a colon": {"keys": ["x"]},
        "key empty": {"keys": [""]},
        "three keys": {"keys": ["id:a", "id:b", "id:c"]},
        "300 keys": {"keys": [f"id:{number}" for number in range(300)]},
        "the same key twice": {"keys": ["id:a", "id:a"]},
        "key of 3 kB": {"keys": ["id:" + _NOISE[:3_000]]},
        "key of 20 kB": {"keys": ["id:" + _NOISE[:20_000]]},
        "key of 20 kB of one letter": {"keys": ["id:" + "x" * 20_000]},
        "key of 1,900 letters of four bytes": {
            "keys": ["id:" + "".join(map(chr, range(0x20000, 0x20000 + 1_900)))]
        },
        "email of 3 kB": {"keys": ["email:" + _NOISE[:3_000] + "@x.com"]},
        "idempotency key of 20 kB": {"idempotency_key": _NOISE[:20_000]},
        "idempotency key with a NUL": {"idempotency_key": "\0"},
        "idempotency key empty": {"idempotency_key": ""},
        "source of 100 kB": {"source": _NOISE[:100_000]},
        "source half a character": {"source": "\udfff"},
        "source a list": {"source": []},
        "trace with escapes": {"trace": "\x1b[31m" + _NOISE[:5_000]},
        "accepted at 2**62": {"accepted_ms": 2**62},
        "accepted at 2**70": {"accepted_ms": 2**70},
        "accepted in the year 9999": {"accepted_ms": 253_402_300_799_999},
        "accepted in 1970": {"accepted_ms": 1},
        "accepted before 1970": {"accepted_ms": -5},
        "accepted at no integer": {"accepted_ms": 1.5},
        "id in small letters": {"id": new_id().lower()},
        "id of five letters": {"id": "short"},
        "id a number": {"id": 5},
        "stamp a text": {"stamp": "yes"},
        "fields that nobody knows": {"unknown": {"a": [1]}},
    }
    return {f"job: {name}": jobs(job(**change)) for name, change in changes.items()}


def _counts() -> dict[str, Fields]:
    numbers = (
        "1e9",
        "inf",
        "-inf",
        "nan",
        "0x7fffffffffffffff",
        "1e308",
        "1.5",
        "0",
        "-1",
        "999",
        "1000",
        "",
        "\0",
    )
    return {f"count: {number!r}": jobs(job()) | {"n": number} for number in numbers}
