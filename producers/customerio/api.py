"""The client for the App API, from the official package."""

from typing import Any

from . import official_package


def __getattr__(name: str) -> Any:
    return official_package.name_of_package(name, __name__)
