"""Results name their people and objects for further reads."""

from trackrelay import ObjectRef, Person
from trackrelay.app_api import Activity, ObjectMatch, PersonMatch


def test_a_match_names_the_person_by_the_surest_id() -> None:
    assert PersonMatch("c", "42").person == Person(id="42")
    assert PersonMatch("c").person == Person(cio_id="c")
    # An id that our own calls refuse.
    assert PersonMatch("c", "..").person == Person(cio_id="c")
    assert PersonMatch("c", "a@example.com").person == Person(id="a@example.com")


def test_a_match_names_the_object() -> None:
    assert ObjectMatch("1", "acme", "ob1").object == ObjectRef(1, "acme")
    assert ObjectMatch("1", None, "ob1").object == ObjectRef(cio_object_id="ob1")


def test_an_activity_knows_its_time() -> None:
    assert Activity("a", "event", 0).at.isoformat() == "1970-01-01T00:00:00+00:00"
