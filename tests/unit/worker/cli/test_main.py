"""Commands are found by their files."""

import click
import pytest

from trackrelay.worker.cli.main import COMMANDS, SECTIONS, summary_of, trackrelay


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_stands_in_a_section_of_the_help(name: str) -> None:
    section, summary = summary_of(name)
    assert section in SECTIONS
    assert summary.endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_the_function_that_its_file_is_called_after(name: str) -> None:
    command = trackrelay.get_command(click.Context(trackrelay), name)
    assert command is not None
    assert command.name == name
    assert command.help
