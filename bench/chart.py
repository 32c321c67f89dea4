"""The plot of the hybrid's trade-off, as an SVG that reads on light and dark pages."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import log10

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 360, 250, 56, 44, 48
_STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.axis { stroke: #8c959f }
.grid { stroke: #d0d7de }
.line { fill: none; stroke: #0550ae; stroke-width: 2 }
.dot { fill: #0550ae }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .axis { stroke: #8d96a0 }
  .grid { stroke: #3d444d }
  .line { stroke: #79c0ff }
  .dot { fill: #79c0ff }
}
</style>"""


@dataclass(frozen=True)
class Point:
    """What was measured at a threshold."""

    threshold: int
    #: Deliveries of a post, on average; home reads a second of a core; ms.
    deliveries: float
    reads: float
    p99: float


def hybrid(points: Sequence[Point]) -> str:
    """Three panels over the threshold: what a post costs, and what that saves readers."""
    panels: list[tuple[str, Callable[[Point], float]]] = [
        ("Deliveries a post", lambda point: point.deliveries),
        ("Home reads/s of a core", lambda point: point.reads),
        ("p99 at half load, ms", lambda point: point.p99),
    ]
    width = _WIDTH * len(panels)
    label = "Deliveries a post, home reads and p99 by celebrity threshold"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" role="img" aria-label="{label}">'
    parts = [head, _STYLE]
    for place, (title, value) in enumerate(panels):
        parts.append(f'<g transform="translate({place * _WIDTH})">')
        parts += _panel(title, [(point.threshold, value(point)) for point in points])
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _panel(title: str, points: Sequence[tuple[int, float]]) -> Iterator[str]:
    right, low, high = _WIDTH - 24, _HEIGHT - _BOTTOM, _TOP
    first, last = log10(points[0][0]), log10(points[-1][0])
    top = _round_up(max(value for _, value in points))

    def x(threshold: int) -> float:
        return _LEFT + 12 + (right - _LEFT - 24) * (log10(threshold) - first) / (last - first)

    def y(value: float) -> float:
        return low - (low - high) * value / top

    yield f'<text class="title" x="{_LEFT}" y="24">{title}</text>'
    for step in range(5):
        value = top * step / 4
        kind = "grid" if step else "axis"
        yield f'<line class="{kind}" x1="{_LEFT}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:,g}</text>'
    for threshold, _ in points:
        yield f'<text x="{x(threshold):.1f}" y="{low + 18}" text-anchor="middle">{threshold:,}</text>'
    yield f'<text x="{(_LEFT + right) / 2:.0f}" y="{low + 38}" text-anchor="middle">followers of a celebrity</text>'
    line = " ".join(f"{x(threshold):.1f},{y(value):.1f}" for threshold, value in points)
    yield f'<polyline class="line" points="{line}"/>'
    for threshold, value in points:
        yield (
            f'<circle class="dot" cx="{x(threshold):.1f}" cy="{y(value):.1f}" r="4"><title>{threshold:,}: {value:,.3g}'
            "</title></circle>"
        )


def _round_up(value: float) -> float:
    """The next number that four steps make even."""
    size = 10.0 ** int(log10(value))
    return next(size * each for each in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10, 12) if size * each >= value)
