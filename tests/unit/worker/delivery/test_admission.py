"""What may be sent while breakers are open, decided on values alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trackrelay.worker.delivery.admission import admit, choose_probes
from trackrelay.worker.delivery.breaker import BreakerState, BreakerStates
from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.storage.stored_job import Job

OPERATIONS = {
    "person.event": Family.V2,
    "anonymous.event": Family.V1_EVENTS,
    "segment.add": Family.SEGMENTS,
    "form.submit": Family.FORMS,
    "delivery.metric": Family.METRICS,
}


def job(number: int, operation: str, keys: tuple[str, ...], *, from_backlog: bool = False) -> Job:
    return Job(
        id=str(number), operation=operation, keys=keys, shards=(0,) * len(keys), body=b"{}",
        lane="live",
        enqueued_at=0.0, age_from=0.0, entry=None if from_backlog else f"{number}-0",
    )  # fmt: skip


jobs = st.lists(
    st.tuples(
        st.sampled_from(sorted(OPERATIONS)),
        st.sampled_from([("a",), ("b",), ("c",), ("a", "b")]),
        st.booleans(),
    ),
    max_size=12,
).map(
    lambda drawn: [
        job(n, operation, keys, from_backlog=back)
        for n, (operation, keys, back) in enumerate(drawn)
    ]
)
breakers = st.dictionaries(
    st.sampled_from(list(Family)),
    st.sampled_from(["closed", "open", "halted", "probe"]).map(BreakerState),
    max_size=5,
).map(lambda families: BreakerStates(families=families))


@given(jobs, breakers)
def test_nothing_passes_an_earlier_job_of_its_key_that_waits(
    jobs: list[Job], breakers: BreakerStates
) -> None:
    admission = admit(jobs, breakers, choose_probes(jobs, breakers))
    ready = {each.id for each in admission.ready}
    for index, each in enumerate(jobs):
        if each.id in ready:
            earlier = [other for other in jobs[:index] if set(other.keys) & set(each.keys)]
            assert all(other.id in ready for other in earlier)


@given(jobs, breakers)
def test_every_new_job_is_sent_or_waits_and_blocked_families_hold_up_no_others(
    jobs: list[Job], breakers: BreakerStates
) -> None:
    probes = choose_probes(jobs, breakers)
    admission = admit(jobs, breakers, probes)
    ready = [each.id for each in admission.ready]
    waiting = [each.job.id for each in admission.waiting]
    assert sorted(ready + waiting, key=int) == [
        each.id for each in jobs if not each.from_backlog or each.id in ready
    ]
    assert set(probes) <= breakers.probing
    for family in Family:
        sent = [each for each in admission.ready if each.family is family]
        if breakers.of(family).phase in ("open", "halted"):
            assert not sent
        elif breakers.of(family).phase == "probe":
            assert len(sent) <= 1
    if all(breakers.of(family).phase == "closed" for family in Family):
        assert ready == [each.id for each in jobs]


def test_the_shared_breaker_holds_for_every_family() -> None:
    halted = BreakerStates(shared=BreakerState("halted", "credentials"))
    admission = admit([job(1, "form.submit", ("a",))], halted, {})
    assert [each.reason for each in admission.waiting] == ["halted"]
    assert not halted.may_send


def test_a_probe_is_not_of_the_key_of_the_one_before_if_there_is_a_choice() -> None:
    breakers = BreakerStates(families={Family.V2: BreakerState("probe", probe_key="a")})
    both = [job(1, "person.event", ("a",)), job(2, "person.event", ("b",))]
    assert choose_probes(both, breakers)[Family.V2].id == "2"
    assert choose_probes(both[:1], breakers)[Family.V2].id == "1"
