"""One person has one key, and placeholders of missing values name nobody."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.refusals import document_of, refusal_of
from trackrelay import InvalidOperationError, ObjectRef, Person, operations
from trackrelay.operations.checks.name_checks import email

COMPOSED, DECOMPOSED = "jos\u00e9@example.com", "jose\u0301@example.com"


def test_an_email_in_two_unicode_forms_is_one_person() -> None:
    assert COMPOSED != DECOMPOSED
    assert Person(email=COMPOSED) == Person(email=DECOMPOSED) == Person(email=DECOMPOSED.upper())
    assert operations.track(Person(email=DECOMPOSED), "seen").keys == (f"email:{COMPOSED}",)
    made = document_of(operations.identify(Person(email=DECOMPOSED), {"email": COMPOSED.upper()}))
    assert made["identifiers"] == {"email": COMPOSED}
    assert made["attributes"] == {"email": COMPOSED}
    assert document_of(operations.identify("42", {"email": DECOMPOSED}))["attributes"] == {
        "email": COMPOSED
    }


@given(st.text("aZé\u0301\u0130ßÅ\u212b\ufb01Ω.", min_size=1, max_size=8))
def test_an_address_is_written_the_same_however_often_it_is_normalised(local: str) -> None:
    try:
        once = email(f"{local}@example.com")
    except Exception:
        return
    assert email(once) == once == email(unicodedata.normalize("NFD", once))


PLACEHOLDERS = [
    "undefined",
    "null",
    "NULL",
    "None",
    "nan",
    "NaN",
    "nil",
    "<nil>",
    "(null)",
    "<NA>",
    "[object Object]",
    "{identifier}",
    "{ user_id }",
    "{}",
    "{0}",
    "{{customer.id}}",
    "user-{{ customer.id }}",
    "${user.id}",
    "#{user.id}",
    "{{customer.id}} of a template with a name that is longer than most",
]

#: Each with a place for an identifier.
IDENTIFIED: dict[str, Callable[[str], object]] = {
    "a person": lambda text: operations.track(text, "seen"),
    "a person's id": lambda text: Person(id=text),
    "a cio_id": lambda text: Person(cio_id=text),
    "a visitor": lambda text: operations.track_anonymous(text, "seen"),
    "an anonymous id": lambda text: operations.identify("42", anonymous_id=text),
    "an id among attributes": lambda text: operations.identify(
        Person(email="a@example.com"), {"id": text}
    ),
    "an object": lambda text: ObjectRef("1", text),
    "a document": lambda text: operations.entity(
        {"type": "person", "action": "delete", "identifiers": {"id": text}}
    ),
    "a segment's member": lambda text: operations.add_to_segment(1, ["42", text]),
    "who is merged": lambda text: operations.merge(primary="42", secondary=text),
    "a token": lambda text: operations.add_device("42", text, "ios"),
    "a delivery": operations.unsubscribe,
    "a form": lambda text: operations.submit_form(text, "42"),
}


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_a_placeholder_names_nobody(text: str) -> None:
    for place, identify in IDENTIFIED.items():
        with pytest.raises(
            InvalidOperationError, match=r"which names nobody|template's placeholder"
        ) as caught:
            identify(text)
        assert caught.value.limit == "an identifier", place


def test_the_refusal_says_where_the_placeholder_most_likely_comes_from() -> None:
    error = refusal_of(lambda: operations.track("undefined", "seen"))
    assert error.field == "identifiers.id"
    assert str(error) == (
        "a person's id is 'undefined', which names nobody: JavaScript writes it for a missing value"
    )


@pytest.mark.parametrize(
    "text", ["{{customer.email}}@example.com", "{{user}}@example.com", "${mail}@example.com"]
)
def test_a_template_in_an_address_is_a_placeholder(text: str) -> None:
    assert "placeholder" in str(refusal_of(lambda: Person(email=text)))


@pytest.mark.parametrize(
    "text",
    [
        "Null",
        "none",
        "nullable",
        "undefined-1",
        "true",
        "0",
        "nan2",
        "Nan",
        "{2f1cbd1d-5d5c-4c26-8b5e-0a1d1bb7f8f0}",
        "{2f1cbd1d5d5c4c268b5e0a1d1bb7f8f0}",
        "a{b}c",
        "user{1}",
    ],
)
def test_names_that_only_look_like_placeholders_are_taken(text: str) -> None:
    for identify in IDENTIFIED.values():
        identify(text)


@pytest.mark.parametrize("number", ["0151 23456789", "4915123456789", "+49 151 23456789", "n/a"])
def test_a_phone_that_is_no_e164_identifies_nobody(number: str) -> None:
    assert "E.164" in refusal_of(lambda: Person(phone=number)).limit


# ── cautions ──────────────────────────────────────────────────────────────────────────────────────


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "trackrelay"]


def test_a_phone_that_is_no_e164_is_written_about_once_for_each_attribute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for number in ("0151 2345", "0151 6789", "+4915123456789", "", None, 5):
        made = document_of(operations.identify("42", {"phone": number, "mobile": number}))
        assert made["attributes"]["phone"] == number
    phone, mobile = sorted(warnings(caplog), reverse=True)
    assert "attribute 'phone' is no phone number in E.164" in phone
    assert "attribute 'mobile'" in mobile
    assert "0151" not in phone + mobile


def test_a_number_that_is_no_time_is_written_about_if_its_name_is_a_times(
    caplog: pytest.LogCaptureFixture,
) -> None:
    times: dict[str, Any] = {
        "created_at": 1_714_564_800,
        "born_at": date(1871, 3, 5),
        "flat": 7,
        "seen_at": None,
    }
    operations.identify("42", times)
    assert warnings(caplog) == []
    for days in (0, 1_714_564, 99_999_999_999):
        operations.identify("42", {"trial_ends_at": days, "days": days})
    (line,) = warnings(caplog)
    assert "attribute 'trial_ends_at' is named like a time" in line


def test_the_names_that_are_written_about_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(150):
        operations.identify("42", {f"{number}_at": 1})
    lines = warnings(caplog)
    assert len(lines) == 100
    assert "further names are not reported" in lines[-1]
