"""Customer.io's regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from . import official_package


class _Region(NamedTuple):
    name: str
    track_host: str
    api_host: str


class _Regions:
    US = _Region("us", "track.customer.io", "api.customer.io")
    EU = _Region("eu", "track-eu.customer.io", "api-eu.customer.io")


if TYPE_CHECKING:
    Regions = _Regions
else:
    Regions = official_package.shared("Regions", _Regions)

#: The class of a region.
Region: type[Any] = type(Regions.US)
