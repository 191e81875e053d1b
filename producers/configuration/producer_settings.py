"""What a producer can be told, and where it is told: ``configure()``, then the framework's settings, then the environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta, tzinfo
from typing import Any, Literal, get_args

from trackrelay.errors import ConfigurationError
from trackrelay.operations.checks.object_types import is_number
from trackrelay.operations.checks.rejection import class_name, cut, kind_of

from . import durations, server_urls
from .environment import environment as current_environment

BackendName = Literal["redis", "console", "memory", "off"]
OnUnavailable = Literal["raise", "log", "outbox"]
OnInvalid = Literal["raise", "log", "dead_letter"]
_PREFIX = "TRACKRELAY_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A producer's settings, checked."""

    #: ``redis://`` or ``rediss://`` URL of the queue.
    redis_url: str | None = None
    backend: BackendName = "redis"
    #: Which application this is: shown with every job.
    source: str | None = None
    #: How many shards the queue must have; None takes what ``trackrelay migrate`` set.
    shards: int | None = None
    #: Jobs in all streams together at which callers get QueueFullError.
    max_queue_length: int = 1_000_000
    #: Seconds an enqueue may take in all before it raises QueueUnavailableError.
    enqueue_timeout: float = 1.0
    on_unavailable: OnUnavailable = "raise"
    #: What becomes of an operation that Customer.io would refuse.
    on_invalid: OnInvalid = "raise"
    #: What a naive datetime is taken for; None refuses it.
    naive_timezone: tzinfo | None = None
    #: The application's database that holds the outbox table.
    outbox_url: str | None = None
    #: Names of object types, and the numbers that the workspace has for them.
    object_types: Mapping[str, str] = field(default_factory=dict)


def load(
    overrides: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
    *,
    needs_queue: bool = True,
) -> Settings:
    """The settings, each from the first place that has it.

    Args:
        environment: left out, the process's, with the framework's settings on top.
        needs_queue: whether a queue must be configured; who only writes to an outbox needs none.

    Raises:
        ConfigurationError: a value is wrong, or no queue is configured; the message names the setting.
    """
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    environment = current_environment() if environment is None else environment
    known = {each.name for each in fields(Settings)}
    for name in overrides:
        if name not in known:
            raise ConfigurationError(
                f"configure() has no setting {cut(repr(name), 100)}; it knows {', '.join(sorted(known))}"
            )
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for name in (each.name for each in fields(Settings)):
        variable = _PREFIX + name.upper()
        try:
            raw = overrides[name] if name in overrides else from_environment(variable, environment)
            if raw is not None:
                values[name] = _PARSERS[name](variable, raw)
        except ConfigurationError as error:
            wrong.append(str(error))
        except Exception as error:  # by the value's own code
            wrong.append(f"{variable} cannot be read: looking at it raised {class_name(error)}")
    if wrong:
        raise ConfigurationError("\n".join(wrong))
    if needs_queue and not values.get("redis_url") and values.get("backend", "redis") == "redis":
        raise ConfigurationError(
            "no queue is configured: set TRACKRELAY_REDIS_URL (redis://host:6379/0), or set TRACKRELAY_BACKEND to "
            "console, memory or off to run without one"
        )
    return Settings(**values)


def from_environment(variable: str, environment: Mapping[str, str]) -> str | None:
    """What ``environment`` says of ``variable``, there or in the file that it names; None: nothing.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    if path := environment.get(f"{variable}_FILE"):
        try:
            with open(path, encoding="utf-8") as file:
                return file.read().strip() or None
        except OSError as error:
            raise ConfigurationError(
                f"{variable}_FILE names {path}, which cannot be read: {error.strerror}"
            ) from None
    return environment.get(variable, "").strip() or None


def _text(variable: str, raw: Any) -> str:
    if not isinstance(raw, str):
        raise ConfigurationError(f"{variable} must be text, not {class_name(raw)}")
    return raw


def _url(check: Callable[[str], str]) -> Any:
    def parse(variable: str, raw: Any) -> str:
        __traceback_hide__ = True  # debug pages show the variables of a frame
        try:
            return check(_text(variable, raw))
        except ValueError as error:
            raise ConfigurationError(f"{variable} {str(error).removeprefix('it ')}") from None

    return parse


def _shown(raw: Any) -> str:
    if isinstance(raw, str):
        return repr(cut(str.__str__(raw), 100))
    if type(raw) in (int, float, bool) and (type(raw) is not int or raw.bit_length() <= 64):
        return repr(raw)
    # Of anything else the repr can be gigabytes.
    return kind_of(raw)


def _whole(low: int, high: int) -> Any:
    def parse(variable: str, raw: Any) -> int:
        try:
            value = int(raw) if isinstance(raw, int | str) else low - 1
        except ValueError:
            value = low - 1
        if isinstance(raw, bool) or not low <= value <= high:
            raise ConfigurationError(
                f"{variable} must be a whole number from {low} to {high:,}; it is {_shown(raw)}"
            )
        return value

    return parse


def _seconds(variable: str, raw: Any) -> float:
    try:
        value = durations.seconds(raw) if isinstance(raw, str | int | float | timedelta) else -1.0
    except (ValueError, OverflowError):
        value = -1.0
    if not 0.01 <= value <= 60:
        raise ConfigurationError(
            f"{variable} must be a number of seconds from 0.01 to 60, or a duration such as 1s; it is {_shown(raw)}"
        )
    return value


def _choice(choices: tuple[str, ...]) -> Any:
    def parse(variable: str, raw: Any) -> str:
        if not isinstance(raw, str) or raw not in choices:
            raise ConfigurationError(
                f"{variable} must be one of {', '.join(choices)}; it is {_shown(raw)}"
            )
        return str(raw)

    return parse


def _zone(variable: str, raw: Any) -> tzinfo:
    if isinstance(raw, tzinfo):
        return raw
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(raw)
    except (KeyError, ValueError, OSError, TypeError):
        raise ConfigurationError(
            f"{variable} must name a time zone such as Europe/Berlin; it is {_shown(raw)}"
        ) from None


def _numbers_by_name(variable: str, raw: Any) -> dict[str, str]:
    given = raw.items() if isinstance(raw, Mapping) else _pairs(_text(variable, raw))
    types: dict[str, str] = {}
    for name, number in ((str(name).strip(), str(number).strip()) for name, number in given):
        if not name or name.isdigit() or not is_number(number) or name in types:
            raise ConfigurationError(
                f"{variable} must be names with whole numbers from 1, each name once, such as product=1,company=2; "
                f"it has {f'{name}={number}'[:60]!r}"
            )
        types[name] = number
    return types


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.split(","):
        name, _, number = pair.partition("=")
        yield name, number


_PARSERS: dict[str, Any] = {
    "redis_url": _url(server_urls.redis_url),
    "backend": _choice(get_args(BackendName)),
    "source": _text,
    "shards": _whole(1, 1024),
    "max_queue_length": _whole(1, 1_000_000_000),
    "enqueue_timeout": _seconds,
    "on_unavailable": _choice(get_args(OnUnavailable)),
    "on_invalid": _choice(get_args(OnInvalid)),
    "naive_timezone": _zone,
    "outbox_url": _url(server_urls.outbox_url),
    "object_types": _numbers_by_name,
}
