"""Any bytes in an answer are classified: nothing is raised, nothing reaches the next request."""

import tracemalloc

import pytest

from tests.support import hostile_server
from tests.support.hostile_server import Hostile, answering
from trackrelay import operations
from trackrelay.worker.track_api.http_client import TrackApi
from trackrelay.worker.track_api.request_builder import batch
from trackrelay.worker.track_api.responses import (
    Accepted,
    Answer,
    AuthRejected,
    EndpointFailure,
    NoAnswer,
    classify_response,
)

REQUEST = batch([operations.track("42", "seen").body])
#: For a machine that does other things too: nothing here needs it but what never ends by itself.
TIMEOUT_S = 30.0
#: The answer may be 4 MB long, and exist twice for a moment; a gigabyte is something else.
MAX_MEMORY = 40_000_000


def asked(server: Hostile, times: int = 1) -> list[Answer | NoAnswer]:
    """Send requests one after the other, and return the answers."""
    api = TrackApi(f"http://127.0.0.1:{server.port}", TIMEOUT_S, lambda: ("site", "key"))
    try:
        return [api.send(REQUEST) for _ in range(times)]
    finally:
        api.close()


@pytest.mark.parametrize("say", hostile_server.NO_ANSWER.values(), ids=hostile_server.NO_ANSWER)
def test_an_invalid_answer_is_the_endpoints_problem(say: hostile_server.Says) -> None:
    with answering(say) as server:
        tracemalloc.start()
        (answer,) = asked(server)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert isinstance(answer, NoAnswer)
    assert len(answer.error) < 400
    assert answer.error.isprintable()
    assert isinstance(classify_response(REQUEST, answer), EndpointFailure)
    assert peak < MAX_MEMORY
    # What the system's buffers hold was sent too.
    assert server.sent_bytes < 30_000_000


@pytest.mark.parametrize(
    "say", hostile_server.UNKNOWN_ANSWER.values(), ids=hostile_server.UNKNOWN_ANSWER
)
def test_an_answer_that_nobody_documented_is_never_success_nor_refusal(
    say: hostile_server.Says,
) -> None:
    with answering(say) as server:
        (answer,) = asked(server)
    assert isinstance(classify_response(REQUEST, answer), EndpointFailure | AuthRejected)
    assert server.sent_bytes < 30_000_000


@pytest.mark.parametrize("say", hostile_server.ACCEPTED.values(), ids=hostile_server.ACCEPTED)
def test_a_documented_answer_in_a_strange_form_is_understood(say: hostile_server.Says) -> None:
    with answering(say) as server:
        (answer,) = asked(server)
    assert classify_response(REQUEST, answer) == Accepted({})


def test_no_cookie_of_the_endpoint_is_kept() -> None:
    with answering(hostile_server.once(hostile_server.cookies(12))) as server:
        answers = asked(server, times=3)
    assert [classify_response(REQUEST, answer) for answer in answers] == [Accepted({})] * 3
    assert len(server.requests) == 3
    assert not any(b"cookie" in request.lower() for request in server.requests)


def test_answers_behind_the_answer_are_not_taken_for_those_of_the_next_requests() -> None:
    many = (
        hostile_server.sized(b"{}")
        + hostile_server.sized(b'{"errors":[{"message":"no"}]}', b"400 Bad") * 10
    )
    with answering(hostile_server.once(many)) as server:
        answers = asked(server, times=3)
    assert not any(isinstance(answer, Answer) and answer.status == 400 for answer in answers)
