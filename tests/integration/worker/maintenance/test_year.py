"""A year in fast motion: nothing grows without a bound, and every bound is documented."""

from tests.support import year
from tests.support.harness import Harness
from tests.support.outbox import Application


def test_in_years_nothing_grows_without_a_bound(harness: Harness, database_url: str) -> None:
    # What is kept longest ends after 400 days. Some days of the time until then, and after it.
    growth = year.live(harness, Application(database_url), days=960, step=80, say=print)
    assert growth.still_growing() == {}
    assert {what: names for what, names in year.undocumented(growth).items() if names} == {}
