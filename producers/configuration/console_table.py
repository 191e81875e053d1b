"""The settings that only the console reads."""

from __future__ import annotations

from .console_values import console_users, header_name, networks
from .declaration import Setting

CONSOLE_SETTINGS: tuple[Setting, ...] = (
    Setting(
        "TRACKRELAY_CONSOLE_USERS",
        console_users(),
        "Who may use the console, and what they may do: `view`, `view_payloads`, `operate`, joined "
        "by `+`. `trackrelay console hash-password` makes the hash; without one, a proxy must sign "
        "the user in. The name `*` stands for everybody whom the proxy has signed in.",
        "console",
        default_note="nobody",
        is_secret=True,
    ),
    Setting(
        "TRACKRELAY_CONSOLE_PROXY_HEADER",
        header_name(),
        "The header in which a reverse proxy names the user whom it has signed in. It is read only "
        "from `TRACKRELAY_CONSOLE_PROXY_ADDRESSES`.",
        "console",
        default_note="none",
    ),
    Setting(
        "TRACKRELAY_CONSOLE_PROXY_ADDRESSES",
        networks(),
        "The addresses of the reverse proxies in front of the console. Only their "
        "`X-Forwarded-For` and `X-Forwarded-Proto` are believed.",
        "console",
        default_note="none",
    ),
)
