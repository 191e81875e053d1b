"""The typed module of a plan: it runs and sends events."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.typed_calls import PLAN
from trackrelay import Person, operations
from trackrelay.calls.backends import MemoryBackend
from trackrelay.default import default_producer, overridden
from trackrelay.plan import load_plan, parse_plan
from trackrelay.plan.python_types import PythonTypes, UniqueNames, class_name, function_name
from trackrelay.plan.typed_module import typed_module

ROOT = Path(__file__).parents[4]


def module_of(source: str) -> ModuleType:
    module = ModuleType("plan_events")
    sys.modules[module.__name__] = module
    exec(compile(source, "plan_events.py", "exec"), module.__dict__)
    return module


@pytest.mark.parametrize("is_async", [False, True])
def test_the_module_compiles_whatever_the_names_and_texts(is_async: bool) -> None:
    module = module_of(typed_module(parse_plan(PLAN), is_async=is_async))
    names = ("order_completed", "class_", "signed_up", "order_completed_2", "identify")
    assert all(callable(getattr(module, name, None)) for name in (*names[:1], *names[2:]))
    assert module.order_completed.__doc__.startswith('An order "was" paid.')


def test_the_functions_send_the_event_of_their_name() -> None:
    module = module_of(typed_module(parse_plan(PLAN)))
    with overridden(backend="memory"):
        backend = default_producer().backend
        assert isinstance(backend, MemoryBackend)
        data = {"order_id": "A-1", "total": 12.5}
        changes = {"orders_count": 1}
        module.order_completed("42", data, person_attributes=changes, idempotency_key="A-1")
        module.signed_up(Person(anonymous_id="visitor"))
        module.identify("42", {"plan": "pro"}, anonymous_id="visitor")
        module.identify_product("P-1", {"sku": "a"})
        expected = [
            operations.track(
                "42",
                "Order Completed",
                data,
                person_attributes=changes,
                idempotency_key="A-1",
            ).name,
            "anonymous.event",
            "person.identify",
            "object.identify",
        ]
        assert [each.name for each in backend.operations] == expected
        assert b'"name":"Order Completed"' in backend.operations[0].body
        assert b'"object_type_id":"7"' in backend.operations[3].body


def test_a_schema_has_the_type_that_callers_may_pass() -> None:
    types = PythonTypes(UniqueNames([]))

    def of(schema: object) -> str:
        return types.type_of(schema, "order item")

    assert of({"type": "string"}) == "str"
    assert of({"type": "number"}) == "float | Decimal"
    assert of({"type": ["null", "number"]}) == "float | Decimal | None"
    assert of({"type": "integer", "format": "unix-seconds"}) == "datetime | int"
    assert of({"enum": ["a", None]}) == "Literal['a'] | None"
    assert of({"const": 1.5, "type": "number"}) == "float | Decimal"
    assert of({"type": "array", "items": {"type": "string"}}) == "Sequence[str]"
    assert of({"type": "object"}) == "Mapping[str, Any]"
    assert (
        of({"type": "object", "additionalProperties": {"type": "boolean"}}) == "Mapping[str, bool]"
    )
    assert of({"anyOf": [{"type": "string"}, {"type": "integer"}]}) == "str | int"
    assert of({"description": "anything"}) == "Any"
    assert of({"type": "object", "properties": {"a": {}}}) == "OrderItem"
    assert types.classes[0].fields[0].type == "Any"


@pytest.mark.parametrize(
    ("text", "cls", "function"),
    [
        ("order_completed", "OrderCompleted", "order_completed"),
        ("Order Completed", "OrderCompleted", "order_completed"),
        ("productId", "ProductId", "product_id"),
        ("2fa enabled", "_2FaEnabled", "_2_fa_enabled"),
        ("заказ оплачен", "ЗаказОплачен", "заказ_оплачен"),
        ("…", "Unnamed", "unnamed"),
    ],
)
def test_names_become_names_of_python(text: str, cls: str, function: str) -> None:
    assert (class_name(text), function_name(text)) == (cls, function)


@pytest.mark.parametrize(
    ("example", "module"),
    [("django_shop", "shop/plan_events.py"), ("flask_app", "plan_events.py")],
)
def test_the_modules_of_the_examples_are_what_their_plans_say(example: str, module: str) -> None:
    folder = ROOT / "examples" / example
    source = typed_module(load_plan(folder / "trackrelay-plan.yaml"))
    assert (folder / module).read_text(encoding="utf-8") == source
