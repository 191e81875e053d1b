"""The settings that only the console reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from trackrelay.configuration.console_values import ANYBODY, ConsoleUser
from trackrelay.configuration.settings_loader import environment as current_environment
from trackrelay.configuration.settings_loader import load_settings
from trackrelay.configuration.settings_table import CONSOLE_SETTINGS
from trackrelay.default import overrides
from trackrelay.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """Who may use the console, and whom it believes."""

    users: tuple[ConsoleUser, ...] = ()
    proxy_header: str = ""
    proxy_addresses: tuple[IPv4Network | IPv6Network, ...] = ()

    @property
    def has_passwords(self) -> bool:
        """Whether anybody can sign in with a password."""
        return any(each.password_hash for each in self.users)

    def user(self, name: str) -> ConsoleUser | None:
        """Return the user with this name."""
        return next((each for each in self.users if each.name == name != ANYBODY), None)

    def signed_in_by_proxy(self, name: str) -> ConsoleUser | None:
        """Return the user whom a proxy names; None if nobody gave that user a role."""
        if known := self.user(name):
            return known
        anybody = next((each for each in self.users if each.name == ANYBODY), None)
        return ConsoleUser(name, anybody.roles) if anybody else None

    def is_proxy(self, address: str) -> bool:
        """Return whether a reverse proxy has this address."""
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self.proxy_addresses)


def load_console_settings(environment: Mapping[str, str] | None = None) -> ConsoleSettings:
    """Return the console's settings.

    Args:
        environment: left out, the process's, with a framework's settings on top.

    Raises:
        ConfigurationError: with one line for each setting that is wrong.
    """
    __traceback_hide__ = True  # debug pages show the variables of a frame
    environment = current_environment() if environment is None else environment
    loaded = load_settings(CONSOLE_SETTINGS, environment, overrides())
    values = loaded.values
    if values.get("console_proxy_header") and not values.get("console_proxy_addresses"):
        loaded.problems.setdefault(
            "TRACKRELAY_CONSOLE_PROXY_HEADER",
            "is ignored from every address: set TRACKRELAY_CONSOLE_PROXY_ADDRESSES too",
        )
    if loaded.problems:
        raise ConfigurationError("\n".join(loaded.lines()))
    return ConsoleSettings(
        users=values["console_users"] or (),
        proxy_header=values["console_proxy_header"] or "",
        proxy_addresses=values["console_proxy_addresses"] or (),
    )


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an IP address, or None; an IPv4 address within IPv6 becomes IPv4."""
    try:
        parsed = ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    return mapped or parsed


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach ``host``."""
    parsed = parse_address(host)
    return host == "localhost" or (parsed is not None and parsed.is_loopback)
