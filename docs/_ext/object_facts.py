"""Facts that are read from the imported code: names, signatures, commands, settings, tables and keys."""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import entry_points
from types import ModuleType

import click
from code_facts import Rendered, cell
from sphinx.pycode import ModuleAnalyzer
from sqlalchemy import Column
from sqlalchemy.dialects import postgresql

import trackrelay

#: The modules of the Python reference that an application imports, beside `trackrelay` itself.
MODULES = {
    "trackrelay.operations": "The same functions. They return an `Operation` and enqueue nothing.",
    "trackrelay.aio": "The same functions as coroutines.",
    "trackrelay.outbox": "Jobs as rows of the application's own transaction.",
    "trackrelay.django": "Visitors of a Django site.",
    "trackrelay.flask": "The extension for Flask.",
    "trackrelay.customerio": "A client with the interface of the official one. It enqueues instead of sending.",
    "trackrelay.alembic": "Keep an application's own migrations from dropping trackrelay's tables.",
    "trackrelay.testing": "Capture what an application enqueues.",
    "trackrelay.testing.django": "The same for Django's test cases.",
    "trackrelay.worker.testing": "A sandbox in the test's own process.",
    "trackrelay.sandbox": "A sandbox in a process of its own.",
}


def command_group() -> tuple[str, click.Group]:
    """Return where the console script's click group is, as `module:name`, and the group."""
    (script,) = entry_points(group="console_scripts", name="trackrelay")
    module = importlib.import_module(script.module)
    for name, value in vars(module).items():
        if isinstance(value, click.Group):
            return f"{script.module}:{name}", value
    raise LookupError(f"{script.module} has no click group")


def command_line() -> Rendered:
    """Return what sphinx-click needs to describe every command."""
    place, _group = command_group()
    return (
        f"```{{eval-rst}}\n.. click:: {place}\n   :prog: trackrelay\n   :nested: full\n```\n",
        [],
    )


def comments_of(module: str) -> dict[tuple[str, str], str]:
    """Return the `#:` comments of a module, by class and name."""
    found = ModuleAnalyzer.for_module(module).find_attr_docs()
    return {place: " ".join(lines).strip() for place, lines in found.items()}


def first_paragraph(value: object) -> str:
    """Return the first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(value) or "").partition("\n\n")[0].split())


def database_tables() -> Rendered:
    """Return a section for each table: what it holds, its columns, its indices."""
    from trackrelay.worker.storage import tables

    comments = comments_of(tables.__name__)
    lines: list[str] = []
    problems: list[str] = []
    for mapper in sorted(tables.Base.registry.mappers, key=lambda each: each.local_table.name):
        table = mapper.local_table
        lines += [f"## `{table.name}`", "", first_paragraph(mapper.class_), ""]
        lines += ["| column | type | null | meaning |", "|---|---|---|---|"]
        for column in table.columns:
            meaning = comments.get((mapper.class_.__name__, column.key), "")
            lines.append(
                f"| `{column.name}` | `{column_type(column)}` | {'yes' if column.nullable else ''} "
                f"| {cell(meaning)} |"
            )
        indices = ", ".join(
            f"`{index.name}`" for index in sorted(table.indexes, key=lambda i: str(i.name))
        )
        keys = ", ".join(f"`{column.name}`" for column in table.primary_key)
        lines += ["", f"Primary key: {keys}." + (f" Indices: {indices}." if indices else ""), ""]
    return "\n".join(lines), problems


def column_type(column: Column[object]) -> str:
    """Return a column's type as PostgreSQL names it."""
    return column.type.compile(dialect=postgresql.dialect()).replace(' COLLATE "C"', "").lower()


def redis_keys() -> Rendered:
    """Return the table of the names in the module of Redis keys."""
    from trackrelay.queue import redis_keys as module

    comments = comments_of(module.__name__)
    rows: dict[str, str] = {}
    for name, value in vars(module).items():
        if name == "PREFIX" or str(value).startswith(module.CELERY_PREFIX):
            continue
        if isinstance(value, str) and value.startswith(module.PREFIX):
            rows[value] = comments.get(("", name), "")
        elif inspect.isfunction(value) and value.__module__ == module.__name__:
            if name.startswith("_"):
                continue
            placeholders = [f"{{{each}}}" for each in inspect.signature(value).parameters]
            rows[value(*placeholders)] = first_paragraph(value)
    lines = ["| key | what it is |", "|---|---|"]
    lines += [f"| `{key}` | {cell(meaning)} |" for key, meaning in rows.items()]
    return "\n".join(lines) + "\n", [
        f"{key} has no comment" for key, why in rows.items() if not why
    ]


def settings() -> Rendered:
    """Return the table of settings."""
    from trackrelay.configuration.reference import reference_table

    return reference_table() + "\n", []


def python_api() -> Rendered:
    """Return what autodoc needs to describe every public name."""
    kinds: dict[str, list[str]] = {"Functions": [], "Classes": [], "Errors": []}
    for name in sorted(trackrelay.__all__):
        value = getattr(trackrelay, name)
        if isinstance(value, ModuleType) or name.startswith("__"):
            continue
        if not isinstance(value, type):
            kinds["Functions"].append(f".. autofunction:: trackrelay.{name}")
        elif issubclass(value, BaseException):
            kinds["Errors"].append(f".. autoexception:: trackrelay.{name}")
        else:
            kinds["Classes"].append(f".. autoclass:: trackrelay.{name}\n   :members:")
    lines = ["## `trackrelay`", ""]
    for title, directives in kinds.items():
        body = "\n\n".join(directives)
        lines += [f"### {title}", "", "```{eval-rst}", body, "```", ""]
    for name, summary in MODULES.items():
        lines += [f"## `{name}`", "", summary, "", "```{eval-rst}", members_of(name), "```", ""]
    return "\n".join(lines), []


def members_of(module_name: str) -> str:
    """Return the autodoc directives of a module's public names."""
    module = importlib.import_module(module_name)
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module_name
    ]
    directives = []
    for name in names:
        value = getattr(module, name)
        if isinstance(value, type):
            kind, members = "class", "\n   :members:"
            if issubclass(value, BaseException):
                kind, members = "exception", ""
        elif callable(value):
            kind, members = "function", ""
        else:
            directives.append(f".. py:data:: {module_name}.{name}")
            continue
        directives.append(f".. auto{kind}:: {module_name}.{name}{members}")
    return "\n\n".join(directives)
