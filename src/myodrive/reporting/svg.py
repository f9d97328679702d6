"""Small line charts as SVG that takes its colours from the page, so that they follow its light and dark themes.

A chart is a few kilobytes and a millisecond; a report of thirty recordings has some hundreds of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from markupsafe import Markup, escape

WIDTH, HEIGHT = 300, 170
LEFT, RIGHT, TOP, BOTTOM = 38, 14, 22, 30
Scale = Callable[[float], float]


@dataclasses.dataclass(frozen=True)
class Line:
    """One curve; `style` is a class of the page's stylesheet. NaN breaks it."""

    x: Float[np.ndarray, " point"]
    y: Float[np.ndarray, " point"]
    style: str
    low: Float[np.ndarray, " point"] | None = None  # of a band around it
    high: Float[np.ndarray, " point"] | None = None


@dataclasses.dataclass(frozen=True)
class Dot:
    """One value on a row of a dot chart, with the range that it is the middle of."""

    label: str
    value: float
    low: float
    high: float
    style: str
    note: str = ""


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    y_label: str = "",
    log_x: bool = False,
    log_y: bool = False,
    note: str = "",
    spans: Sequence[tuple[float, float]] = (),
) -> Markup:
    """Curves with bands on one pair of axes.

    Parameters
    ----------
    title, note : str
        Above the chart, left and right.
    lines : sequence of Line
    x_range, y_range : (low, high)
        What the axes show; curves are cut off at their edges.
    log_x, log_y : bool
        Logarithmic axes.
    spans : sequence of (from, to)
        Stretches of x that are shaded.
    """
    across = _scale(x_range, (LEFT, WIDTH - RIGHT), log_x)
    up = _scale(y_range, (HEIGHT - BOTTOM, TOP), log_y)
    parts = [_text(LEFT, 13, title, "title"), _text(WIDTH - RIGHT, 13, note, "note", "end")]
    for start, stop in spans:
        left, right = (across(min(max(v, x_range[0]), x_range[1])) for v in (start, stop))
        parts.append(
            Markup('<rect x="%.1f" y="%d" width="%.1f" height="%d" class="span"/>')
            % (left, TOP, max(right - left, 0.0), HEIGHT - BOTTOM - TOP)
        )
    for tick in _decades(*x_range) if log_x else ticks(*x_range, 4):
        parts.append(_line(across(tick), TOP, across(tick), HEIGHT - BOTTOM, "grid"))
        parts.append(_text(across(tick), HEIGHT - BOTTOM + 12, f"{tick:g}", "tick", "middle"))
    for tick in _log_ticks(*y_range) if log_y else ticks(*y_range, 3):
        parts.append(_line(LEFT, up(tick), WIDTH - RIGHT, up(tick), "grid"))
        parts.append(_text(LEFT - 4, up(tick) + 3, f"{tick:g}", "tick", "end"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, x_label, "tick", "middle"))
    if y_label:
        middle = (TOP + HEIGHT - BOTTOM) / 2
        parts.append(
            Markup(f'<g transform="rotate(-90 9 {middle:g})">{_text(9, middle, y_label, "tick", "middle")}</g>')
        )
    for line in lines:
        x = [across(float(v)) for v in line.x]
        if line.low is not None and line.high is not None:
            parts.append(_band(x, _cut(line.low, y_range, up), _cut(line.high, y_range, up), line.style))
        parts.append(_curve(x, _cut(line.y, y_range, up), line.style))
    return _svg(HEIGHT, title, parts)


def dot_chart(title: str, dots: Sequence[Dot], x_range: tuple[float, float]) -> Markup:
    """One row a method: a dot with the range over muscles behind it."""
    left, row = 112, 18
    height = TOP + row * len(dots) + 18
    across = _scale(x_range, (left, WIDTH - 44))
    parts = [_text(4, 13, title, "title")]
    for tick in ticks(*x_range, 3):
        parts.append(_line(across(tick), TOP, across(tick), height - 16, "grid"))
        parts.append(_text(across(tick), height - 4, f"{tick:g}", "tick", "middle"))
    for i, dot in enumerate(dots):
        y = TOP + row * (i + 0.5)
        parts.append(_text(left - 6, y + 3.5, dot.label, "tick", "end"))
        parts.append(_text(WIDTH - 2, y + 3.5, dot.note, "tick", "end"))
        if not math.isfinite(dot.value):
            continue
        low, high, value = (across(min(max(v, x_range[0]), x_range[1])) for v in (dot.low, dot.high, dot.value))
        if math.isfinite(low + high):
            parts.append(_line(low, y, high, y, f"range {dot.style}"))
        parts.append(Markup('<circle cx="%.1f" cy="%.1f" r="4" class="%s"/>') % (value, y, f"dot {dot.style}"))
    return _svg(height, title, parts)


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers between low and high, about as many as asked for."""
    if not high > low:
        return [low]
    rough = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    return [10.0**k for k in range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, or where there are not two of them 1, 2 and 5 times such a power."""
    decades = _decades(low, high)
    if len(decades) >= 2:
        return decades
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [t for k in powers for t in (10.0**k, 2 * 10.0**k, 5 * 10.0**k) if low <= t <= high]


def _scale(source: tuple[float, float], target: tuple[float, float], log: bool = False) -> Scale:
    a, b = (math.log10(v) for v in source) if log else source
    factor = (target[1] - target[0]) / ((b - a) or 1.0)

    def to(value: float) -> float:
        return target[0] + ((math.log10(value) if log else value) - a) * factor

    return to


def _cut(values: np.ndarray, y_range: tuple[float, float], up: Scale) -> list[float]:
    return [up(float(v)) for v in np.clip(values, *y_range)]


def _curve(x: list[float], y: list[float], style: str) -> Markup:
    path, pen = [], "M"
    for a, b in zip(x, y):
        if math.isfinite(b):
            path.append(f"{pen}{a:.1f} {b:.1f}")
            pen = "L"
        else:
            pen = "M"
    return Markup('<path d="%s" class="curve %s"/>') % ("".join(path), style)


def _band(x: list[float], low: list[float], high: list[float], style: str) -> Markup:
    known = [(a, b, c) for a, b, c in zip(x, low, high) if math.isfinite(b) and math.isfinite(c)]
    if not known:
        return Markup("")
    outline = [f"{a:.1f} {c:.1f}" for a, _, c in known] + [f"{a:.1f} {b:.1f}" for a, b, _ in reversed(known)]
    return Markup('<path d="M%sZ" class="band %s"/>') % ("L".join(outline), style)


def _text(x: float, y: float, text: str, style: str, anchor: str = "start") -> Markup:
    if not text:
        return Markup("")
    return Markup('<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>') % (x, y, style, anchor, text)


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    return Markup('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>') % (x1, y1, x2, y2, style)


def _svg(height: float, title: str, parts: Sequence[Markup]) -> Markup:
    head = Markup('<svg viewBox="0 0 %d %d" class="chart" role="img" aria-label="%s">') % (WIDTH, height, escape(title))
    return head + Markup("").join(parts) + Markup("</svg>")
