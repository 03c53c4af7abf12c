"""What a metric returns: named values with their intervals, and details for the report."""

from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, JsonValue

from amulet_core.schema import Finite, Frozen

if TYPE_CHECKING:
    from amulet_core.statistics.interval import Interval


ALARM: Final = "ALARM: "
"""How a warning begins that the report puts first: something is not as private, say, as it claims to be."""


class Value(Frozen):
    """One value of a metric: its estimate and, where one is honest, its interval.

    ``low`` and ``high`` are both absent where no interval is given; ``method`` then says why.
    ``null`` describes the value's distribution when there is nothing to find, where that is not one number, and
    ``null_95`` is its 95 % quantile, of a value that grows with what is found.
    """

    name: str
    estimate: Finite
    low: Finite | None = None
    high: Finite | None = None
    method: str
    n: int = Field(ge=0)
    null: str = ""
    null_95: Finite | None = None

    @classmethod
    def of(cls, name: str, interval: "Interval", *, n: int, null: str = "") -> "Value":
        """Return an interval of ``amulet_core.statistics`` as a value, from ``n`` rows."""
        return cls(
            name=name,
            estimate=interval.estimate,
            low=interval.low,
            high=interval.high,
            method=interval.method,
            n=n,
            null=null,
        )


class Withheld(Frozen):
    """A value that the data cannot support, and why."""

    name: str
    reason: str = Field(min_length=5)


class Scores(Frozen):
    """All values of one metric on one result; ``details`` are JSON that the report draws (curves, group rates).

    ``warnings`` are shown, and say that the risk may be larger than measured: of a row they block the verdicts "risk
    down" and "no change", of ``none`` "risk up" and "no change". One that begins with ``ALARM`` stands first in the
    report.
    """

    values: tuple[Value | Withheld, ...]
    details: dict[str, JsonValue] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        """Return the value of that name."""
        return next(value for value in self.values if value.name == name)
