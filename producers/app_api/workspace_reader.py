"""Reads about the workspace: suppressed addresses, workspaces. Writes to the Data Index."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Unpack, get_args

from .app_api_errors import AppApiCallError
from .json_fields import Fields
from .message_results import (
    AttributeMetadata,
    EmailSuppression,
    EventMetadata,
    SuppressionType,
    Workspace,
)
from .read_pages import Page, PageOptions, PageSizes, Paging, Results
from .read_requests import get, post
from .reader_base import ReaderBase

SUPPRESSIONS = PageSizes(1000, 1000)
#: Entries in one write to the Data Index.
MAX_METADATA = 100
MAX_DESCRIPTION = 255

_SUPPRESSION_TYPES = get_args(SuppressionType)


class WorkspaceReader(ReaderBase):
    """The reads about the workspace, and the writes to the Data Index."""

    def workspaces(self) -> list[Workspace]:
        """Return the workspaces of the account. Their counts can be two hours old."""
        return self._list("/v1/workspaces", "workspaces", Workspace.read)

    def email_suppression(self, email: str) -> list[EmailSuppression]:
        """Return why the email provider delivers nothing to an address; empty if it delivers."""
        read = get("/v1/esp/search_suppression/{email_address}", _suppressions, email)
        return list(self._requester.read(read).items)

    def email_suppressions(
        self,
        type: SuppressionType,
        *,
        domain: str | None = None,
        email: str | None = None,
        **pages: Unpack[PageOptions],
    ) -> Results[EmailSuppression]:
        """Return the addresses to which the email provider delivers nothing.

        Args:
            type: ``blocks``, ``bounces``, ``spam_reports`` or ``invalid_emails``.
            domain: a sending domain. Ask for each domain by itself if there are several; with a
                domain, Customer.io answers faster.
            email: only this address, with a domain.
            pages: ``limit``, ``page_size`` (at most 1,000) and ``start``; without a domain,
                ``start`` is a number of addresses to skip.
        """
        if type not in _SUPPRESSION_TYPES:
            raise AppApiCallError(f"type must be one of {', '.join(_SUPPRESSION_TYPES)}")
        if domain is None:
            if email is not None:
                raise AppApiCallError("email= needs domain=, or use email_suppression()")
            if not (start := pages.get("start") or "0").isdecimal():
                raise AppApiCallError("without domain=, start= is a number of addresses to skip")
            read = get("/v1/esp/suppression/{suppression_type}", _suppressions, type)
            options: PageOptions = {**pages, "start": start}
            paging = Paging(read, _identity, SUPPRESSIONS, options, by="offset")
            return Results(paging, self._requester.read)
        read = get(
            "/v1/esp/domains/{domain_name}/suppression/{suppression_type}",
            _suppressions,
            domain,
            type,
            email=email,
        )
        return self._results(read, _identity, SUPPRESSIONS, pages)

    def write_attribute_metadata(self, attributes: Iterable[AttributeMetadata]) -> None:
        """Write descriptions of attributes into the Data Index. This changes Customer.io.

        Raises:
            AppApiRequestError: Customer.io refuses them; nothing was written.
        """
        self._write_metadata("attributes", list(attributes))

    def write_event_metadata(self, events: Iterable[EventMetadata]) -> None:
        """Write descriptions of events into the workspace's Data Index. This changes Customer.io.

        Raises:
            AppApiRequestError: Customer.io refuses them; nothing was written.
        """
        self._write_metadata("events", list(events))

    def _write_metadata(
        self, kind: str, entries: Sequence[AttributeMetadata | EventMetadata]
    ) -> None:
        if not 1 <= len(entries) <= MAX_METADATA:
            raise AppApiCallError(
                f"one write takes from 1 to {MAX_METADATA} {kind}; it has {len(entries)}"
            )
        for each in entries:
            if len(each.description or "") > MAX_DESCRIPTION:
                raise AppApiCallError(
                    f"a description has at most {MAX_DESCRIPTION} characters; "
                    f"one has {len(each.description or '')}"
                )
        document = {kind: [_given(each) for each in entries]}
        self._requester.read(post(f"/v1/data_index/{kind}", lambda _: None, document))


def _suppressions(fields: Fields) -> Page[EmailSuppression]:
    category = fields.text("category")
    found = (EmailSuppression.read(each, category) for each in fields.given_objects("suppressions"))
    return Page(tuple(found), fields.text("next") or None)


def _identity(found: EmailSuppression) -> tuple[str, str | None]:
    return found.email, found.category


def _given(entry: AttributeMetadata | EventMetadata) -> dict[str, object]:
    values = dataclasses.asdict(entry)
    return {name: value for name, value in values.items() if value is not None}
