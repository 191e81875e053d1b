"""Finds the endpoint of a request by method and path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

Segments = tuple[str, ...]


class Routed(Protocol):
    """A row of a table of endpoints; in the template, names in braces stand for any segment."""

    @property
    def method(self) -> str:
        """The HTTP method."""

    @property
    def template(self) -> str:
        """The path."""


E = TypeVar("E", bound=Routed)


class UnknownEndpointError(Exception):
    """No endpoint has this method and path; ``methods`` are those that the path has."""

    def __init__(self, methods: tuple[str, ...]) -> None:
        super().__init__(methods)
        self.methods = methods


class Routes(Generic[E]):
    """The endpoints of an API.

    Starlette's router cannot do this: it matches the decoded path, in which an encoded slash of
    an identifier separates segments.
    """

    def __init__(self, endpoints: Iterable[E]) -> None:
        self._templates: dict[int, list[tuple[Segments, E]]] = {}
        for endpoint in endpoints:
            parts = tuple(endpoint.template.split("/")[1:])
            self._templates.setdefault(len(parts), []).append((parts, endpoint))

    def find(self, method: str, segments: Segments) -> E:
        """Return the endpoint of a method and the decoded segments of a path.

        Raises:
            UnknownEndpointError: There is none.
        """
        methods = []
        for template, endpoint in self._templates.get(len(segments), ()):
            if all(a == b or a[0] == "{" for a, b in zip(template, segments, strict=True)):
                if endpoint.method == method:
                    return endpoint
                methods.append(endpoint.method)
        raise UnknownEndpointError(tuple(methods))
