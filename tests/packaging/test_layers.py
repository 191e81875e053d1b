"""Which package may import which.

An application imports `producers` alone, and the sandbox reads the API by itself.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Each folder at the top, and the package that it is.
PACKAGES = {
    "producers": "trackrelay",
    "worker": "trackrelay.worker",
    "sandbox": "trackrelay.sandbox",
}


def imported(folder: str) -> Iterator[tuple[str, str]]:
    """Return the file and module of every import below a folder, in functions and for types too."""
    top, _, _ = folder.partition("/")
    for path in (ROOT / folder).rglob("*.py"):
        file = str(path.relative_to(ROOT))
        package = (*PACKAGES[top].split("."), *path.relative_to(ROOT).parts[1:-1])
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((file, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else ()
                module = ".".join((*base, *filter(None, [node.module])))
                yield from ((file, f"{module}.{alias.name}") for alias in node.names)


WORKER = "trackrelay.worker"


@pytest.mark.parametrize(
    ("folder", "forbidden", "but"),
    [
        # `celery -A trackrelay` looks for the app there; nothing else imports that module.
        (
            "producers",
            (WORKER, "trackrelay.sandbox", "celery", "pydantic"),
            ("producers/celery.py",),
        ),
        ("sandbox", ("trackrelay",), ()),
        (
            "worker",
            (f"{WORKER}.cli", f"{WORKER}.devstack", f"{WORKER}.django", f"{WORKER}.console"),
            ("worker/cli/", "worker/devstack/", "worker/django/", "worker/console/"),
        ),
        ("worker/storage", (f"{WORKER}.delivery", f"{WORKER}.track_api", f"{WORKER}.tasks"), ()),
        ("worker/track_api", (f"{WORKER}.delivery", f"{WORKER}.storage", f"{WORKER}.tasks"), ()),
    ],
)
def test_imports_run_one_way(folder: str, forbidden: tuple[str, ...], but: tuple[str, ...]) -> None:
    found = list(imported(folder))
    assert found
    own = ("trackrelay.sandbox", "trackrelay.folder_names") if folder == "sandbox" else ()
    wrong = [
        (path, module)
        for path, module in found
        if any(f"{module}.".startswith(f"{each}.") for each in forbidden)
        and not any(f"{module}.".startswith(f"{each}.") for each in own)
        and not path.startswith(but or ("-",))
    ]
    assert wrong == []
