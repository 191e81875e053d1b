"""Facts that stand in the source code as text: log events and the ids of Django's system checks."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("producers", "worker", "sandbox")
LEVELS = ("debug", "info", "warning", "error", "exception")
EXPLANATIONS = ROOT / "docs" / "reference" / "log-events.toml"

Rendered = tuple[str, list[str]]


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Yield the path and the tree of each module, in alphabetical order."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not any(parent.is_symlink() for parent in path.parents):
                yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def text_of(node: ast.expr | None) -> str:
    """Return the text of a string in the code; a value that is put in shows as `{…}`."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{…}" for part in node.values
        )
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    return ""


def cell(text: str) -> str:
    """Return text that can stand in a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|").replace("{", "&#123;")


def structured_loggers(tree: ast.Module) -> dict[str, str]:
    """Return the name of each logger of structlog that a module has, by its variable."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            call = node.value
            if ast.unparse(call.func) == "structlog.get_logger" and call.args:
                found[ast.unparse(node.targets[0])] = text_of(call.args[0])
    return found


def logged(tree: ast.Module) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield event, level, logger and fields of each line that a module writes."""
    loggers = structured_loggers(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        variable, level = ast.unparse(node.func.value), node.func.attr
        if variable in loggers and level in LEVELS and node.args:
            fields = [each.arg or "…" for each in node.keywords if each.arg != "exc_info"]
            yield event_name(node.args[0]), level, loggers[variable], fields


def event_name(node: ast.expr) -> str:
    """Return the name of an event, which may be a member of an enumeration."""
    if isinstance(node, ast.Attribute):
        return node.attr.lower()
    return text_of(node)


def log_events() -> Rendered:
    """Return a section for each log event, and the events that have no explanation or no code."""
    explained = tomllib.loads(EXPLANATIONS.read_text(encoding="utf-8"))
    levels: dict[str, list[str]] = {}
    loggers: dict[str, list[str]] = {}
    fields: dict[str, list[str]] = {}
    for _path, tree in modules():
        for event, level, logger, names in logged(tree):
            for table, values in ((levels, [level]), (loggers, [logger]), (fields, names)):
                known = table.setdefault(event, [])
                known += [value for value in values if value not in known]
    lines: list[str] = []
    for event in sorted(levels, key=str.lower):
        where = ", ".join(f"`{name}`" for name in loggers[event])
        facts = f"{', '.join(levels[event])} · logger {where}"
        if fields[event]:
            facts += " · fields: " + ", ".join(f"`{name}`" for name in fields[event])
        lines += [f"### `{event}`", "", explained.get(event, ""), "", facts, ""]
    problems = [
        f"{event!r} has no explanation in {EXPLANATIONS.name}"
        for event in levels
        if event not in explained
    ]
    problems += [
        f"no code writes {event!r}, which {EXPLANATIONS.name} explains"
        for event in explained
        if event not in levels
    ]
    return "\n".join(lines) + "\n", problems


def checks_in(tree: ast.Module) -> Iterator[tuple[str, str, str, str]]:
    """Yield id, level, message and hint of each system check that a module can report."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        named = {each.arg: each.value for each in node.keywords if each.arg}
        level = ast.unparse(node.func).rpartition(".")[2]
        if level in ("Error", "Warning") and text_of(named.get("id")).startswith("trackrelay."):
            message = text_of(node.args[0]) if node.args else text_of(named.get("msg"))
            yield text_of(named["id"]), level, message, text_of(named.get("hint"))


def django_checks() -> Rendered:
    """Return the table of the system checks' ids, and the ids that are used twice."""
    found = sorted(each for _path, tree in modules() for each in checks_in(tree))
    lines = ["| id | level | message | hint |", "|---|---|---|---|"]
    lines += [
        f"| `{id}` | {level.lower()} | {cell(message)} | {cell(hint)} |"
        for id, level, message, hint in found
    ]
    return "\n".join(lines) + "\n", []
