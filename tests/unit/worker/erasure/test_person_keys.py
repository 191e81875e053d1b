"""How jobs, documents and bytes are known as those of a person."""

import re

import msgspec
import pytest

from trackrelay import Person, operations
from trackrelay.queue.job import encode_entry
from trackrelay.worker.erasure.person_keys import PersonKeys
from trackrelay.worker.storage.key_hasher import KeyHasher, is_hashed

HASHER = KeyHasher(b"a secret of the tests")


def keys(*names: str) -> PersonKeys:
    return PersonKeys(names, HASHER)


def test_every_kind_of_key_is_hidden_and_a_hidden_one_stays() -> None:
    for key in ("id:42", "cio_id:a1b2", "email:ada@example.com", "anonymous:v-1"):
        hidden = HASHER.hidden(key)
        assert is_hashed(hidden)
        assert hidden.partition(":")[0] == key.partition(":")[0]
        assert HASHER.hidden(hidden) == hidden
    assert HASHER.stored("id:42") == "id:42"
    assert HASHER.hidden("email:ada@example.com") == HASHER.stored("email:ada@example.com")


def test_the_tables_are_searched_for_every_form() -> None:
    forms = keys("id:42", "email:ada@example.com").forms

    assert set(forms.clear) == {"id:42"}
    assert len(forms.every) == 3
    assert forms.hide(["id:42", "id:43"]) == (HASHER.hidden("id:42"), "id:43")


@pytest.mark.parametrize("name", ["42", "4", "ada@x.example", "Grüße", 'a"b', "a/b", "\\"])
def test_an_entry_of_a_producer_has_a_token_or_must_be_decoded(name: str) -> None:
    person = keys(Person(id=name).key)
    entry = encode_entry(operations.track(Person(id=name), "seen"))

    assert person.must_decode or any(token in entry for token in person.tokens)


def test_the_tokens_of_one_id_are_not_in_the_entry_of_another() -> None:
    person = keys("id:42")
    for other in ("4", "420", "142", "042"):
        entry = encode_entry(operations.track(other, "seen"))
        assert not any(token in entry for token in person.tokens)


def test_a_key_that_is_known_as_a_hash_is_recognised() -> None:
    person = keys(HASHER.hidden("email:ada@example.com"))

    assert person.is_in(["email:ada@example.com"])
    assert not person.is_in(["email:bob@example.com"])
    assert person.must_decode
    assert not person.is_mentioned(b'{"a":"ada@example.com"}')


@pytest.mark.parametrize(
    ("value", "mentioned"),
    [
        ("42", True), (42, True), ("420", False), (420, False), (4.2, False), (-42, False),
        ("no 42", False), ([1, 42], True), ({"x": [42]}, True), ("042", False), (42.5, False),
    ],
)  # fmt: skip
def test_only_a_value_that_is_exactly_the_id_mentions_it(value: object, mentioned: bool) -> None:
    document = msgspec.json.encode({"attributes": {"boss": value, "z": 1}})
    assert keys("id:42").is_mentioned(document) is mentioned


def test_an_email_is_mentioned_anywhere_and_in_any_case() -> None:
    person = keys("email:ada@example.com")
    assert person.is_mentioned(b'{"note":"ask Ada@Example.com"}')
    assert not person.is_mentioned(b'{"note":"ada@exampleXcom"}')
    re.compile(person.pattern)


def test_other_names_in_a_document_are_found_as_they_are_stored() -> None:
    document = {
        "attributes": {
            "email": "Ada@Example.com", "id": 42, "phone": "no phone", "anonymous_id": "v-1",
        }
    }  # fmt: skip
    found = keys("id:42").other_names(msgspec.json.encode(document))

    assert found == [HASHER.stored("email:ada@example.com"), HASHER.stored("anonymous:v-1")]


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'{"attributes":[]}', b"\xff", b'{"attributes":{"id":{}}}']
)
def test_a_document_of_any_shape_has_no_other_names(body: bytes) -> None:
    assert keys("id:42").other_names(body) == []
