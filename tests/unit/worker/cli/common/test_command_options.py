"""A key as typed on the command line."""

import pytest

from trackrelay import Person
from trackrelay.worker.cli.common.command_options import parse_key


@pytest.mark.parametrize(
    "typed", ["jos\u00e9@example.com", "jose\u0301@example.com", " JOSE\u0301@Example.com "]
)
def test_an_email_is_the_key_of_that_person_in_any_case_and_unicode_form(typed: str) -> None:
    assert (
        parse_key(f"email:{typed}")
        == Person(email="jos\u00e9@example.com").key
        == "email:jos\u00e9@example.com"
    )
