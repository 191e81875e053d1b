"""Where signing in leads to."""

import pytest

from trackrelay.worker.console.sign_in_page import own_path


@pytest.mark.parametrize("path", ["/", "/jobs?key=id:42", "/person?who=id%3A42"])
def test_signing_in_leads_to_the_page_that_was_asked_for(path: str) -> None:
    assert own_path(path) == path


@pytest.mark.parametrize(
    "elsewhere",
    [
        "//evil.test",
        "https://evil.test",
        "/\\evil.test",
        "/\nx",
        "/\tx",
        "javascript:alert(1)",
        "evil.test",
        "",
        "/" + "x" * 1_000,
        "/é",
    ],
)
def test_signing_in_leads_to_no_other_site(elsewhere: str) -> None:
    assert own_path(elsewhere) == ""
