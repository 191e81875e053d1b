"""The pages of the console, in the order of the navigation. A new page is a row here."""

from __future__ import annotations

from .page import Page
from .pages import (
    activity_page,
    backlog_page,
    catalog_page,
    dead_letters_page,
    jobs_page,
    overview_page,
    person_page,
    plan_state_page,
    quality_page,
    verification_page,
)

PAGES: tuple[Page, ...] = (
    overview_page.PAGE,
    jobs_page.PAGE,
    backlog_page.PAGE,
    dead_letters_page.PAGE,
    person_page.PAGE,
    quality_page.PAGE,
    verification_page.PAGE,
    catalog_page.PAGE,
    plan_state_page.PAGE,
    activity_page.PAGE,
)
