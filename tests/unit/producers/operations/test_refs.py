from __future__ import annotations

import copy
import pickle
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from tests.support.refusals import refusal_of
from trackrelay.errors import InvalidOperationError
from trackrelay.operations.refs import ObjectRef, Person

SOME_UUID = UUID("2f1cbd1d-5d5c-4c26-8b5e-0a1d1bb7f8f0")


class Customer(Enum):
    ADA = 42


@pytest.mark.parametrize(
    ("plain", "id"),
    [
        ("42", "42"),
        (42, "42"),
        (0, "0"),
        (-1, "-1"),
        (SOME_UUID, str(SOME_UUID)),
        (Customer.ADA, "42"),
        ("@ada", "@ada"),
        ("ä b", "ä b"),
    ],
)
def test_a_plain_value_is_the_persons_id(plain: Any, id: str) -> None:
    assert Person.of(plain) == Person(id=id)
    assert Person.of(plain).key == f"id:{id}"


@pytest.mark.parametrize(
    "plain",
    [
        True,
        False,
        None,
        "",
        "     ",
        ".",
        "..",
        b"42",
        4.2,
        [],
        {},
        object(),
        "4\n2",
        "4\x002",
        "\ud800",
    ],
)
def test_a_plain_value_that_is_no_id_is_refused(plain: Any) -> None:
    assert refusal_of(lambda: Person.of(plain)).field == "identifiers.id"


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        (
            "ada@example.com",
            "a person's id looks like an email address: say Person(email=…), "
            "or Person(id=…) if it is your id",
        ),
        (
            " a@b ",
            "a person's id looks like an email address: say Person(email=…), "
            "or Person(id=…) if it is your id",
        ),
        (
            "cio_03000001",
            "a person's id starts with 'cio_': say Person(cio_id=…), "
            "or Person(id=…) if it is your id",
        ),
    ],
)
def test_a_plain_value_that_could_mean_something_else_is_refused_with_how_to_say_it(
    plain: str, message: str
) -> None:
    assert str(refusal_of(lambda: Person.of(plain))) == message
    assert Person(id=plain).value == plain


@pytest.mark.parametrize(
    ("named", "identifiers"),
    [
        ({"id": 7}, {"id": "7"}),
        ({"id": SOME_UUID}, {"id": str(SOME_UUID)}),
        ({"email": " Ada@Example.COM\n"}, {"email": "ada@example.com"}),
        ({"email": "ada+news@mail.example.co.uk"}, {"email": "ada+news@mail.example.co.uk"}),
        ({"email": "ÄDA@exämple.de"}, {"email": "äda@exämple.de"}),
        ({"phone": " +14155552671 "}, {"phone": "+14155552671"}),
        ({"cio_id": "a3000001"}, {"cio_id": "a3000001"}),
        ({"cio_id": "cio_a3000001"}, {"cio_id": "a3000001"}),
        ({"anonymous_id": "cookie-1"}, {"anonymous_id": "cookie-1"}),
        ({"id": "42", "email": None}, {"id": "42"}),
    ],
)
def test_a_person_is_named_in_one_form(named: dict[str, Any], identifiers: dict[str, str]) -> None:
    assert Person(**named).identifiers == identifiers


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({}, "a Person needs exactly one of id, email, phone, cio_id, anonymous_id; it has none"),
        (
            {"id": None},
            "a Person needs exactly one of id, email, phone, cio_id, anonymous_id; it has none",
        ),
        (
            {"id": 1, "email": "a@b.co"},
            "a Person needs exactly one of id, email, phone, cio_id, anonymous_id; "
            "it has id and email",
        ),
        (
            {"id": True},
            "the id of a Person is a boolean; it must be text, a whole number or a UUID",
        ),
        ({"id": " "}, "the id of a Person is blank"),
        ({"id": ".."}, "the id of a Person is '..', which is a path and not a name"),
        ({"email": ""}, "the email of a Person is not an email address: blank"),
        ({"email": "ada"}, "the email of a Person is not an email address: no @ in it"),
        ({"email": "ada@b@c.de"}, "the email of a Person is not an email address: more than one @"),
        ({"email": "ada b@c.de"}, "the email of a Person is not an email address: a blank inside"),
        ({"email": "@c.de"}, "the email of a Person is not an email address: nothing before the @"),
        ({"email": "ada@"}, "the email of a Person is not an email address: nothing after the @"),
        (
            {"email": "ada@example"},
            "the email of a Person is not an email address: no dot after the @",
        ),
        (
            {"email": "ada@example..com"},
            "the email of a Person is not an email address: "
            "characters or dots that cannot stand there",
        ),
        (
            {"email": "<ada@example.com>"},
            "the email of a Person is not an email address: "
            "characters or dots that cannot stand there",
        ),
        ({"email": 42}, "the email of a Person is a number; it must be an email address"),
        (
            {"phone": "0049 170 1234567"},
            "the phone of a Person is not a phone number as Customer.io takes them: "
            "+ and up to 15 digits, nothing else",
        ),
        (
            {"phone": 4917012},
            "the phone of a Person is a number; it must be a phone number such as +14155552671",
        ),
        ({"cio_id": "cio_"}, "the cio_id of a Person is blank"),
        ({"anonymous_id": ""}, "the anonymous_id of a Person is blank"),
    ],
)
def test_a_person_not_named_by_exactly_one_good_identifier_is_refused(
    named: dict[str, Any], message: str
) -> None:
    assert str(refusal_of(lambda: Person(**named))) == message


