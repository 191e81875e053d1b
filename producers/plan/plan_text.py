"""Write the document of a plan as YAML that people like to read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

#: Characters of a line.
WIDTH = 100
#: Lists of words this long stand on one line.
MAX_INLINE = 70
#: Parts of a plan with a blank line between their names.
_NAMES_BELOW = frozenset(["events", "attributes", "objects"])
#: What the reader takes for a number and other readers do not, or the other way round.
_NUMBER_LIKE = re.compile(r"[-+]?[0-9._]+([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_:.xobXOB]*[0-9a-fA-F]*")


class _Dumper(yaml.SafeDumper):
    """Quotes every text that some version of YAML takes for something else."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


class _Quoted(str):
    """A text that stands in quotes."""


def _quoted(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')


def _list(dumper: Any, items: list[Any]) -> Any:
    scalars = all(isinstance(each, str | int | float | None) for each in items)
    inline = scalars and sum(len(str(each)) + 2 for each in items) <= MAX_INLINE
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=inline)


_Dumper.add_representer(_Quoted, _quoted)
_Dumper.add_representer(list, _list)


def plan_text(document: Mapping[str, Any]) -> str:
    """Return the YAML of a plan's document. The order of names is kept.

    Args:
        document: what the file says, as a mapping.
    """
    texts: list[str] = []
    for name, value in document.items():
        text = _dumped({name: value})
        texts.append(f"\n{_spaced(text)}" if name in _NAMES_BELOW else text)
    return "".join(texts)


def _dumped(value: Any) -> str:
    return str(
        yaml.dump(_safe(value), Dumper=_Dumper, sort_keys=False, width=WIDTH, allow_unicode=True)
    )


def _spaced(text: str) -> str:
    """Return a part of the plan with a blank line before each of its names but the first."""
    first, *lines = text.rstrip("\n").split("\n")
    spaced = [first]
    for number, line in enumerate(lines):
        if number and line.startswith("  ") and line[2:3] not in (" ", ""):
            spaced.append("")
        spaced.append(line)
    return "\n".join(spaced) + "\n"


def _safe(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_safe(str(name)): _safe(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(each) for each in value]
    if isinstance(value, str) and (
        _NUMBER_LIKE.fullmatch(value) or not value.replace("\n", " ").isprintable()
    ):
        return _Quoted(value)
    return value
