"""The command line."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from trackrelay.sandbox.cli import sandbox
from trackrelay.sandbox.options import SandboxOptions, parse_duration, parse_failure


def test_help_names_every_option() -> None:
    answer = CliRunner().invoke(sandbox, ["--help"])
    assert answer.exit_code == 0
    for name in SandboxOptions.__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in answer.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--latency", "soon"], "'soon' is not a duration; write 50ms or 1.5s"),
        (["--fail", "503"], "'503' is not a failure; write STATUS:SHARE%, like 503:5%"),
        (["--fail", "oops:5%"], "'oops:5%' is not a failure"),
        (["--fail", "503:0%"], "rate is 0.0"),
        (["--region", "mars"], "'mars' is not one of 'us', 'eu'"),
        (["--port", "70000"], "70000 is not in the range"),
    ],
)
def test_a_wrong_option_is_reported_with_a_message(arguments: list[str], message: str) -> None:
    answer = CliRunner().invoke(sandbox, arguments)
    assert answer.exit_code == 2
    assert message in answer.output


def test_the_defaults_of_the_command_are_those_of_the_options() -> None:
    with sandbox.make_context("sandbox", []) as context:
        assert SandboxOptions(**context.params) == SandboxOptions()


def test_options_and_arguments_say_the_same() -> None:
    chosen = SandboxOptions(
        port=0,
        latency="5ms",
        fail=("503:5%", "hang:1%"),
        bodies=False,
        event_merging=False,
        exit_with_stdin=True,
    )
    with sandbox.make_context("sandbox", chosen.arguments()) as context:
        assert SandboxOptions(**context.params) == chosen


@pytest.mark.parametrize(
    ("text", "expected"), [("50ms", 0.05), ("1.5s", 1.5), ("2", 2.0), ("0", 0.0)]
)
def test_durations(text: str, expected: float) -> None:
    assert parse_duration(text) == expected


def test_parse_failures() -> None:
    fault = parse_failure("503:5%", "2")
    assert (fault.kind, fault.status, fault.rate, fault.retry_after) == ("status", 503, 0.05, "2")
    assert parse_failure("close_after:0.5%", None).kind == "close_after"
