"""Code blocks of the documentation run, or are checked as far as they can be.

A block after the line ``<!-- not run: why -->`` is only compiled, and what it imports from
trackrelay must exist.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from flask import Flask
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from trackrelay import Person, track
from trackrelay.customerio import CustomerIO, Regions
from trackrelay.flask import TrackRelay
from trackrelay.outbox import create_table
from trackrelay.testing import capture
from trackrelay.worker.cli.main import COMMANDS, trackrelay

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^(?P<before>[^\n]*)\n+(?P<indent> *)```(?P<language>\w+)\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
#: Pages whose Python a separate test runs unchanged.
RUN_BY_OTHERS = {"docs/how-to/django.md", "docs/how-to/standalone-admin.md"}
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code, and where it is."""

    page: str
    line: int
    language: str
    code: str
    is_run: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(path: Path) -> Iterator[Block]:
    """Yield the blocks of a page, in order."""
    text = path.read_text(encoding="utf-8")
    page = str(path.relative_to(ROOT))
    for found in FENCE.finditer(text):
        code = "".join(
            line.removeprefix(found["indent"]) for line in found["code"].splitlines(True)
        )
        line = text.count("\n", 0, found.start("language")) + 1
        is_run = "<!-- not run" not in found["before"] and page not in RUN_BY_OTHERS
        yield Block(page, line, found["language"], code, is_run)


ALL = [block for path in PAGES if "generated" not in path.parts for block in blocks_of(path)]


def blocks(*languages: str) -> list[Any]:
    """Return the blocks in these languages as parameters of a test."""
    return [pytest.param(block, id=str(block)) for block in ALL if block.language in languages]


@pytest.mark.parametrize("block", blocks("python"))
def test_a_block_of_python_compiles_and_imports_what_exists(block: Block) -> None:
    for node in ast.walk(ast.parse(block.code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("trackrelay"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"


class Base(DeclarativeBase):
    """The tables of an application."""


class Order(Base):
    """An order of the examples."""

    __tablename__ = "orders"

    number: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[int]
    total: Mapped[int]


class Client:
    """A test client of an application whose visitor views a product and signs up."""

    def post(self, path: str, data: dict[str, str]) -> None:
        """Do what a sign-up does."""
        person = Person(email=data["email"])
        track(person, "product_viewed")
        track(person, "signed_up")


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Provide a database with an application's tables and the outbox."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    create_table(engine)
    yield engine
    engine.dispose()


def names_for(app: Flask, engine: Engine) -> dict[str, Any]:
    """Return what the examples take for granted."""
    user = SimpleNamespace(
        pk=42, id=42, email="ada@example.com", plan="pro", created_at=1_700_000_000
    )
    return {
        "account": user,
        "api_key": "key",
        "app": app,
        "client": Client(),
        "CustomerIO": CustomerIO,
        "engine": engine,
        "order": Order(number="A-1001", customer_id=42, total=129),
        "Regions": Regions,
        "site_id": "site",
        "sku": "T-42",
        "user": user,
        "users": [user],
    }


@pytest.mark.parametrize(
    "page", sorted({block.page for block in ALL if block.language == "python" and block.is_run})
)
def test_the_blocks_of_python_on_a_page_run_in_order(page: str, engine: Engine) -> None:
    app = Flask("docs")
    app.config.update(SECRET_KEY="docs", TRACKRELAY_BACKEND="memory")
    TrackRelay(app)
    names = names_for(app, engine)
    with capture(), app.test_request_context():
        for block in ALL:
            if (block.page, block.language) == (page, "python") and block.is_run:
                exec(compile(block.code, str(block), "exec"), names)


@pytest.mark.parametrize("block", blocks("json"))
def test_a_block_of_json_can_be_read(block: Block) -> None:
    json.loads(block.code)


def commands_in(block: Block) -> Iterator[list[str]]:
    """Yield the words of each command in a shell block, split at ``|``, ``&&`` and ``;``."""
    for line in block.code.replace("\\\n", " ").splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue
        command: list[str] = []
        for word in [*words, ";"]:
            if word in (";", "&&", "|", "&"):
                if command:
                    yield command
                command = []
            else:
                command.append(word)


def trackrelay_arguments(command: list[str]) -> list[str] | None:
    """Return the arguments of a call of ``trackrelay``, also by way of Flask or Django."""
    programs = [Path(word).name for word in command]
    if programs[0] == "trackrelay":
        return command[1:]
    if len(programs) > 1 and programs[1] == "trackrelay" and programs[0] in ("flask", "manage.py"):
        return command[2:]
    return None


@pytest.mark.parametrize("block", blocks("sh"))
def test_a_block_of_shell_calls_what_exists(block: Block) -> None:
    for command in commands_in(block):
        if command[0] == "make":
            assert command[1] in TARGETS, f"the Makefile has no target {command[1]}"
        if (arguments := trackrelay_arguments(command)) is not None:
            check_options(arguments)


def check_options(arguments: list[str]) -> None:
    """Fail for a subcommand or an option that does not exist."""
    group: click.Command = trackrelay
    words = list(arguments)
    while isinstance(group, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        found = group.get_command(click.Context(group), name)
        assert found is not None, f"there is no command {name}; there are {', '.join(COMMANDS)}"
        group = found
    if group.name in ("worker", "beat"):
        return
    known = {option for parameter in group.params for option in parameter.opts}
    for word in words:
        option = word.partition("=")[0]
        if re.fullmatch(r"--?[a-z][a-z-]*", option):
            assert option in known | {"--help"}, f"{group.name} has no option {option}"
