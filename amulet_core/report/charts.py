"""The charts of the report, as inline SVG: plain functions from numbers to markup, readable in light and in dark.

Colours, dashes and text sizes are CSS classes of the page, so that a chart follows its theme and its print style.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from amulet_core.report.svg import (
    Point,
    Scale,
    band,
    box,
    decades,
    dot,
    drawing,
    label,
    line,
    polyline,
    ticks,
)
from amulet_core.report.words import count, number, signed

STYLES = 6


@dataclass(frozen=True)
class Curve:
    """One attack's curve: ``points`` (x, y) of the first seed, ``others`` of the further seeds, drawn lightly.

    ``low`` and ``high`` are the interval at each point, or empty.
    """

    name: str
    points: tuple[Point, ...]
    others: tuple[tuple[Point, ...], ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class Bar:
    """One group's rate, its interval where there is one, how many rows it has, and its rate in the further seeds."""

    name: str
    rate: float
    low: float | None
    high: float | None
    n: int
    others: tuple[float, ...] = ()


@dataclass(frozen=True)
class Change:
    """One row's change: its difference in each seed, their mean, and the interval where there is one."""

    name: str
    differences: tuple[float, ...]
    mean: float
    low: float | None
    high: float | None
    colour: str


def roc(curves: Sequence[Curve], *, title: str) -> Markup:
    """Draw ROC curves on two logarithmic axes, where the few rows that leak most can be seen; at least one curve.

    Rates of zero lie on the axis. The dotted line is guessing.
    """
    rates = [rate for curve in curves for point in curve.points for rate in point if rate > 0]
    floor = min(0.01, max(1e-4, 10.0 ** math.floor(math.log10(min(rates, default=0.01)) + 1e-9)))
    x, y = Scale(floor, 1, 56, 436, log=True), Scale(floor, 1, 300, 16, log=True)
    marks = decades(floor, 1)
    parts = [
        *_axes(x, y, marks, marks, names=("false positive rate", "true positive rate")),
        line((x(floor), y(floor)), (x(1), y(1)), "chance"),
        *_curves(curves, x, y),
    ]
    description = "; ".join(f"{curve.name}: {_roc_words(curve)}" for curve in curves)
    return drawing(title, f"{description}. Guessing has equal rates.", (460, 350 + 18 * len(curves)), parts)


def accuracy_by_epsilon(curves: Sequence[Curve], *, title: str) -> Markup:
    """Draw accuracy over the adversary's budget, with the interval as a band; at least one curve."""
    return _by_budget(curves, title=title, names=("epsilon (share of each feature's range)", "accuracy"))


def fidelity_by_budget(curves: Sequence[Curve], *, title: str) -> Markup:
    """Draw a stolen model's agreement with the victim over the number of queries; at least one curve."""
    return _by_budget(curves, title=title, names=("query budget", "fidelity"))


def _by_budget(curves: Sequence[Curve], *, title: str, names: tuple[str, str]) -> Markup:
    widest = max((point[0] for curve in curves for point in curve.points), default=0.0)
    x, y = Scale(0, widest or 1, 56, 436), Scale(0, 1, 300, 16)
    parts = [
        *_axes(x, y, ticks(0, x.high), ticks(0, 1), names=names),
        *(_band(curve, index, x, y) for index, curve in enumerate(curves) if curve.low),
        *_curves(curves, x, y),
    ]
    description = "; ".join(
        f"{curve.name}: {', '.join(f'{number(value)} at {budget:g}' for budget, value in curve.points)}"
        for curve in curves
    )
    return drawing(title, f"{names[1].capitalize()} {description}.", (460, 350 + 18 * len(curves)), parts)


def group_rates(bars: Sequence[Bar], *, title: str, name: str) -> Markup:
    """Draw one horizontal bar a group with its interval as a line; the other seeds are ticks; at least one bar."""
    top = max(max([bar.rate, bar.high or 0, *bar.others]) for bar in bars)
    x = Scale(0, min(1.0, top * 1.1) or 1, 16, 440)
    bottom = 14 + 42 * len(bars)
    parts = [*_bottom_axis(x, ticks(0, x.high), (10, bottom), name)]
    for index, bar in enumerate(bars):
        parts.extend(_bar(bar, x, 14 + 42 * index))
    description = "; ".join(f"{bar.name}: {number(bar.rate)}{_span(bar.low, bar.high)} of {bar.n} rows" for bar in bars)
    return drawing(title, f"{name}: {description}.", (460, bottom + 40), parts)


