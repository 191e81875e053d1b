"""``trackrelay backlog``."""

from tests.support.canaries import CANARY_EMAIL
from tests.support.command_line import CommandLine
from tests.support.harness import Harness


def test_waiting_jobs_are_listed_and_filtered(
    harness: Harness, run: CommandLine, delivering: Harness
) -> None:
    assert run("backlog").out == "The backlog is empty.\n"
    harness.sandbox.add_fault(kind="status", status=503)
    paid = harness.producer.track("42", "paid", {"total": 5, "email": CANARY_EMAIL})
    later = harness.producer.track("42", "shipped", {})
    device = harness.producer.add_device("43", "token", "ios")
    for job in (paid, later, device):
        harness.wait_waiting(job)

    listed = run("backlog")

    assert "person.event paid" in listed.out
    assert "3 jobs in the backlog" in listed.out
    assert f"trackrelay find {paid}" in listed.out
    document = run("backlog", "--json").json
    assert document["total"] == 3
    # All three may be of one millisecond, and then any of them may be the oldest.
    names = {each["id"]: each["name"] for each in document["jobs"]}
    assert names == {paid: "paid", later: "shipped", device: None}
    enqueued = [each["enqueued_at"] for each in document["jobs"]]
    assert enqueued == sorted(enqueued)

    def found(*filters: str) -> list[str]:
        return [each["id"] for each in run("backlog", "--json", *filters).json["jobs"]]

    assert found("--name", "paid") == [paid] == found("--email", CANARY_EMAIL.upper())
    assert found("--person", "42", "--name", "shipped") == [later]
    assert found("--operation", "person.add_device") == [device] == found("--key", "id:43")
    assert found("--reason", "replayed") == [] == found("--source", "elsewhere")
    assert len(found("--limit", "2")) == 2
    assert "the oldest 2 are shown" in run("backlog", "--limit", "2").out
    assert run("backlog", "--name", "nothing").out == "No job matches.\n"
