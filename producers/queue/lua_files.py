"""The Lua scripts, each in a file of the folder ``lua`` beside the code that runs it."""

from __future__ import annotations

import pkgutil
import re

_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)


def lua_script(package: str, *names: str) -> str:
    """Return the files ``lua/NAME.lua`` of a package, one after the other, as one script.

    It has no comments: they would travel with every EVAL in a transaction.
    """
    # importlib.resources does the same, but importing it takes longer than importing
    # trackrelay.queue.
    files = [pkgutil.get_data(package, f"lua/{name}.lua") for name in names]
    text = "\n".join(file.decode() for file in files if file is not None)
    return _COMMENT.sub("", text).strip()
