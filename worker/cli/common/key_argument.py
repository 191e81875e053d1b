"""A key, as somebody types it."""

from __future__ import annotations

import click

from trackrelay.operations.checks.name_checks import compared_email
from trackrelay.operations.keys import KINDS
from trackrelay.worker.storage.key_hasher import is_hashed


def key_given(key: str) -> str:
    """``key`` as the stores know it, or hash it: an email as emails are compared.

    Raises:
        click.BadParameter: no job can have it.
    """
    kind, _, value = key.partition(":")
    if kind not in KINDS or not value.strip():
        raise click.BadParameter(
            f"{key!r} is no key such as id:42, email:ada@example.com or object:1:acme",
            param_hint="--key",
        )
    return f"email:{compared_email(value)}" if kind == "email" and not is_hashed(key) else key
