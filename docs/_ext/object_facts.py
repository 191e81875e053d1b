"""Facts from the imported code: names, signatures, commands, settings, tables and keys."""

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

#: What the columns mean that several tables have. A comment in the code comes first.
COMMON_COLUMNS = {
    "attempts": "how many attempts counted against the job",
    "body": "the operation's document, as Customer.io gets it",
    "died_at": "when it became a dead letter",
    "enqueued_at": "when the queue accepted the job",
    "error": "what the last answer said",
    "history": "what happened to the job, oldest first",
    "id": "the job's id, or the row's number",
    "idempotency_key": "the caller's own name for the call",
    "job_id": "the job's id, a ULID",
    "key": "the ordering key; hashed if it is made of an email, a phone number or an anonymous id",
    "keys": "all keys of the job",
    "lane": "`live` or `bulk`",
    "operation": "`type.action`, for example `person.event`",
    "shard": "the number of the shard",
    "shards": "the shard of each key",
    "source": "the application's name, `TRACKRELAY_SOURCE`",
    "status": "the HTTP status of the last answer",
    "trace": "the trace context of the call",
    "updated_at": "when the row last changed",
    "delivered_at": "when Customer.io accepted it",
    "since": "since when the job waits",
    "age_from": "the age counts from here: enqueueing, or the last replay",
    "max_batch": "how many jobs a request with this job may carry",
    "failed_at": "when it last failed",
    "replayed": "whether it was a dead letter",
    "name": "the name of the fact",
    "value": "the fact",
    "next_position": "the position that the next job of the backlog gets",
    "paused_at": "since when an operator has paused the shard",
    "other_key": "the second key of a job that has two",
    "until": "when the loss was noticed",
    "settled_high": "how many of those were settled afterwards, at most",
    "at_least": "how many jobs were lost, at least",
    "counted_at": "when the loss was counted",
    "acknowledged_at": "when somebody acknowledged it",
    "acknowledged_by": "who acknowledged it",
}

#: The modules of the Python reference that an application imports, beside `trackrelay` itself.
MODULES = {
    "trackrelay.operations": "The same functions. They return an `Operation` and enqueue nothing.",
    "trackrelay.aio": "The same functions as coroutines.",
    "trackrelay.outbox": "Jobs as rows of the application's own transaction.",
    "trackrelay.django": "Visitors of a Django site.",
    "trackrelay.flask": "The extension for Flask.",
    "trackrelay.customerio": "A client with the interface of the official one, which enqueues.",
    "trackrelay.app_api": "Read what Customer.io knows.",
    "trackrelay.alembic": "Keep an application's own migrations from dropping trackrelay's tables.",
    "trackrelay.plan": "Read a tracking plan, and the error of a call that violates it.",
    "trackrelay.sentry": "What Sentry is told: unexpected errors, without payloads.",
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

    lines: list[str] = []
    problems: list[str] = []
    for table in sorted(tables.METADATA.tables.values(), key=lambda each: each.name):
        lines += [f"## `{table.name}`", "", table.info["doc"], ""]
        lines += ["| column | type | null | meaning |", "|---|---|---|---|"]
        for column in table.columns:
            meaning = column.doc or COMMON_COLUMNS.get(column.name, "")
            if not meaning:
                problems.append(f"{table.name}.{column.name} has no explanation")
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
    return (
        column.type.compile(dialect=postgresql.dialect())
        .replace(' COLLATE "C"', "")
        .lower()
        .replace("timestamp with time zone", "timestamptz")
    )


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
            # A function says what it returns; the table says what that is.
            returned = first_paragraph(value).removeprefix("Return ")
            rows[value(*placeholders)] = returned[:1].upper() + returned[1:]
    lines = ["| key | what it is |", "|---|---|"]
    lines += [f"| `{key}` | {cell(meaning)} |" for key, meaning in rows.items()]
    return "\n".join(lines) + "\n", [
        f"{key} has no comment" for key, why in rows.items() if not why
    ]


def metrics() -> Rendered:
    """Return the table of all metrics."""
    from trackrelay.worker.cli.metrics.metric_table import METRICS

    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for each in sorted(METRICS, key=lambda metric: metric.full_name):
        labels = ", ".join(f"`{label}`" for label in each.labels)
        lines.append(f"| `{each.full_name}` | {each.kind} | {labels} | {cell(each.about)} |")
    return "\n".join(lines) + "\n", []


def settings() -> Rendered:
    """Return a section for each setting."""
    from trackrelay.configuration.settings_table import SETTINGS

    lines: list[str] = []
    for setting in SETTINGS:
        if setting.is_internal:
            continue
        default = f"`{setting.default}`" if setting.default is not None else setting.default_note
        facts = [f"Read by: {setting.readers}", f"default: {default}"]
        if setting.type.values:
            facts.append(f"values: {setting.type.values}")
        if setting.is_secret:
            facts.append(f"secret, also as `{setting.name}_FILE`")
        lines += [f"### `{setting.name}`", "", setting.explanation, "", " · ".join(facts), ""]
    return "\n".join(lines), []


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
            if any(base.__module__.startswith(f"{module_name}.") for base in value.__mro__[1:]):
                # What comes from a part of the same module belongs to the class as well.
                members += "\n   :inherited-members:"
            if issubclass(value, BaseException):
                kind, members = "exception", ""
        elif callable(value):
            kind, members = "function", ""
        else:
            directives.append(f".. py:data:: {module_name}.{name}")
            continue
        directives.append(f".. auto{kind}:: {module_name}.{name}{members}")
    return "\n\n".join(directives)
