"""How a sandbox is started, and the small languages of its options."""

from __future__ import annotations

import dataclasses
import re

from .faults.fault import Fault

DEFAULT_PORT = 8462


@dataclasses.dataclass(frozen=True)
class SandboxOptions:
    """Everything that can be chosen at start; the command line has a flag for each."""

    host: str = "127.0.0.1"
    #: 0: any free port.
    port: int = DEFAULT_PORT
    #: Names, beside localhost and `host`, by which the control endpoints may be asked for.
    allowed_host: tuple[str, ...] = ()
    site_id: str = "sandbox-site"
    api_key: str = "sandbox-track-key"
    app_api_key: str = "sandbox-app-key"
    region: str = "us"
    environment_id: int = 123
    #: Added to every answer: "50ms", "0.2s".
    latency: str = "0"
    #: Requests a second; beyond, 429.
    rate_limit: int | None = None
    #: Random failures, "STATUS:SHARE%": "503:5%".
    fail: tuple[str, ...] = ()
    #: Sent with 429 and with the random failures.
    retry_after: str | None = None
    batch_operations: int = 1_000
    email_updates_with_id: bool = False
    event_merging: bool = True
    #: Requests remembered.
    max_records: int = 10_000
    #: Accepted operations remembered.
    max_effects: int = 1_000_000
    #: Bodies of requests, and again of operations, remembered.
    max_body_mb: int = 256
    #: False: remember no bodies at all.
    bodies: bool = True
    #: Makes random failures repeatable.
    seed: int | None = None
    exit_with_stdin: bool = False

    def __post_init__(self) -> None:
        """Read what has a language of its own, to refuse it early."""
        seconds(self.latency)
        for failure in self.fail:
            random_failure(failure, self.retry_after)

    def arguments(self) -> list[str]:
        """The command line that starts a sandbox with these options."""
        arguments: list[str] = []
        for option in dataclasses.fields(self):
            value = getattr(self, option.name)
            if value != option.default:
                arguments += _flag(option.name, value)
        return arguments


def _flag(name: str, value: object) -> list[str]:
    flag = name.replace("_", "-")
    if value is True:
        return [f"--{flag}"]
    if value is False:
        return [f"--no-{flag}"]
    if isinstance(value, tuple):
        return [part for each in value for part in (f"--{flag}", str(each))]
    return [f"--{flag}", str(value)]


def seconds(text: str) -> float:
    """Read a duration: `50ms`, `1.5s`, `2` (seconds)."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s)?", text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a duration; write 50ms or 1.5s")
    number = float(found[1])
    return number / 1000 if found[2] == "ms" else number


def random_failure(text: str, retry_after: str | None) -> Fault:
    """Read a random failure: `503:5%`, or `close_before:1%`, `close_after:1%`, `hang:1%`."""
    what, _, share = text.partition(":")
    found = re.fullmatch(r"(\d+(?:\.\d+)?)%", share.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a failure; write STATUS:SHARE%, like 503:5%")
    rate = float(found[1]) / 100
    if what in ("close_before", "close_after", "hang"):
        return Fault(kind=what, rate=rate)  # type: ignore[arg-type]
    if not what.isdigit():
        raise ValueError(
            f"{text!r} is not a failure; it begins with a status, close_before, close_after or hang"
        )
    return Fault(kind="status", status=int(what), rate=rate, retry_after=retry_after)
