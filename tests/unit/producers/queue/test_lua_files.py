"""Each Lua script documents its KEYS and ARGV."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trackrelay.queue.append import APPEND_LUA, WAKE_LUA
from trackrelay.queue.lua_files import lua_script

ROOT = Path(__file__).parents[4]
SCRIPTS = sorted(
    path for folder in ("producers", "worker") for path in (ROOT / folder).rglob("*.lua")
)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_names_its_keys_and_arguments_at_the_top(path: Path) -> None:
    header = re.match(r"(--.*\n)+", path.read_text())

    assert header
    # A file that only defines functions takes none.
    assert "put in front of" in header[0] or ("KEYS" in header[0] and "ARGV" in header[0])


def test_scripts_are_put_together_in_order() -> None:
    assert APPEND_LUA.startswith(WAKE_LUA)
    assert lua_script("trackrelay.queue", "wake", "append") == APPEND_LUA


def test_a_script_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        lua_script("trackrelay.queue", "no_such_script")
