"""Dead letters with documents that no parser takes, or with undecodable stream entries."""

from __future__ import annotations

import sqlalchemy as sa

from trackrelay.operations.ids import new_id

BODIES: dict[str, str] = {
    "a list": "[]",
    "null": "null",
    "a number": "5",
    "text": '"x"',
    "an empty object": "{}",
    "1e400": '{"type":"person","action":"event","name":"x","attributes":{"a":1e400}}',
    "5,000 digits": '{"a":%s}' % ("9" * 5_000),
    "900 levels": '{"a":' * 900 + "1" + "}" * 900,
    "5,000 levels": "[" * 5_000 + "]" * 5_000,
    "half a character": '{"a":"\\ud800"}',
    "a NUL": '{"a\\u0000":"\\u0000"}',
    "wrong types": '{"type":[],"action":{},"identifiers":5,"name":null,"timestamp":"x",'
    '"attributes":[1]}',
}
RAWS: dict[str, bytes] = {
    "no UTF-8": b"\xff\xfe\x00" * 100,
    "a megabyte": b"x" * 1_000_000,
    "empty": b"",
    "markup": b'{"j":"</pre><script>alert(1)</script>\\u001b[31m"}',
}
WRITTEN = sa.text("""
    INSERT INTO trackrelay_dead_letters (job_id, key, operation, lane, body, raw, reason, error,
        field, status, attempts, state,
        enqueued_at, died_at, updated_at, history)
    VALUES (:id, 'id:42', :operation, 'live', CAST(:body AS json), :raw, :reason, :error,
        :field, 400, 1, 'open',
        now(), now(), now(), '[]')
""")


def write(engine: sa.Engine) -> dict[str, str]:
    """Write a dead letter of each kind; gives their ids."""
    ids = {name: new_id() for name in (*BODIES, *RAWS)}
    with engine.begin() as connection:
        for name, id in ids.items():
            values = {
                "id": id,
                "operation": "person.event",
                "reason": "rejected",
                "error": "no",
                "field": "attributes.a",
            }
            values |= {"body": BODIES.get(name), "raw": RAWS.get(name)}  # type: ignore[dict-item]
            if name in RAWS:
                values |= {"operation": "unknown", "reason": "undecodable", "field": None}  # type: ignore[dict-item]
            connection.execute(WRITTEN, values)
    return ids
