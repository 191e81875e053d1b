"""Foreign text on a terminal or in a log: characters that steer, hide or reorder it are escaped."""

import io
import json
import logging
from dataclasses import dataclass

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from trackrelay.worker.telemetry import log_setup
from trackrelay.worker.telemetry.visible_text import visible, visible_lines, visible_values

HOSTILE = {
    "clear the screen": "\x1b[2J",
    "retitle the window": "\x1b]0;owned\x07",
    "C1 CSI": "\x9b31m",
    "C1 OSC": "\x9d0;owned\x9c",
    "carriage return": "rm\rls",
    "backspace": "\x08\x08",
    "right-to-left override": "\u202egnp.exe",
    "isolate": "\u2066x\u2069",
    "line separator": "\u2028",
    "zero width": "\u200b",
    "delete": "\x7f",
    "tag": "\U000e0041",
    "half a pair": "\udc9b",
    "nul": "\x00",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_steers_a_terminal_is_an_escape(text: str) -> None:
    assert visible(text).isascii()
    assert visible(text).isprintable()
    assert visible(f"{text}\n") == f"{visible(text)}\\u000a"
    assert visible_lines(f"{text}\n\t") == f"{visible_lines(text)}\n\t"


@pytest.mark.parametrize("text", ["plain", "Zoë", "日本語", "مرحبا", "👩‍👩‍👧", "a b"])
def test_what_people_write_stays(text: str) -> None:
    assert visible(text) == visible_lines(text) == text


@given(
    st.recursive(
        st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
    )
)
def test_a_json_document_means_the_same(value: object) -> None:
    written = visible_lines(json.dumps(value, indent=2, ensure_ascii=False))
    # Python's reader joins the halves of a pair, which its writer kept apart.
    assert json.loads(written) == json.loads(json.dumps(value))


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    keys: tuple[str, ...]
    history: tuple[dict[str, object], ...]
    number: int


def test_every_text_of_a_value_is_made_visible() -> None:
    made = visible_values(Row("a\x1b", ("\x9b",), ({"\x07": ["\u202e", 1, None]},), 3))
    assert made == Row("a\\u001b", ("\\u009b",), ({"\\u0007": ["\\u202e", 1, None]},), 3)


def test_no_log_line_on_a_terminal_has_more_than_our_own_colours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(stream, "isatty", lambda: True)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    everything = "".join(HOSTILE.values()).replace("\udc9b", "")
    try:
        log_setup.configure()
        log = structlog.get_logger("trackrelay.test")
        log.error(
            everything,
            error=everything,
            keys=[everything],
            nested={everything: everything},
            **{"a\x1b[2J": 1},
        )
        logging.getLogger("celery").error("could not do %s", everything)
        try:
            raise ValueError(everything)
        except ValueError:
            log.exception("failed")
            logging.getLogger("celery").exception("failed")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(False)

    written = stream.getvalue()
    assert "could not do" in written
    assert written.count("ValueError") >= 2
    for text in HOSTILE.values():
        assert text not in written, ascii(text)
    assert "\x1b]" not in written
