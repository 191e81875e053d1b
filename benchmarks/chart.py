"""A bar chart as SVG, on a logarithmic scale: the results span three powers of ten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

_ROW, _NAME, _BARS, _FIGURE, _TOP = 26, 250, 380, 80, 34
_OURS, _THEIRS, _INK = "#2f6f9f", "#b0b7bd", "#57606a"


def bars(title: str, values: Sequence[tuple[str, float]], ours: str) -> str:
    """Return horizontal bars.

    Args:
        values: what each is called and how much it is, at least 1.
        ours: what the names of ours begin with.
    """
    largest = math.log10(max(value for _, value in values))
    width, height = _NAME + _BARS + _FIGURE, _TOP + _ROW * len(values) + 8
    rows = [_bar(index, name, value, largest, ours) for index, (name, value) in enumerate(values)]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13">',
        f'<text x="0" y="16" fill="{_INK}">{escape(title)}</text>',
        *rows,
        "</svg>",
        "",
    ])  # fmt: skip


def _bar(index: int, name: str, value: float, largest: float, ours: str) -> str:
    y = _TOP + _ROW * index
    length = max(2, round(_BARS * math.log10(max(1.0, value)) / largest))
    colour = _OURS if name.startswith(ours) else _THEIRS
    return (
        f'<text x="{_NAME - 8}" y="{y + 14}" text-anchor="end" fill="{_INK}">{escape(name)}</text>'
        f'<rect x="{_NAME}" y="{y}" width="{length}" height="{_ROW - 7}" fill="{colour}"/>'
        f'<text x="{_NAME + length + 6}" y="{y + 14}" fill="{_INK}">{value:,.0f}</text>'
    )
