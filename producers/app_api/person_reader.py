"""The reads about people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Unpack, overload

from trackrelay.operations.refs import ObjectRef, Person, PersonLike

from .app_api_errors import AppApiCallError
from .filter_expressions import Filter, filter_document
from .json_fields import Fields
from .message_results import Message, Subscriptions
from .read_pages import Page, PageOptions, PageSizes, Paging, ReadSequence, Results, page_of
from .read_requests import Read, chunks, get, id_type, object_get, person_get, person_of, post
from .read_results import Activity, PersonMatch, Profile, RelatedObject, RelatedPerson
from .reader_base import UNSPECIFIED, ReaderBase

PEOPLE = PageSizes(1000, 1000)
MESSAGES = PageSizes(100, 1000)
ACTIVITIES = PageSizes(100, 100)
#: Ids in one request.
MAX_IDS = 100


class PersonReader(ReaderBase):
    """The reads about people."""

    def people(
        self,
        *,
        email: str | None = None,
        where: Filter | Mapping[str, Any] | None = None,
        **pages: Unpack[PageOptions],
    ) -> Results[PersonMatch]:
        """Search for people, by email or by a filter.

        Args:
            email: the address.
            where: a filter, such as ``attr("plan") == "pro"``, or the API's own dict. Customer.io
                compares attributes as texts.
            pages: ``limit``, ``page_size`` (at most 1,000) and ``start``.
        """
        if (email is None) == (where is None):
            raise AppApiCallError("people() needs either email= or where=")
        read: Read[Page[PersonMatch]]
        if email is not None:
            if not isinstance(email, str) or not email:
                raise AppApiCallError("email= needs an address")
            read = get("/v1/customers", page_of("results", PersonMatch.read), email=email)
            paging = Paging(read, lambda match: match.cio_id, PEOPLE, pages, by=None)
            return Results(paging, self._requester.read)
        document = {"filter": filter_document(where)}
        read = post("/v1/customers", page_of("identifiers", PersonMatch.read), document)
        return self._results(read, lambda match: match.cio_id, PEOPLE, pages)

    def people_by_ids(self, people: Iterable[PersonLike]) -> Results[Profile]:
        """Read the profiles of many people, a hundred in a request.

        Customer.io leaves out people whom it does not know, and gives no order.
        """
        by_kind: dict[str, list[str]] = {}
        for each in map(person_of, people):
            by_kind.setdefault(each.kind, []).append(each.value)
        reads = [
            post(
                "/v1/customers/attributes",
                _profiles,
                {"ids": list(ids)},
                id_type=None if kind == "id" else kind,
            )
            for kind, values in by_kind.items()
            for ids in chunks(list(dict.fromkeys(values)), MAX_IDS)
        ]
        return Results(ReadSequence(reads), self._requester.read)

    def attributes(self, person: PersonLike) -> Profile:
        """Return a person's profile: attributes, devices, and whether the person is unsubscribed.

        Raises:
            AppApiNotFoundError: there is no such person.
        """
        read = person_get(
            "attributes", lambda fields: Profile.read(fields.fields("customer")), person
        )
        return self._requester.read(read)

    @overload
    def relationships(
        self, subject: ObjectRef, *, type: str | int | None = None, **pages: Unpack[PageOptions]
    ) -> Results[RelatedPerson]: ...
    @overload
    def relationships(
        self, subject: PersonLike, **pages: Unpack[PageOptions]
    ) -> Results[RelatedObject]: ...
    def relationships(
        self,
        subject: PersonLike | ObjectRef,
        *,
        type: str | int | None = None,
        **pages: Unpack[PageOptions],
    ) -> Results[RelatedObject] | Results[RelatedPerson]:
        """Return the objects of a person, or the people of an object.

        Args:
            subject: a person or an object.
            type: the type of an object that is named by ``cio_object_id``.
            pages: ``limit``, ``page_size`` and ``start``.
        """
        if isinstance(subject, ObjectRef):
            of_object = object_get(
                "relationships", page_of("cio_relationships", RelatedPerson.read), subject, type
            )
            return self._results(
                of_object, lambda each: each.cio_id or each.id or each.email, UNSPECIFIED, pages
            )
        if type is not None:
            raise AppApiCallError("type= is for an object; this is a person")
        of_person = person_get(
            "relationships", page_of("cio_relationships", RelatedObject.read), subject
        )
        return self._results(of_person, _object_identity, UNSPECIFIED, pages)

    def subscriptions(self, person: PersonLike, *, language: str | None = None) -> Subscriptions:
        """Return a person's subscription preferences.

        Args:
            person: whose.
            language: a language tag, in which topics are named.

        Raises:
            AppApiNotFoundError: there is no such person.
        """
        read = person_get(
            "subscription_preferences",
            lambda fields: Subscriptions.read(fields.fields("customer")),
            person,
            language=language,
        )
        return self._requester.read(read)

    def messages(
        self,
        person: PersonLike,
        *,
        start_ts: int | datetime | None = None,
        end_ts: int | datetime | None = None,
        **pages: Unpack[PageOptions],
    ) -> Results[Message]:
        """Return the messages to a person, of at most six months.

        Args:
            person: whose.
            start_ts: when the first may have been made: a unix time or a datetime.
            end_ts: when the last may have been made.
            pages: ``limit``, ``page_size`` (at most 1,000) and ``start``.
        """
        read = person_get(
            "messages",
            page_of("messages", Message.read),
            person,
            start_ts=_unix_time("start_ts", start_ts),
            end_ts=_unix_time("end_ts", end_ts),
        )
        return self._results(read, lambda message: message.id, MESSAGES, pages)

    def activities(
        self,
        person: PersonLike | None = None,
        *,
        type: str | None = None,
        name: str | None = None,
        deleted: bool = False,
        **pages: Unpack[PageOptions],
    ) -> Results[Activity]:
        """Return activities, of a person or of the whole workspace, the latest first.

        Customer.io keeps them for 30 days.

        Args:
            person: whose; None: everybody's.
            type: such as ``event``, ``attribute_change`` or ``failed_event``.
            name: of the event or the attribute.
            deleted: whether to return those of deleted people.
            pages: ``limit``, ``page_size`` (at most 100) and ``start``.
        """
        parse = page_of("activities", Activity.read)
        if person is not None and not deleted:
            read = person_get("activities", parse, person, type=type, name=name)
        else:
            someone = None if person is None else person_of(person)
            read = get(
                "/v1/activities",
                parse,
                type=type,
                name=name,
                deleted=deleted or None,
                customer_id=_customer_id(someone) if someone else None,
                id_type=id_type(someone) if someone else None,
            )
        return self._results(read, lambda activity: activity.id, ACTIVITIES, pages)


def _object_identity(found: RelatedObject) -> tuple[str, str | None]:
    return found.object_type_id, found.cio_object_id or found.object_id


def _profiles(fields: Fields) -> Page[Profile]:
    entries = fields.given_objects("customers")
    return Page(
        tuple(
            Profile.read(each.fields("customer") if each.has("customer") else each)
            for each in entries
        ),
        None,
    )


def _customer_id(person: Person) -> str:
    # In this parameter alone, Customer.io's own id has its prefix.
    return f"cio_{person.value}" if person.kind == "cio_id" else person.value


def _unix_time(name: str, value: int | datetime | None) -> int | None:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise AppApiCallError(f"{name} is a datetime without a time zone")
        return int(value.timestamp())
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise AppApiCallError(f"{name} is a unix time or a datetime, not a {type(value).__name__}")
    return value
