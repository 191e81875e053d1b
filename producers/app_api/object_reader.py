"""The reads about objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from trackrelay.operations.refs import ObjectRef

from .filter_expressions import Filter, filter_document, object_attr
from .json_fields import Fields
from .read_pages import PageOptions, Results, page_of
from .read_requests import object_get, post, type_number
from .read_results import ObjectMatch, ObjectProfile, ObjectType
from .reader_base import UNSPECIFIED, ReaderBase

#: No object has it, so all objects match its absence. Customer.io asks for a filter.
_NO_ATTRIBUTE = "trackrelay_no_such_attribute"


class ObjectReader(ReaderBase):
    """The reads about objects."""

    def objects(
        self,
        type: str | int,
        *,
        where: Filter | Mapping[str, Any] | None = None,
        **pages: Unpack[PageOptions],
    ) -> Results[ObjectMatch]:
        """Search for objects of a type.

        Args:
            type: its number in the workspace, or a name in the setting ``TRACKRELAY_OBJECT_TYPES``.
            where: a filter, such as ``object_attr("name") == "Acme"``, or the API's own dict; None:
                all objects.
            pages: ``limit``, ``page_size`` and ``start``.
        """
        number = type_number(type)
        if where is None:
            where = ~object_attr(_NO_ATTRIBUTE).exists()
        document = {"object_type_id": number, "filter": filter_document(where, number)}

        def match(fields: Fields) -> ObjectMatch:
            return ObjectMatch(number, fields.text("object_id"), fields.text("cio_object_id"))

        read = post("/v1/objects", page_of("identifiers", match), document)
        return self._results(
            read, lambda each: each.cio_object_id or each.object_id, UNSPECIFIED, pages
        )

    def object_attributes(self, obj: ObjectRef, *, type: str | int | None = None) -> ObjectProfile:
        """Return an object's attributes.

        Args:
            obj: the object.
            type: the type of an object that is named by ``cio_object_id``.

        Raises:
            AppApiNotFoundError: there is no such object.
        """
        read = object_get(
            "attributes", lambda fields: ObjectProfile.read(fields.fields("object")), obj, type
        )
        return self._requester.read(read)

    def object_types(self) -> list[ObjectType]:
        """Return the types of objects in the workspace."""
        return self._list("/v1/object_types", "types", ObjectType.read)
