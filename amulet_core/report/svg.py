"""The few pieces of SVG that the charts are drawn from; every text is escaped, every number rounded."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Maps values from ``low .. high`` to pixels ``start .. stop``; values outside are moved to the nearer end."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        inside = min(max(value, self.low), self.high)
        low, high, at = (math.log(each) if self.log else each for each in (self.low, self.high, inside))
        return self.start + (self.stop - self.start) * (at - low) / (high - low)


def element(name: str, attributes: Mapping[str, str | float], *children: Markup | str) -> Markup:
    """Return one element; attribute values and children that are plain text are escaped."""
    empty = Markup("")
    written = empty.join(Markup(' {}="{}"').format(key, _number(value)) for key, value in attributes.items())
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, empty.join(children))


def drawing(title: str, description: str, size: tuple[float, float], children: Iterable[Markup]) -> Markup:
    """Return an SVG image with its name and description for those who cannot see it."""
    width, height = size
    frame = {"viewBox": f"0 0 {_number(width)} {_number(height)}", "role": "img", "class": "chart"}
    return element("svg", frame, element("title", {}, title), element("desc", {}, description), *children)


def line(start: Point, end: Point, style: str) -> Markup:
    """Return a straight line; ``style`` is its CSS class, as everywhere here."""
    (x1, y1), (x2, y2) = start, end
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": style})


def polyline(points: Sequence[Point], style: str) -> Markup:
    """Return a line through points, without those that its neighbours already draw."""
    return element("polyline", {"points": _path(_thinned(points)), "class": style})


def band(upper: Sequence[Point], lower: Sequence[Point], style: str) -> Markup:
    """Return the area between two lines."""
    return element("polygon", {"points": _path([*upper, *reversed(lower)]), "class": style})


def label(at: Point, text: str, style: str) -> Markup:
    """Return a text; its CSS class says whether it starts, ends or is centred there."""
    return element("text", {"x": at[0], "y": at[1], "class": style}, text)


def dot(at: Point, radius: float, style: str) -> Markup:
    """Return a dot."""
    return element("circle", {"cx": at[0], "cy": at[1], "r": radius, "class": style})


def box(corner: Point, size: tuple[float, float], style: str) -> Markup:
    """Return a filled rectangle."""
    return element("rect", {"x": corner[0], "y": corner[1], "width": size[0], "height": size[1], "class": style})


def ticks(low: float, high: float, *, about: int = 5) -> tuple[float, ...]:
    """Return round numbers from ``low`` to ``high``, some ``about`` of them, 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(round(i * step, 10) + 0.0 for i in range(first, last + 1))


def decades(low: float, high: float) -> tuple[float, ...]:
    """Return the powers of ten from ``low`` to ``high``."""
    return tuple(10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1))


def _number(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


def _path(points: Sequence[Point]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _thinned(points: Sequence[Point]) -> list[Point]:
    """Leave out points on the pixel of their predecessor, and the middle ones of a vertical or horizontal stretch."""
    kept: list[Point] = []
    for point in points:
        if kept and _pixel(point) == _pixel(kept[-1]):
            continue
        if len(kept) > 1 and _straight(_pixel(kept[-2]), _pixel(kept[-1]), _pixel(point)):
            kept.pop()
        kept.append(point)
    return kept


def _straight(*pixels: Point) -> bool:
    return any(len({pixel[axis] for pixel in pixels}) == 1 for axis in (0, 1))


def _pixel(point: Point) -> Point:
    return round(point[0]), round(point[1])
