"""The Oscar shop's settings. Tables are made without Oscar's migrations, which Oscar tests."""

from __future__ import annotations

from oscar_shop.settings import *  # noqa: F403


class _NoneButOurs(dict[str, None]):
    def __contains__(self, label: object) -> bool:
        return label != "trackrelay"

    def __getitem__(self, label: str) -> None:
        return None


MIGRATION_MODULES = _NoneButOurs()
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
