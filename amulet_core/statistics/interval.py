"""What an estimate looks like: an interval, or the reason why none is shown. Never a NaN that stands for either."""

from dataclasses import dataclass, replace

from scipy import special


@dataclass(frozen=True)
class Interval:
    """A point estimate with a two-sided confidence interval at confidence `level`, made by `method`."""

    estimate: float
    low: float
    high: float
    level: float
    method: str

    def __post_init__(self) -> None:
        """Refuse limits that are NaN or out of order: no caller can then mistake a failed computation for a result."""
        if not (self.low <= self.high and self.estimate == self.estimate):
            raise ValueError(
                f"{self.method} made no interval: estimate {self.estimate}, low {self.low}, high {self.high}. "
                "Low must not exceed high and none may be NaN; check the numbers it was given."
            )

    def within(self, least: float, most: float) -> "Interval":
        """Return the interval cut to the values that the quantity can have.

        What is cut off is nowhere that the quantity can be, so the interval holds it as often as before.
        """
        return replace(self, low=max(self.low, least), high=min(self.high, most))


@dataclass(frozen=True)
class Withheld:
    """An estimate that is not shown because the data cannot carry it, with the reason in one sentence."""

    reason: str


def level_problems(level: float) -> list[str]:
    """List what is wrong with a confidence level: it must lie strictly between 0 and 1."""
    return [] if 0 < level < 1 else [f"level must lie between 0 and 1, both excluded, not {level}"]


def refuse(task: str, problems: list[str]) -> None:
    """Raise one ValueError that names the task and all of its problems; do nothing if there are none."""
    if problems:
        raise ValueError(f"{task}: {'; '.join(problems)}.")


def normal_quantile(level: float) -> float:
    """Return z such that a standard normal lies in [-z, z] with probability `level`."""
    return float(special.ndtri((1 + level) / 2))
