"""What the API answers, in the shapes it documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from .refusal import Refused

Headers = tuple[tuple[bytes, bytes], ...]


class Answer(NamedTuple):
    """Status, body and headers of an answer."""

    status: int
    body: bytes
    headers: Headers = ((b"content-type", b"application/json"),)


#: Accepted, with nothing to say.
OK = Answer(200, b"{}")
NO_CONTENT = Answer(204, b"", ())


def json_answer(status: int, document: Any, headers: Headers = ()) -> Answer:
    """An answer that carries `document`."""
    return Answer(
        status, msgspec.json.encode(document), ((b"content-type", b"application/json"), *headers)
    )


def meta_error(status: int, message: str) -> Answer:
    """v1's shape for one error: merge documents it, and it is seen where nothing is documented."""
    return json_answer(status, {"meta": {"error": message}})


def meta_errors(status: int, message: str) -> Answer:
    """v1's shape for a refusal of everything else."""
    return json_answer(status, {"meta": {"errors": [message]}})


def v2_errors(status: int, refused: Refused) -> Answer:
    """v2's shape for a refusal of the whole request."""
    return json_answer(status, {"errors": list(_described(refused))})


def v2_partly(refused: Sequence[tuple[int, Refused]]) -> Answer:
    """v2's answer to a batch of which some operations are refused."""
    errors = [
        {"batch_index": index, **error} for index, each in refused for error in _described(each)
    ]
    return json_answer(207, {"errors": errors})


def _described(refused: Refused) -> Iterator[dict[str, str]]:
    yield {"reason": refused.reason, "field": refused.field, "message": refused.message}
    for number in range(2, refused.times + 1):
        yield {
            "reason": refused.reason,
            "field": refused.field,
            "message": f"{refused.message} ({number})",
        }
