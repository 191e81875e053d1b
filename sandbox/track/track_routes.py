"""Which endpoint a method and a path mean."""

from __future__ import annotations

from .endpoints import BATCH, ENDPOINTS, ENTITY, Endpoint

Segments = tuple[str, ...]

#: Found without taking the path apart: nearly all traffic goes here.
_HOT = {("POST", endpoint.template): endpoint for endpoint in (BATCH, ENTITY)}
_TEMPLATES: dict[int, list[tuple[Segments, Endpoint]]] = {}
for _endpoint in ENDPOINTS:
    _parts = tuple(_endpoint.template.split("/")[1:])
    _TEMPLATES.setdefault(len(_parts), []).append((_parts, _endpoint))


class Unknown(Exception):
    """No endpoint: `methods` tells which ones the path has, if it has any."""

    def __init__(self, methods: tuple[str, ...]) -> None:
        super().__init__(methods)
        self.methods = methods


def hot(method: str, raw_path: str) -> Endpoint | None:
    """The endpoint of v2 that the raw path spells."""
    return _HOT.get((method, raw_path))


def find(method: str, segments: Segments) -> Endpoint:
    """The endpoint of a method and a decoded path, or `Unknown`."""
    methods = []
    for template, endpoint in _TEMPLATES.get(len(segments), ()):
        if _fits(template, segments):
            if endpoint.method == method:
                return endpoint
            methods.append(endpoint.method)
    raise Unknown(tuple(methods))


def _fits(template: Segments, segments: Segments) -> bool:
    return all(
        part == segment or part[0] == "{" for part, segment in zip(template, segments, strict=True)
    )
