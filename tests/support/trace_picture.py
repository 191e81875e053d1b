"""``python -m tests.support.trace_picture``: draw one request's trace, for the documentation.

A real application and a real worker run under `opentelemetry-instrument`; the picture shows the
spans that arrived at a receiver of OTLP.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import redis
import sqlalchemy as sa

from trackrelay.sandbox import SandboxProcess
from trackrelay.worker.devstack.servers import PostgresProcess, ValkeyProcess
from trackrelay.worker.queue.bootstrap import migrate
from trackrelay.worker.settings import sqlalchemy_url

from .otlp_receiver import OtlpReceiver, ReceivedSpan
from .traced_stack import TracedStack

PICTURE = Path(__file__).parents[2] / "docs" / "how-to" / "tracing.svg"

#: Widths and heights, in pixels.
LEFT, RIGHT, WIDTH, ROW, TOP, GAP = 280, 856, 960, 34, 92, 90
MIN_BAR = 4.0
#: Time without a span that is cut out of the axis, in nanoseconds.
CUT_NS = 100_000_000

COLORS = {"shop": "#0b6e6e", "trackrelay-worker": "#b4532a"}
VERIFYING = {
    "TRACKRELAY_VERIFY": "all",
    "TRACKRELAY_VERIFY_AFTER": "2s",
    "TRACKRELAY_VERIFY_RATE": "10",
}


@dataclass(frozen=True)
class Axis:
    """Turns times into pixels. Long times without a span are gaps of one width."""

    #: The times with spans, in nanoseconds.
    parts: Sequence[tuple[int, int]]

    @classmethod
    def of(cls, spans: Sequence[ReceivedSpan]) -> Axis:
        """Return the axis for some spans."""
        parts: list[tuple[int, int]] = []
        for span in sorted(spans, key=lambda span: span.start_ns):
            if parts and span.start_ns - parts[-1][1] < CUT_NS:
                parts[-1] = (parts[-1][0], max(parts[-1][1], span.end_ns))
            else:
                parts.append((span.start_ns, span.end_ns))
        return cls(parts)

    @property
    def _scale(self) -> float:
        shown = sum(end - start for start, end in self.parts) or 1
        return (RIGHT - LEFT - GAP * (len(self.parts) - 1)) / shown

    def x(self, at_ns: int) -> float:
        """Return the pixel of a moment."""
        left = float(LEFT)
        for start, end in self.parts:
            if at_ns <= end:
                return left + (max(at_ns, start) - start) * self._scale
            left += (end - start) * self._scale + GAP
        return left - GAP

    def gaps(self) -> Iterator[tuple[float, float]]:
        """Yield the middle of each gap, and its seconds."""
        for (_, end), (start, _) in zip(self.parts, self.parts[1:], strict=False):
            yield self.x(end) + GAP / 2, (start - end) / 1e9


def in_order(spans: Sequence[ReceivedSpan]) -> list[tuple[int, ReceivedSpan]]:
    """Return the spans as a tree is read: each with its depth, under its parent."""
    known = {span.span_id for span in spans}

    def below(parent: str, depth: int) -> Iterator[tuple[int, ReceivedSpan]]:
        for span in sorted(spans, key=lambda span: span.start_ns):
            if span.parent_id == parent or (not parent and span.parent_id not in known):
                yield depth, span
                yield from below(span.span_id, depth + 1)

    return list(below("", 0))


def picture(spans: Sequence[ReceivedSpan]) -> str:
    """Return one trace as an SVG."""
    axis, rows = Axis.of(spans), in_order(spans)
    height = TOP + ROW * len(rows) + 34
    middle = {span.span_id: TOP + ROW * index + ROW / 2 for index, (_, span) in enumerate(rows)}
    ends = {
        span.span_id: max(axis.x(span.end_ns), axis.x(span.start_ns) + MIN_BAR) for _, span in rows
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-labelledby="t d" font-family="system-ui, -apple-system, \'Segoe UI\', Roboto, '
        'sans-serif">',
        '<title id="t">The trace of one request</title>',
        f'<desc id="d">{escape(_description(rows))}</desc>',
        f'<rect width="{WIDTH}" height="{height}" rx="12" fill="#f6f9f9"/>',
        _text(24, 34, f"Trace {rows[0][1].trace_id}", size=15, weight=600),
        *_legend(spans),
        *_axis(axis, height),
    ]
    for depth, span in rows:
        parts += _row(axis, depth, span, middle, ends)
    return "\n".join([*parts, "</svg>", ""])


def _legend(spans: Sequence[ReceivedSpan]) -> Iterator[str]:
    for index, service in enumerate(dict.fromkeys(span.service for span in spans)):
        x = 24 + index * 160
        yield f'<rect x="{x}" y="50" width="14" height="14" rx="3" fill="{_color(service)}"/>'
        yield _text(x + 21, 62, service)
    yield f'<path d="M{LEFT + 60} 57h34" stroke="#64787e" stroke-dasharray="4 3"/>'
    yield _text(LEFT + 101, 62, "link to a call")


def _axis(axis: Axis, height: int) -> Iterator[str]:
    for x, seconds in axis.gaps():
        yield (
            f'<path d="M{x:.0f} {TOP - 6}V{height - 26}" stroke="#b8c6c9" stroke-dasharray="2 4"/>'
        )
        yield _text(x, height - 12, f"{seconds:.1f} s later", anchor="middle")


def _row(
    axis: Axis,
    depth: int,
    span: ReceivedSpan,
    middle: Mapping[str, float],
    ends: Mapping[str, float],
) -> Iterator[str]:
    y, x = middle[span.span_id], axis.x(span.start_ns)
    width = ends[span.span_id] - x
    for _, linked in span.links:
        if linked in middle:
            # To the end of the call's bar.
            path = f"M{x:.1f} {y:.0f}H{x - 14:.1f}V{middle[linked]:.0f}H{ends[linked] + 3:.1f}"
            yield f'<path d="{path}" fill="none" stroke="#64787e" stroke-dasharray="4 3"/>'
    yield _text(24 + depth * 18, y + 5, span.name, weight=600)
    yield (
        f'<rect x="{x:.1f}" y="{y - 9:.0f}" width="{width:.1f}" height="18" rx="3" '
        f'fill="{_color(span.service)}"/>'
    )
    milliseconds = f"{(span.end_ns - span.start_ns) / 1e6:.1f} ms"
    yield _text(WIDTH - 24, y + 5, milliseconds, anchor="end")


def _text(
    x: float, y: float, text: str, *, size: float = 13.5, weight: int = 400, anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="#12313a" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def _color(service: str) -> str:
    return COLORS.get(service, "#38535b")


def _description(rows: Sequence[tuple[int, ReceivedSpan]]) -> str:
    return "; ".join(f"{span.name} of {span.service}" for _, span in rows)


def traced_request() -> list[ReceivedSpan]:
    """Return the spans of one request, on servers of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="trackrelay-trace-") as folder,
        ValkeyProcess() as valkey,
        PostgresProcess() as postgres,
        SandboxProcess(latency="50ms") as sandbox,
        OtlpReceiver() as receiver,
    ):
        settings = {
            "TRACKRELAY_REDIS_URL": valkey.url,
            "TRACKRELAY_DATABASE_URL": postgres.url,
            "CUSTOMERIO_TRACK_URL": sandbox.url,
            "CUSTOMERIO_SITE_ID": sandbox.site_id,
            "CUSTOMERIO_TRACK_API_KEY": sandbox.api_key,
            "CUSTOMERIO_APP_URL": sandbox.url,
            "CUSTOMERIO_APP_API_KEY": sandbox.app_api_key,
        }
        engine = sa.create_engine(sqlalchemy_url(postgres.url))
        client = redis.Redis.from_url(valkey.url)
        migrate(engine, client, 4)
        # As the documentation recommends: without a span for each wakeup.
        worker = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "celery"}
        with TracedStack(settings | VERIFYING, receiver, Path(folder), worker) as stack:
            # The first requests connect and import.
            for count in (1, 2):
                stack.get(f"/checkout/{count}")
                receiver.wait_for(lambda it, count=count: _is_verified(it, count), "verification")
            engine.dispose()
            client.close()
            return _of_last_request(receiver.spans)


def _is_verified(receiver: OtlpReceiver, count: int) -> bool:
    verified = {span.trace_id for span in receiver.named("verify")}
    return len(receiver.named("GET")) == len(verified) == count


def _of_last_request(spans: Sequence[ReceivedSpan]) -> list[ReceivedSpan]:
    request = max((span for span in spans if span.kind == "SERVER"), key=lambda it: it.start_ns)
    return [span for span in spans if span.trace_id == request.trace_id]


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(picture(traced_request()), encoding="utf-8")
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
