"""What templates make of values."""

from trackrelay.worker.console.page_templates import code


def test_backticks_become_elements_and_what_is_foreign_stays_text() -> None:
    assert code("Run `trackrelay plan`.") == "Run <code>trackrelay plan</code>."
    assert code("`<b>` and ` alone") == "<code>&lt;b&gt;</code> and ` alone"
    assert code("a\u202eb") == "a\\u202eb"
