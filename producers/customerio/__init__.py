"""Customer.io's own client for the Track API, by name and by behaviour, that enqueues instead of sending.

A project that uses the official client changes its import and nothing else::

    from trackrelay.customerio import CustomerIO, Regions, CustomerIOException

The credentials, region, host and retries given to ``CustomerIO`` are kept and not used: the worker has its own. What is not about
the Track API (``APIClient``, ``SendEmailRequest`` …) comes from the official package where that is installed.
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
