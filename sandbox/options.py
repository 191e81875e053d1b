"""The options of a sandbox, and how its durations and random failures are written."""

from __future__ import annotations

import dataclasses
import re

from .faults import Fault

DEFAULT_PORT = 8462


@dataclasses.dataclass(frozen=True)
class SandboxOptions:
    """The options of a sandbox; the command line has a flag for each."""

    host: str = "127.0.0.1"
    #: 0: any free port.
    port: int = DEFAULT_PORT
    #: Host names that the control endpoints accept, besides localhost and ``host``.
    allowed_host: tuple[str, ...] = ()
    site_id: str = "sandbox-site"
    api_key: str = "sandbox-track-key"
    app_api_key: str = "sandbox-app-key"
    region: str = "us"
    environment_id: int = 123
    #: Delay of every answer: "50ms", "0.2s".
    latency: str = "0"
    #: Requests per second; further requests get a 429.
    rate_limit: int | None = None
    #: Random failures, as "STATUS:SHARE%": "503:5%".
    fail: tuple[str, ...] = ()
    #: Retry-After header of 429 and of random failures.
    retry_after: str | None = None
    batch_operations: int = 1_000
    email_updates_with_id: bool = False
    event_merging: bool = True
    #: Requests per second to the App API; further requests get a 429. 0: no limit.
    app_rate_limit: int = 10
    #: Number of requests to remember.
    max_records: int = 10_000
    #: Number of accepted operations to remember.
    max_effects: int = 1_000_000
    #: Megabytes to remember of the bodies of requests, and again of operations.
    max_body_mb: int = 256
    #: Whether to remember bodies at all.
    bodies: bool = True
    #: Makes random failures repeatable.
    seed: int | None = None
    exit_with_stdin: bool = False

    def __post_init__(self) -> None:
        """Check the values that have a notation of their own.

        Raises:
            ValueError: A duration or a random failure is not valid.
        """
        parse_duration(self.latency)
        for failure in self.fail:
            parse_failure(failure, self.retry_after)

    def arguments(self) -> list[str]:
        """Return the command-line arguments that start a sandbox with these options."""
        arguments: list[str] = []
        for option in dataclasses.fields(self):
            value, flag = getattr(self, option.name), option.name.replace("_", "-")
            if value == option.default:
                continue
            if isinstance(value, bool):
                arguments.append(f"--{flag}" if value else f"--no-{flag}")
            else:
                for each in value if isinstance(value, tuple) else (value,):
                    arguments += [f"--{flag}", str(each)]
        return arguments


def parse_duration(text: str) -> float:
    """Return the seconds of a duration: `50ms`, `1.5s`, `2` (seconds).

    Raises:
        ValueError: The text is not a duration.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s)?", text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a duration; write 50ms or 1.5s")
    number = float(found[1])
    return number / 1000 if found[2] == "ms" else number


def parse_failure(text: str, retry_after: str | None) -> Fault:
    """Return the fault of a random failure: `503:5%`, `close_before:1%`, `hang:1%`.

    Raises:
        ValueError: The text is not a random failure.
    """
    what, _, share = text.partition(":")
    found = re.fullmatch(r"(\d+(?:\.\d+)?)%", share.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a failure; write STATUS:SHARE%, like 503:5%")
    rate = float(found[1]) / 100
    if what in ("close_before", "close_after", "hang"):
        return Fault(kind=what, rate=rate)  # type: ignore[arg-type]
    if not what.isdigit():
        raise ValueError(
            f"{text!r} is not a failure; it must begin with a status, close_before, close_after "
            "or hang"
        )
    return Fault(kind="status", status=int(what), rate=rate, retry_after=retry_after)
