"""A Track API that answers anything, and remembers which job took effect when."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.integration.worker.model.process import Clock, here
from trackrelay.worker.storage.stored_job import Job
from trackrelay.worker.track_api.http_client import TooLateError
from trackrelay.worker.track_api.region import Verdict
from trackrelay.worker.track_api.request_builder import Request
from trackrelay.worker.track_api.responses import Answer, NoAnswer

#: Possible answers. "fine": what the jobs deserve. Those of the second line hide that it took
#: effect.
ANSWERS = (
    "fine", "busy", "unreached", "too fast", "later", "refused", "too large", "forbidden", "denied",
    "redirected", "lost", "html", "nonsense",
)  # fmt: skip

DENIED = Verdict(problem="denied", message="wrong key")


def refusal(message: str, status: int = 400) -> Answer:
    """A refusal of a whole request in the API's own shape."""
    return Answer(
        status,
        msgspec.json.encode({"errors": [{"reason": "invalid", "field": "x", "message": message}]}),
    )


@dataclass
class AnythingApi:
    """Answers as the asking holder's plan says, else as the jobs deserve.

    A `bad` job is refused by itself. A `poison` one gets its whole batch refused, and a `sick` one
    makes the batch fail.
    """

    #: Named in spans of requests.
    base_url: str = "https://track.invalid"
    moods: dict[str, str] = field(default_factory=dict)
    #: No job is sick any more, and nothing interferes.
    calm: bool = False
    verdict: Verdict = field(default_factory=Verdict)
    #: Every time a job took effect, in order.
    effects: list[Job] = field(default_factory=list)
    #: How often a job took effect without an answer.
    unsure: Counter[str] = field(default_factory=Counter)
    #: Jobs that were refused by themselves.
    refused: set[str] = field(default_factory=set)
    #: How often a job failed alone.
    failed_alone: Counter[str] = field(default_factory=Counter)
    #: Says what is wrong with sending these jobs now.
    objections: Callable[[Sequence[Job]], list[str]] = lambda jobs: []
    wrong: list[str] = field(default_factory=list)

    def send(self, request: Request, send_until: float = float("inf")) -> Answer | NoAnswer:
        """As `TrackApi.send`."""
        if Clock.monotonic() > send_until:
            raise TooLateError
        jobs = _carried(request)
        self.wrong += self.objections(jobs)
        kind = here.answers.pop(0) if here.answers and not self.calm else "fine"
        answer = self._answer(kind, request, jobs)
        if len(jobs) == 1 and not (isinstance(answer, Answer) and answer.status in (200, 204, 207)):
            self.failed_alone[jobs[0].id] += 1
        return answer

    def _answer(self, kind: str, request: Request, jobs: Sequence[Job]) -> Answer | NoAnswer:
        match kind:
            case "busy":
                return Answer(503, b"busy")
            case "unreached":
                return NoAnswer("connection refused")
            case "too fast":
                return Answer(429, b"slower")
            case "later":
                return Answer(503, b"busy", "3600")
            case "refused" | "too large":
                if len(jobs) == 1:
                    self.refused.add(jobs[0].id)
                return refusal(f"a whim {kind}", 400 if kind == "refused" else 413)
            case "forbidden":
                return Answer(403, b"")
            case "denied":
                self.verdict = DENIED
                return Answer(401, b"")
            case "redirected":
                return Answer(302, b"")
        answer, taken = self._deserved(request, jobs)
        self.effects += taken
        if kind == "fine":
            return answer
        self.unsure.update(job.id for job in taken)
        match kind:
            case "lost":
                return NoAnswer("no answer within 10 s")
            case "html":
                return Answer(200, b"<html>")
        errors = [{"batch_index": len(jobs), "message": "?"}, {"batch_index": 0, "message": "?"}]
        return Answer(207, msgspec.json.encode({"errors": errors}))

    def _deserved(self, request: Request, jobs: Sequence[Job]) -> tuple[Answer, list[Job]]:
        moods = [self.moods.get(job.id, "good") for job in jobs]
        if "sick" in moods and not self.calm:
            return Answer(503, b"sick"), []
        refused = [index for index, mood in enumerate(moods) if mood in ("bad", "poison")]
        if not refused:
            return (Answer(204, b"") if "/forms/" in request.path else Answer(200, b"{}")), list(
                jobs
            )
        if request.kind != "batch":
            self.refused.add(jobs[0].id)
            return refusal(f"no {jobs[0].id}"), []
        if "poison" in moods:
            return refusal("poison"), []
        self.refused.update(jobs[index].id for index in refused)
        errors = [
            {"batch_index": index, "reason": "invalid", "message": f"no {jobs[index].id}"}
            for index in refused
        ]
        return (
            Answer(207, msgspec.json.encode({"errors": errors})),
            [job for index, job in enumerate(jobs) if index not in refused],
        )


def _carried(request: Request) -> list[Job]:
    if request.size == 1 and len(here.jobs) == 1:
        return here.jobs
    bodies: list[Any] = [request.body]
    if request.kind == "batch":
        bodies = [
            bytes(each)
            for each in msgspec.json.decode(request.body, type=dict[str, list[msgspec.Raw]])[
                "batch"
            ]
        ]
    of_body = {job.body: job for job in here.jobs}
    return [of_body[body] for body in bodies]
