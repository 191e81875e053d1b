"""A plan of the Flask example: mypy, the call and CI find a break of it."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
from flask.testing import FlaskClient

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.in_process_worker import Worker
from tests.support.worker_process import ROOT
from trackrelay import Producer, default
from trackrelay.configuration import settings_loader
from trackrelay.plan import PlanViolationError

#: What somebody changes in `orders.py`, and who finds it.
BREAKS = [
    ('"total": order.total', '"total": str(order.total)'),
    ('{"cart_value": value, "skus": skus}', '{"skus": skus}'),
]
MakeApp = Callable[..., flask.Flask]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the example without a plan, as a package of its own."""
    folder = tmp_path / "copied_shop"
    shutil.copytree(ROOT / "examples/flask_app", folder, ignore=shutil.ignore_patterns("*.pyc"))
    (folder / "trackrelay-plan.yaml").unlink()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def make_app(shop: Path, harness: Harness) -> Iterator[MakeApp]:
    """Return the application as the files of the copy are now."""
    apps = []

    def make(plan: Path | None) -> flask.Flask:
        for name in [each for each in sys.modules if each.split(".")[0] == shop.name]:
            del sys.modules[name]
        module: Any = importlib.import_module(f"{shop.name}.shop")
        database = f"sqlite:///{shop / 'shop.db'}"
        app: flask.Flask = module.create_app(
            SQLALCHEMY_DATABASE_URI=database,
            TRACKRELAY_REDIS_URL=harness.settings["TRACKRELAY_REDIS_URL"],
            TRACKRELAY_PLAN=str(plan or ""),
            TESTING=True,
        )
        apps.append((app, module.db))
        return app

    yield make
    for app, db in apps:
        with app.app_context():
            db.engine.dispose()
    default.produce_with(Producer)
    settings_loader.set_framework_settings(lambda _: {})


def visit(client: FlaskClient, name: str, *skus: str) -> None:
    """Look, leave a cart as a guest, sign up and buy."""
    for sku in skus:
        client.get(f"/products/{sku}")
        client.post(f"/cart/{sku}")
    email = f"{name}@example.com"
    client.post("/checkout/start", data={"email": email})
    client.post("/sign-up", data={"name": name, "email": email})
    assert client.post("/checkout").status_code == 302
    client.post("/profile", data={"name": name, "wants_news": "on"})


def mypy(folder: Path) -> list[tuple[str, str]]:
    """Return the line of code and the text of each error in the package."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", folder.name],
        cwd=folder.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^(\S+?):(\d+):(?:\d+:)? error: (.*)$", done.stdout, re.MULTILINE)
    assert bool(found) == (done.returncode == 1), done
    return [
        ((folder.parent / file).read_text().splitlines()[int(line) - 1].strip(), text)
        for file, line, text in found
    ]


def test_a_plan_of_the_traffic_finds_breaks_in_mypy_at_the_call_and_in_ci(
    shop: Path, make_app: MakeApp, harness: Harness, run: CommandLine
) -> None:
    # The flows of the example, through its outbox, Redis, a worker and the sandbox.
    app = make_app(plan=None)
    for name, *skus in [("ada", "mug", "tea"), ("bo", "pot"), ("cy", "tea", "pot", "mug")]:
        visit(app.test_client(), name, *skus)
    outbox = {"TRACKRELAY_OUTBOX_URL": app.config["SQLALCHEMY_DATABASE_URI"]}
    assert CommandLine(harness.settings | outbox)("relay", "--once").code == 0
    worker = Worker(harness.settings)
    worker.work_off(lambda: not harness.stream_length() and not harness.backlog_size())
    worker.close()
    assert len(harness.effects()) > 20

    # A plan of what was observed: it can be read, nothing differs, and the code keeps to it.
    plan = shop / "trackrelay-plan.yaml"
    assert run("plan", "init", str(plan), "--name", "flask-shop").code == 0
    assert "flask-shop is a valid plan with 5 events" in run("plan", "check", str(plan)).out
    assert "keeps to flask-shop" in run("plan", "diff", str(plan)).out
    module = shop / "plan_events.py"
    module.unlink()
    assert run("plan", "python", str(plan), "-o", str(module)).code == 0
    assert run("plan", "python", str(plan), "-o", str(module), "--check").code == 0
    visit(make_app(plan).test_client(), "dee", "mug")

    # A deliberate break, and nothing else, is found by mypy …
    orders = shop / "orders.py"
    text = orders.read_text()
    for right, wrong in BREAKS:
        assert right in text
        text = text.replace(right, wrong)
    orders.write_text(text)
    found = dict(mypy(shop))
    assert len(found) == 2, found
    missing, wrong_type = found.items()
    assert "CheckoutStarted" in missing[0]
    assert missing[1].startswith('Missing key "cart_value" for TypedDict "CheckoutStarted"')
    assert "total" in wrong_type[0]
    assert '(expression has type "str", TypedDict item "total" has type' in wrong_type[1]

    # … and at the call …
    client = make_app(plan).test_client()
    client.post("/cart/pot")
    with pytest.raises(PlanViolationError) as error:
        client.post("/checkout/start", data={"email": "eve@example.com"})
    assert "checkout_started.cart_value: expected number, got nothing" in str(error.value)
    client.post("/sign-up", data={"name": "eve", "email": "eve@example.com"})
    with pytest.raises(PlanViolationError) as error:
        client.post("/checkout")
    text = "order_completed.total: expected number, got string that holds a number"
    assert text in str(error.value)

    # … and whoever bends the plan or the module to it is found in CI.
    bent = shop / "bent.yaml"
    order = plan.read_text().index("order_completed:")
    bent.write_text(
        plan.read_text()[:order]
        + re.sub(
            r"(\n +total:\n? *\{?type: )number", r"\1string", plan.read_text()[order:], count=1
        )
    )
    answer = run("plan", "check", str(bent), "--against", str(plan))
    assert answer.code == 1
    assert "breaking  events.order_completed.total" in answer.out, answer
    assert "number" in answer.out
    assert "string" in answer.out
    module.write_text(re.sub(r"total: .*", "total: str", module.read_text(), count=1))
    answer = run("plan", "python", str(plan), "-o", str(module), "--check")
    assert answer.code == 1
    assert "class OrderCompleted(TypedDict):" in answer.out, answer
    assert "-    total: str\n+    total: float | Decimal" in answer.out
