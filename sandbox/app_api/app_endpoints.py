"""The operations of the App API: paths, answers, limits and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from trackrelay.sandbox.routes import Routes
from trackrelay.sandbox.track.track_messages import (
    Answer,
    MalformedError,
    Request,
    json_answer,
    meta_errors,
)
from trackrelay.sandbox.workspace.conditions import ConditionError
from trackrelay.sandbox.workspace.workspace_state import State

from . import account_reads as account
from . import history_reads as history
from . import object_reads as objects
from . import people_reads as people
from . import segment_reads as segments
from .app_messages import BadRequestError, MissingError, empty, error_list


def _without_reason(status: int, detail: str) -> Answer:
    return empty(status)


class AppEndpoint(NamedTuple):
    """One operation of the description."""

    name: str
    method: str
    template: str
    #: Returns the JSON of the answer, or the whole answer.
    read: Callable[[State, Request], Any]
    #: Builds the answer to a request that is not valid. Most operations document none.
    refuse: Callable[[int, str], Answer] = error_list
    #: Whether the limit of requests per second applies.
    is_limited: bool = True

    def answer(self, state: State, request: Request) -> Answer:
        """Return the answer to a request."""
        try:
            document = self.read(state, request)
        except MissingError:
            return empty(404)
        except (BadRequestError, ConditionError) as error:
            return self.refuse(400, str(error))
        except MalformedError as error:
            return self.refuse(400, error.message)
        except RecursionError:
            return self.refuse(400, "the filter is nested too deep")
        return document if isinstance(document, Answer) else json_answer(200, document)

    def default_answer(self, status: int, detail: str) -> Answer:
        """Return the answer with another status, for faults."""
        if status == 204 or status in (401, 403, 404, 429) or status >= 500:
            return empty(status)
        return json_answer(status, {}) if status < 300 else self.refuse(status, detail)


_PERSON = "/v1/customers/{customer_id}"
_OBJECT = "/v1/objects/{object_type_id}/{object_id}"
_SEGMENT = "/v1/segments/{segment_id}"
_ESP = "/v1/esp"

APP_ENDPOINTS = (
    AppEndpoint("getPeopleEmail", "GET", "/v1/customers", people.by_email),
    AppEndpoint("getPeopleFilter", "POST", "/v1/customers", people.search),
    AppEndpoint(
        "getPeopleById", "POST", "/v1/customers/attributes", people.by_ids, _without_reason
    ),
    AppEndpoint("getPersonAttributes", "GET", f"{_PERSON}/attributes", people.attributes),
    AppEndpoint("getPersonRelationships", "GET", f"{_PERSON}/relationships", people.relationships),
    AppEndpoint("getPersonSegments", "GET", f"{_PERSON}/segments", segments.of_person),
    AppEndpoint("getPersonMessages", "GET", f"{_PERSON}/messages", people.messages),
    AppEndpoint(
        "getPersonActivities", "GET", f"{_PERSON}/activities", history.of_person, _without_reason
    ),
    AppEndpoint(
        "getPersonSubscriptionPreferences",
        "GET",
        f"{_PERSON}/subscription_preferences",
        people.subscriptions,
        meta_errors,
    ),
    AppEndpoint("getObjectTypes", "GET", "/v1/object_types", objects.types),
    AppEndpoint("getObjectsFilter", "POST", "/v1/objects", objects.search),
    AppEndpoint("getObjectRelationships", "GET", f"{_OBJECT}/relationships", objects.relationships),
    AppEndpoint("getObjectAttributes", "GET", f"{_OBJECT}/attributes", objects.attributes),
    AppEndpoint("listSegments", "GET", "/v1/segments", segments.all_segments),
    AppEndpoint("getSegment", "GET", _SEGMENT, segments.one),
    AppEndpoint("getSegmentCount", "GET", f"{_SEGMENT}/customer_count", segments.count),
    AppEndpoint("getSegmentMembership", "GET", f"{_SEGMENT}/membership", segments.membership),
    AppEndpoint("listActivities", "GET", "/v1/activities", history.all_activities),
    AppEndpoint("listWorkspaces", "GET", "/v1/workspaces", account.workspaces, is_limited=False),
    AppEndpoint(
        "updateAttributeMetadata",
        "POST",
        "/v1/data_index/attributes",
        account.update_metadata("attributes"),
        is_limited=False,
    ),
    AppEndpoint(
        "updateEventMetadata",
        "POST",
        "/v1/data_index/events",
        account.update_metadata("events"),
        is_limited=False,
    ),
    AppEndpoint(
        "getSuppression", "GET", f"{_ESP}/search_suppression/{{email_address}}", account.esp_search
    ),
    AppEndpoint(
        "getSuppressionByType",
        "GET",
        f"{_ESP}/suppression/{{suppression_type}}",
        account.esp_by_type,
    ),
    AppEndpoint(
        "getDomainSuppressionsByType",
        "GET",
        f"{_ESP}/domains/{{domain_name}}/suppression/{{suppression_type}}",
        account.esp_by_domain,
    ),
)

APP_ROUTES = Routes(APP_ENDPOINTS)
