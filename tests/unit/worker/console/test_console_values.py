"""The users of the console, as a setting."""

import pytest

from trackrelay.configuration.console_values import PASSWORD_HASH, Role
from trackrelay.errors import ConfigurationError
from trackrelay.worker.console.console_settings import ConsoleSettings, load_console_settings
from trackrelay.worker.console.passwords import hash_password, is_password

HASH = "scrypt.4.8.1." + "a" * 22 + "." + "b" * 43
USERS = "TRACKRELAY_CONSOLE_USERS"
HEADER = "TRACKRELAY_CONSOLE_PROXY_HEADER"
ADDRESSES = "TRACKRELAY_CONSOLE_PROXY_ADDRESSES"


def load(**values: str) -> ConsoleSettings:
    return load_console_settings(values)


def test_nobody_may_use_it_by_default() -> None:
    assert load() == ConsoleSettings()
    assert not load().has_passwords


def test_users_have_names_roles_and_hashes() -> None:
    settings = load(**{USERS: f"ada:operate+view_payloads:{HASH}, eve@example.com:view\n*:view"})
    ada = settings.user("ada")
    assert ada is not None
    assert ada.roles == {Role.VIEW, Role.OPERATE, Role.VIEW_PAYLOADS}
    assert ada.password_hash == HASH
    assert HASH not in repr(settings)
    assert settings.user("*") is None
    eve = settings.signed_in_by_proxy("eve@example.com")
    anybody = settings.signed_in_by_proxy("mallory")
    assert eve is not None
    assert eve.name == "eve@example.com"
    assert anybody is not None
    assert (anybody.name, anybody.roles) == ("mallory", {Role.VIEW})
    assert load(**{USERS: "ada:view"}).signed_in_by_proxy("mallory") is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({USERS: "ada"}, "must name users with their roles"),
        ({USERS: "ada:root"}, "must give roles out of view, view_payloads, operate; entry 1"),
        ({USERS: "ada:view:hunter2"}, "must have the hashes of passwords"),
        ({USERS: "ada:view,ada:operate"}, "must name each user once; it names 'ada' twice"),
        ({HEADER: "X User", ADDRESSES: "::1"}, "must be the name of a header"),
        ({HEADER: "X-User"}, f"is ignored from every address: set {ADDRESSES} too"),
        ({ADDRESSES: "10.0.0.0/99"}, "must be addresses or networks"),
    ],
)
def test_errors_name_no_password(values: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(**values)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_hash_fits_its_password_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackrelay.worker.console.passwords.LOG_N", 4)
    made = hash_password("correct horse")
    assert PASSWORD_HASH.fullmatch(made)
    assert made != hash_password("correct horse")
    assert is_password("correct horse", made)
    assert not is_password("correct horse ", made)
    assert not is_password("", made)


def test_an_empty_hash_matches_nothing_and_an_expensive_one_is_not_computed() -> None:
    assert not is_password("", "")
    assert not is_password("x", HASH.replace(".4.", ".30."))
