"""Which package may import which: an application installs `producers` alone, and the sandbox is a second reading of the API."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def imported(folder: str) -> Iterator[tuple[str, str]]:
    """File and module of every import below a folder, those inside functions and of type checkers included."""
    for path in (ROOT / folder).rglob("*.py"):
        package = path.relative_to(ROOT).parts[:-1]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((str(path.relative_to(ROOT)), alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else ()
                module = ".".join((*base, *filter(None, [node.module])))
                yield from ((str(path.relative_to(ROOT)), f"{module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize(
    ("folder", "forbidden", "but"),
    [
        ("producers", ("worker", "sandbox", "celery", "pydantic"), ()),
        ("sandbox", ("worker", "producers"), ()),
        ("worker", ("worker.ops", "worker.django"), ("worker/ops/", "worker/django/")),
        ("worker/store", ("worker.delivery", "worker.customerio", "worker.tasks"), ()),
        ("worker/customerio", ("worker.delivery", "worker.store", "worker.tasks"), ()),
    ],
)
def test_imports_run_one_way(folder: str, forbidden: tuple[str, ...], but: tuple[str, ...]) -> None:
    found = list(imported(folder))
    assert found
    wrong = [
        (path, module)
        for path, module in found
        if any(f"{module}.".startswith(f"{each}.") for each in forbidden) and not path.startswith(but or ("-",))
    ]
    assert wrong == []
