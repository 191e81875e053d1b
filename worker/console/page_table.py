"""The pages of the console, in the order of the navigation. A new page is a row here."""

from __future__ import annotations

from .page import Page
from .pages import activity_page, dead_letters_page, jobs_page, overview_page, person_page

PAGES: tuple[Page, ...] = (
    overview_page.PAGE,
    jobs_page.PAGE,
    person_page.PAGE,
    dead_letters_page.PAGE,
    activity_page.PAGE,
)
