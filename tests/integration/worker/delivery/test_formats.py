"""Upgraded workers read every entry format that was ever written, from recorded bytes."""

import msgspec
import pytest

from tests.support.harness import Harness
from tests.support.in_process_worker import SHARDS, FakeApi, Worker
from trackrelay.operations.keys import shard_of
from trackrelay.queue.job import FORMAT_VERSION

#: Entries as 0.1.0 writes them. Never change them: a new format gets new lines.
FORMAT_1 = {
    "an event and the identify that travels with it": (
        b'[{"id":"01M872H5WYTBPJWVABY927EG5R","operation":"person.identify","keys":["id:42"],"body":{"type":"person",'
        b'"identifiers":{"id":"42"},"action":"identify","attributes":{"n":1}},"stamp":true,"source":"shop",'
        b'"trace":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},{"id":"01M872H5WYVHBWJZ4HKXK5TBC3",'
        b'"operation":"person.event","keys":["id:42"],"body":{"type":"person","identifiers":{"id":"42"},"action":"event",'
        b'"name":"seen","attributes":{"a":1},"id":"01M872H5WYVHBWJZ4HKXK5TBC3"},"stamp":true,"source":"shop",'
        b'"trace":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}]'
    ),
    "a job out of an outbox, under an id derived from a key": (
        b'[{"id":"01G0STS6QKQKNEPH7WXB467KBY","operation":"person.identify","keys":["id:42"],"body":{"type":"person",'
        b'"identifiers":{"id":"42"},"action":"identify","attributes":{"a":1}},"stamp":true,"idempotency_key":"k",'
        b'"accepted_ms":1795532712744}]'
    ),
    "the least there can be": (
        b'[{"id":"01M872H5X0QKQKNEPH7WXB467K","operation":"person.delete","keys":["id:42"],"body":{"type":"person",'
        b'"identifiers":{"id":"42"},"action":"delete"}}]'
    ),
}
SHARD = shard_of("id:42", SHARDS)


@pytest.mark.parametrize("entry", FORMAT_1.values(), ids=FORMAT_1)
def test_an_entry_of_format_1_is_read(
    harness: Harness, api: FakeApi, worker: Worker, entry: bytes
) -> None:
    harness.redis.xadd(f"trackrelay:{SHARD}:live", {"v": "1", "j": entry})
    worker.run_shard(SHARD)

    jobs = msgspec.json.decode(entry)
    sent = [document for each in api.sent for document in each.documents]
    assert [
        document.items() >= job["body"].items() for document, job in zip(sent, jobs, strict=True)
    ] == [True] * len(jobs)
    assert harness.ledger_ids() == {job["id"] for job in jobs}
    row = harness.delivered(jobs[-1]["id"])
    assert (row.source, row.idempotency_key) == (
        jobs[-1].get("source"),
        jobs[-1].get("idempotency_key"),
    )
    if "accepted_ms" in jobs[-1]:
        assert sent[-1]["timestamp"] == jobs[-1]["accepted_ms"] // 1000


def test_a_new_format_has_examples_here() -> None:
    assert FORMAT_VERSION == 1, "add entries of the new format to this file, and keep the old ones"