@pytest.mark.parametrize(
    "phone",
    [
        "+1",
        "1415555267",
        "+0415555267",
        "+1415555267a",
        "+1-415",
        "+1٤١٥5552671",
        "+1234567890123456",
        "",
    ],
)
def test_a_phone_that_is_not_e164_is_refused(phone: str) -> None:
    assert refusal_of(lambda: Person(phone=phone)).field == "identifiers.phone"


def test_a_message_about_an_email_does_not_repeat_it() -> None:
    assert "secret" not in str(refusal_of(lambda: Person(email="secret-person@@example.com")))


def test_an_object_is_named_by_type_and_id_or_by_customer_ios_own_id() -> None:
    assert ObjectRef("1", "acme") == ObjectRef(1, "acme")
    assert ObjectRef(1, 7).identifiers == {"object_type_id": "1", "object_id": "7"}
    assert ObjectRef(1, "acme").key == "object:1:acme"
    assert ObjectRef(cio_object_id="obb7").identifiers == {"cio_object_id": "obb7"}
    assert ObjectRef(cio_object_id="obb7").key == "cio_object:obb7"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "identifiers"),
        ({"type_id": 1}, "identifiers"),
        ({"object_id": "acme"}, "identifiers"),
        ({"type_id": 1, "object_id": "acme", "cio_object_id": "obb7"}, "identifiers"),
        ({"type_id": "company", "object_id": "acme"}, "identifiers.object_type_id"),
        ({"type_id": 0, "object_id": "acme"}, "identifiers.object_type_id"),
        ({"type_id": "01", "object_id": "acme"}, "identifiers.object_type_id"),
        ({"type_id": True, "object_id": "acme"}, "identifiers.object_type_id"),
        ({"type_id": 1.0, "object_id": "acme"}, "identifiers.object_type_id"),
        ({"type_id": 1, "object_id": ""}, "identifiers.object_id"),
        ({"type_id": 1, "object_id": ".."}, "identifiers.object_id"),
        ({"cio_object_id": False}, "identifiers.cio_object_id"),
    ],
)
def test_an_object_named_otherwise_is_refused(arguments: dict[str, Any], field: str) -> None:
    assert refusal_of(lambda: ObjectRef(**arguments)).field == field


@pytest.mark.parametrize(
    "value",
    [Person(id="42"), Person(email="a@b.co"), ObjectRef(1, "acme"), ObjectRef(cio_object_id="x1")],
)
def test_people_and_objects_are_values(value: Any) -> None:
    for same in (
        pickle.loads(pickle.dumps(value)),
        copy.copy(value),
        copy.deepcopy(value),
        eval(repr(value)),
    ):
        assert same == value
        assert hash(same) == hash(value)
    assert value != "42"
    with pytest.raises(AttributeError):
        value.value = "43"
    with pytest.raises(AttributeError):
        del value.value


def test_an_invalid_operation_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Person()
    assert issubclass(InvalidOperationError, ValueError)
