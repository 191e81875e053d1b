"""The official client for the App API, from the official package."""

from typing import Any

from . import official


def __getattr__(name: str) -> Any:
    return official.name_of_package(name, __name__)