def effects(changes: Sequence[Change], *, title: str, margin: float, better: Literal["higher", "lower"]) -> Markup:
    """Draw each row's change: a dot a seed, the mean as a bar across, the interval as a line; at least one change.

    The shaded middle of each is the margin. An interval wider than the picture runs off its edge.
    """
    near = max([margin, *(abs(each) for change in changes for each in (*change.differences, change.mean))])
    far = max([near, *(abs(end) for change in changes for end in (change.low, change.high) if end is not None)])
    reach = min(far, 2.5 * near) * 1.06
    x, bottom = Scale(-reach, reach, 16, 504), 30 + 42 * len(changes)
    worse, fewer = ("← worse", "better →") if better == "higher" else ("← better", "worse →")
    parts = [
        *_bottom_axis(x, ticks(-reach, reach), (22, bottom), "change against none"),
        label((16, 14), worse, "small start"),
        label((504, 14), fewer, "small end"),
    ]
    for index, change in enumerate(changes):
        top = 30 + 42 * index
        # Beside the interval alone: names above it stay on plain ground.
        parts.append(box((x(-margin), top + 15), (x(margin) - x(-margin), 20), "margin"))
        parts.append(line((x(0), top + 15), (x(0), top + 35), "zero"))
        parts.extend(_change(change, x, top))
    description = "; ".join(
        f"{each.name}: mean {signed(each.mean)}{_span(each.low, each.high)} over {count(len(each.differences), 'seed')}"
        for each in changes
    )
    return drawing(title, f"{description}. Margin {number(margin)}.", (520, bottom + 40), parts)


def _axes(
    x: Scale, y: Scale, x_ticks: Sequence[float], y_ticks: Sequence[float], *, names: tuple[str, str]
) -> Iterator[Markup]:
    yield from _bottom_axis(x, x_ticks, (y.stop, y.start), names[0])
    for tick in y_ticks:
        yield line((x.start, y(tick)), (x.stop, y(tick)), "grid")
        yield label((x.start - 6, y(tick) + 4), f"{tick:g}", "small end")
    yield label((x.start, y.stop - 5), names[1], "small start")


def _bottom_axis(x: Scale, marks: Sequence[float], span: tuple[float, float], name: str) -> Iterator[Markup]:
    top, bottom = span
    for mark in marks:
        yield line((x(mark), top), (x(mark), bottom), "grid")
        yield label((x(mark), bottom + 16), f"{mark:g}".replace("-", "−"), "small middle")
    yield line((x.start, bottom), (x.stop, bottom), "axis")
    yield label(((x.start + x.stop) / 2, bottom + 33), name, "small middle")


def _curves(curves: Sequence[Curve], x: Scale, y: Scale) -> Iterator[Markup]:
    for index, curve in enumerate(curves):
        style = f"s{index % STYLES}"
        yield from (polyline([(x(a), y(b)) for a, b in other], f"curve faint {style}") for other in curve.others)
    for index, curve in enumerate(curves):
        style, height = f"s{index % STYLES}", 352 + 18 * index
        yield polyline([(x(a), y(b)) for a, b in curve.points], f"curve {style}")
        yield line((x.start, height), (x.start + 34, height), f"curve {style}")
        yield label((x.start + 42, height + 4), curve.name, "start")


def _band(curve: Curve, index: int, x: Scale, y: Scale) -> Markup:
    across = [x(point[0]) for point in curve.points]
    upper = [(a, y(b)) for a, b in zip(across, curve.high, strict=True)]
    lower = [(a, y(b)) for a, b in zip(across, curve.low, strict=True)]
    return band(upper, lower, f"band s{index % STYLES}")


def _bar(bar: Bar, x: Scale, top: float) -> Iterator[Markup]:
    yield label(
        (x.start, top + 11), f"{bar.name} (n = {bar.n:,}): {number(bar.rate)}{_span(bar.low, bar.high)}", "start"
    )
    yield box((x.start, top + 17), (x(bar.rate) - x.start, 14), "bar")
    for other in bar.others:
        yield line((x(other), top + 17), (x(other), top + 31), "tick")
    if bar.low is not None and bar.high is not None:
        yield line((x(bar.low), top + 24), (x(bar.high), top + 24), "whisker")


def _change(change: Change, x: Scale, top: float) -> Iterator[Markup]:
    yield label((x.start, top + 11), change.name, "start name")
    middle = top + 25
    if change.low is not None and change.high is not None:
        yield line((x(change.low), middle), (x(change.high), middle), f"interval {change.colour}")
        for end in (change.low, change.high):
            if x.low < end < x.high:
                yield line((x(end), middle - 5), (x(end), middle + 5), f"interval {change.colour}")
    for difference in change.differences:
        yield dot((x(difference), middle), 3.2, f"dot {change.colour}")
    yield line((x(change.mean), middle - 8), (x(change.mean), middle + 8), f"mean {change.colour}")


def _span(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{number(low)}, {number(high)}]"


def _roc_words(curve: Curve) -> str:
    """Say how high the curve is at the false positive rates that people ask for."""
    words = [
        f"true positive rate {number(max((b for a, b in curve.points if a <= rate), default=0.0))} at {rate:g}"
        for rate in (0.001, 0.01, 0.1)
    ]
    return ", ".join(words)
