"""A drop-in replacement for Customer.io's Python client, which enqueues instead of sending.

A project that uses the official client only changes its import::

    from trackrelay.customerio import CustomerIO, Regions, CustomerIOException

``CustomerIO`` keeps its credentials, region, host and retries as attributes but does not use them:
the worker has its own. Names outside the Track API (``APIClient``, ``SendEmailRequest`` …) come
from the official package, if it is installed.
"""

from typing import Any

from . import official_package
from .client_base import CustomerIOException
from .regions import Regions
from .submission import enqueue_through
from .track import CustomerIO

__all__ = ["CustomerIO", "CustomerIOException", "Regions", "enqueue_through"]


def __getattr__(name: str) -> Any:
    return official_package.name_of_package(name, __name__)
