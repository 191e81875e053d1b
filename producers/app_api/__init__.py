"""Ask Customer.io: what it knows about people, objects, segments and messages.

Example::

    from trackrelay.app_api import AppApi, attr

    api = AppApi()
    profile = api.attributes("42")
    for person in api.people(where=(attr("plan") == "pro") & ~attr("churned").exists()):
        print(person.id, person.email)

The App API key is the setting ``CUSTOMERIO_APP_API_KEY``. The extra ``app-api`` installs what the
client needs.
"""

try:
    import requests  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "requests":
        raise
    raise ModuleNotFoundError(
        "trackrelay.app_api needs requests, which an extra installs: "
        "pip install 'trackrelay[app-api]'",
        name=error.name,
    ) from None

from .app_api_client import AppApi
from .app_api_errors import (
    AppApiAuthError,
    AppApiCallError,
    AppApiError,
    AppApiNotFoundError,
    AppApiRequestError,
    AppApiResponseError,
    AppApiUnavailableError,
)
from .async_client import AsyncAppApi, AsyncResults, AsyncSegmentHandle
from .filter_expressions import Filter, attr, in_segment, object_attr
from .message_results import (
    AttributeMetadata,
    EmailSuppression,
    EventMetadata,
    Message,
    Subscriptions,
    Topic,
    Workspace,
)
from .read_pages import Results
from .read_results import (
    Activity,
    Device,
    ObjectMatch,
    ObjectProfile,
    ObjectType,
    PersonMatch,
    Profile,
    RelatedObject,
    RelatedPerson,
    Segment,
)
from .segment_reader import SegmentHandle

__all__ = [
    "Activity",
    "AppApi",
    "AppApiAuthError",
    "AppApiCallError",
    "AppApiError",
    "AppApiNotFoundError",
    "AppApiRequestError",
    "AppApiResponseError",
    "AppApiUnavailableError",
    "AsyncAppApi",
    "AsyncResults",
    "AsyncSegmentHandle",
    "AttributeMetadata",
    "Device",
    "EmailSuppression",
    "EventMetadata",
    "Filter",
    "Message",
    "ObjectMatch",
    "ObjectProfile",
    "ObjectType",
    "PersonMatch",
    "Profile",
    "RelatedObject",
    "RelatedPerson",
    "Results",
    "Segment",
    "SegmentHandle",
    "Subscriptions",
    "Topic",
    "Workspace",
    "attr",
    "in_segment",
    "object_attr",
]
