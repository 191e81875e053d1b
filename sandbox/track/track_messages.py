"""Requests, refusals and answers of the Track API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote_plus

import msgspec

_decode = msgspec.json.Decoder().decode


class RefusalError(Exception):
    """An operation is refused.

    v2 answers with field, reason and message, v1 with the message alone.

    Args:
        field: The field that is wrong.
        message: What is wrong with it.
        reason: Customer.io's word for the kind of error.
        times: How many errors the answer has.
    """

    def __init__(self, field: str, message: str, reason: str = "invalid", times: int = 1) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.reason = reason
        self.times = times


class MalformedError(RefusalError):
    """The request as a whole is refused: no operation in it takes effect."""


class Request(msgspec.Struct):
    """A request: method, raw path and query, headers in lower case, body."""

    method: str
    raw_path: str
    raw_query: str
    headers: Mapping[bytes, bytes]
    body: bytes
    #: The decoded segments of the path.
    segments: tuple[str, ...] = ()

    def query(self, name: str, default: str) -> str:
        """Return the last value of a query parameter."""
        values = parse_qs(self.raw_query, keep_blank_values=True).get(name)
        return values[-1] if values else default

    def json(self) -> Any:
        """Return the decoded body.

        Raises:
            MalformedError: The body is not JSON, or its content type is not.
        """
        self.require_json_type()
        try:
            return _decode(self.body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise MalformedError("", f"the body is not valid JSON: {error}") from None

    def require_json_type(self) -> None:
        """Check the content type: every request body of the description is JSON.

        Raises:
            MalformedError: The content type is another one, or missing.
        """
        kind = self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise MalformedError("", "the Content-Type header must be application/json")


def split_path(raw_path: str) -> tuple[str, ...]:
    """Return the decoded segments of a path.

    Clients must percent-encode identifiers. As at Customer.io, an identifier that is not encoded
    means something else: ``+`` is a space, and ``.`` and ``..`` change the path even if encoded.
    """
    decoded: list[str] = []
    for segment in raw_path.split("/")[1:]:
        plain = unquote_plus(segment) if "%" in segment or "+" in segment else segment
        if plain == "..":
            del decoded[-1:]
        elif plain != ".":
            decoded.append(plain)
    return tuple(decoded)


Headers = tuple[tuple[bytes, bytes], ...]


class Answer(NamedTuple):
    """Status, body and headers of an answer."""

    status: int
    body: bytes
    headers: Headers = ((b"content-type", b"application/json"),)

    def with_headers(self, *headers: tuple[bytes, bytes]) -> Answer:
        """Return the same answer with additional headers."""
        return self._replace(headers=(*self.headers, *headers))


OK = Answer(200, b"{}")
NO_CONTENT = Answer(204, b"", ())


def json_answer(status: int, document: Any) -> Answer:
    """Return an answer with a JSON body."""
    return Answer(status, msgspec.json.encode(document))


def meta_error(status: int, message: str) -> Answer:
    """Return v1's answer with one error, the documented shape for merges.

    Customer.io also uses it where the description documents nothing.
    """
    return json_answer(status, {"meta": {"error": message}})


def meta_errors(status: int, message: str) -> Answer:
    """Return v1's answer with a list of errors, the documented shape for all other endpoints."""
    return json_answer(status, {"meta": {"errors": [message]}})


def v2_errors(status: int, refusal: RefusalError) -> Answer:
    """Return v2's answer to a request that is refused as a whole."""
    return json_answer(status, {"errors": list(_errors(refusal))})


def v2_partly(refusals: Sequence[tuple[int, RefusalError]]) -> Answer:
    """Return v2's answer to a batch with some refused operations, by their index."""
    errors = [
        {"batch_index": index, **error} for index, each in refusals for error in _errors(each)
    ]
    return json_answer(207, {"errors": errors})


def _errors(refusal: RefusalError) -> Iterator[dict[str, str]]:
    for number in range(1, refusal.times + 1):
        message = refusal.message if number == 1 else f"{refusal.message} ({number})"
        yield {"reason": refusal.reason, "field": refusal.field, "message": message}
