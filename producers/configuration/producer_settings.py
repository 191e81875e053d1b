"""The settings of applications: from ``configure()``, the web framework or the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Literal

from trackrelay.errors import ConfigurationError
from trackrelay.operations.checks.rejection import cut

from .settings_loader import environment as current_environment
from .settings_loader import load_settings
from .settings_table import PRODUCER_SETTINGS

BackendName = Literal["redis", "console", "memory", "off"]
OnUnavailable = Literal["raise", "log", "outbox"]
OnInvalid = Literal["raise", "log", "dead_letter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A producer's settings; see :mod:`trackrelay.configuration.settings_table`."""

    redis_url: str | None
    backend: BackendName
    source: str | None
    shards: int | None
    max_queue_length: int
    enqueue_timeout_s: float
    redis_wait_replicas: int
    on_unavailable: OnUnavailable
    on_invalid: OnInvalid
    naive_timezone: tzinfo | None
    outbox_url: str | None
    object_types: Mapping[str, str]
    plan: str | None = None
    tracing: bool = True


def load(
    overrides: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
    *,
    needs_queue: bool = True,
) -> Settings:
    """Return the settings, each from the first place that has it.

    Args:
        overrides: what ``configure()`` was given, by field.
        environment: left out, the process's, with the framework's settings on top.
        needs_queue: whether a queue must be configured; writing to an outbox needs none.

    Raises:
        ConfigurationError: a value is wrong, or no queue is configured; the message names it.
    """
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    known = sorted(each.field for each in PRODUCER_SETTINGS)
    for name in overrides:
        if name not in known:
            raise ConfigurationError(
                f"configure() has no setting {cut(repr(name), 100)}; it has {', '.join(known)}"
            )
    environment = current_environment() if environment is None else environment
    loaded = load_settings(PRODUCER_SETTINGS, environment, overrides)
    if loaded.problems:
        raise ConfigurationError("\n".join(loaded.lines()))
    values = loaded.values
    if needs_queue and values["backend"] == "redis" and not values["redis_url"]:
        raise ConfigurationError(
            "no queue is configured: set TRACKRELAY_REDIS_URL (redis://host:6379/0), or set "
            "TRACKRELAY_BACKEND to console, memory or off to run without one"
        )
    values["object_types"] = values["object_types"] or {}
    values["enqueue_timeout_s"] = values.pop("enqueue_timeout").total_seconds()
    return Settings(**values)
