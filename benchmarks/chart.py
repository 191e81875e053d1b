"""Charts as SVG, on logarithmic scales: the results span several powers of ten."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
    return _svg(width, height, title, rows)


def _bar(index: int, name: str, value: float, largest: float, ours: str) -> str:
    y = _TOP + _ROW * index
    length = max(2, round(_BARS * math.log10(max(1.0, value)) / largest))
    colour = _OURS if name.startswith(ours) else _THEIRS
    return (
        f'<text x="{_NAME - 8}" y="{y + 14}" text-anchor="end" fill="{_INK}">{escape(name)}</text>'
        f'<rect x="{_NAME}" y="{y}" width="{length}" height="{_ROW - 7}" fill="{colour}"/>'
        f'<text x="{_NAME + length + 6}" y="{y + 14}" fill="{_INK}">{value:,.0f}</text>'
    )


_COLOURS = ("#2f6f9f", "#c2572b", "#3c8d5a", "#8a5aa8", "#b08a1e", "#57606a")


def lines(title: str, series: Mapping[str, Sequence[float]]) -> str:
    """Return curves over seconds, on a logarithmic scale from a tenth.

    Args:
        series: what each is called, and its value in each second.
    """
    width, height, left, top = 720, 330, 46, 34
    plot_w, plot_h = width - left - 12, height - top - 100
    seconds = max(len(values) for values in series.values())
    decades = max(1, math.ceil(math.log10(max(max(values) for values in series.values()) * 10)))

    def place(second: int, value: float) -> str:
        height_of = math.log10(max(0.1, value) * 10) / decades
        return f"{left + plot_w * second / seconds:.1f},{top + plot_h * (1 - height_of):.1f}"

    grid = []
    for decade in range(decades + 1):
        y = top + plot_h * (1 - decade / decades)
        grid.append(
            f'<line x1="{left}" x2="{left + plot_w}" y1="{y:.0f}" y2="{y:.0f}" stroke="#d0d7de"/>'
            f'<text x="{left - 6}" y="{y + 4:.0f}" text-anchor="end" fill="{_INK}">'
            f"{10**decade / 10:g}</text>"
        )
    for second in range(0, seconds + 1, 60):
        x = left + plot_w * second / seconds
        grid.append(
            f'<text x="{x:.0f}" y="{top + plot_h + 18}" text-anchor="middle" fill="{_INK}">'
            f"{second} s</text>"
        )
    drawn = []
    for number, (name, values) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(place(second, value) for second, value in enumerate(values))
        x, y = left + (number % 2) * plot_w // 2, top + plot_h + 44 + number // 2 * 19
        drawn.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
            f'<line x1="{x}" x2="{x + 22}" y1="{y - 4}" y2="{y - 4}" stroke="{colour}" '
            'stroke-width="3"/>'
            f'<text x="{x + 28}" y="{y}" fill="{_INK}">{escape(name)}</text>'
        )
    return _svg(width, height, title, [*grid, *drawn])


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13">',
        f'<text x="0" y="16" fill="{_INK}">{escape(title)}</text>',
        *parts,
        "</svg>",
        "",
    ])  # fmt: skip
