"""The results of a run, as plain values: cells, entries of the matrix, and where each number came from.

Everything here is JSON: reports and later analyses read nothing else.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, JsonValue

from amulet_core.schema import Finite, Frozen
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.vocabulary import Better

if TYPE_CHECKING:
    import pandas as pd

NONE = "none"
PLACEBO = "placebo"

Shown = Literal["effect", "judged", "mean", "verdict"]
"""What of each entry a matrix shows."""


class Member(Frozen):
    """One component as used: its id, version and all of its parameters."""

    id: str
    version: str
    distribution: str
    params: dict[str, JsonValue]
    summary: str
    references: tuple[tuple[str, str], ...] = ()


class Row(Frozen):
    """A row of the matrix: ``none`` (undefended), ``placebo`` (the same with another training seed), or a chain."""

    label: str
    kind: Literal["none", "placebo", "defense"]
    chain: tuple[Member, ...] = ()


class Column(Frozen):
    """A column of the matrix: a risk (or utility), its threat model, its attacks, and the value verdicts are about.

    ``floor`` is the value without any protection, where the value exists only for rows with a certain defense.
    ``chance`` is the value where there is nothing to find, if that is one number.
    ``bound``: it is a lower bound on what an adversary could do, for such rows alone, and no verdict rests on it.
    ``share``: the value is a share of as many trials as stand behind it.
    """

    risk: str
    title: str
    threat: dict[str, JsonValue]
    attacks: tuple[Member, ...] = ()
    controls: tuple[str, ...] = ()
    metrics: tuple[Member, ...] = ()
    primary_metric: str
    primary_value: str
    primary_label: str
    better: Better
    margin: float
    floor: Finite | None = None
    bound: bool = False
    share: bool = False
    chance: Finite | None = None

    @property
    def alone(self) -> bool:
        """Say whether values stand for themselves, as there is none without a defense to compare them with."""
        return self.bound or self.floor is not None


class Measured(Frozen):
    """What one metric gave in one cell."""

    metric: str
    scores: Scores


class Cell(Frozen):
    """One defense chain x one attack (or a game without attack) x one seed.

    ``attack`` is a component id, ``worst case`` (the core's union of a risk's attacks), or empty where a game has none.
    ``blame`` names the component that failed, ``adversary`` says whether the attack knew the defense.
    """

    row: str
    risk: str
    attack: str
    control: bool = False
    seed: int
    status: Literal["ok", "failed", "skipped"]
    reason: str = ""
    blame: str = ""
    traceback: str = ""
    adversary: str = ""
    measured: tuple[Measured, ...] = ()
    warnings: tuple[str, ...] = ()


class Effect(Frozen):
    """The change of a risk's primary value from ``none`` to a row: mean paired difference, interval, and what follows.

    ``low``, ``high`` and p values are absent with fewer than two seeds; ``verdict_reason`` says why none is given.
    """

    difference: Finite
    low: Finite | None = None
    high: Finite | None = None
    level: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    p_equivalence: float | None = None
    seeds: int
    verdict: Literal["risk up", "risk down", "no change", "inconclusive", "degenerate", "too few seeds", "blocked"]
    verdict_reason: str = ""


class Expected(Frozen):
    """What the published tables (2024) say of a defense and a risk."""

    effect: Literal["increase", "decrease", "unexplored"]
    defense: str
    risk: str
    factors: tuple[tuple[str, str], ...] = ()
    note: str = ""
    measured_since: tuple[str, ...] = ()
    first_time: bool = False


class Entry(Frozen):
    """One square of the matrix: a row and a risk, its primary value by seed, and the effect against ``none``.

    ``values`` lists (seed, value) of the seeds that were measured. ``effect`` is absent for ``none`` itself and where
    nothing could be paired; ``missing`` then says why. In a column whose values stand ``alone`` there are no effects:
    ``low`` and ``high`` are the 95 % interval of the mean (not of a bound's), cut to what there can be, and
    ``inapplicable`` marks the rows without the defense.
    """

    row: str
    risk: str
    values: tuple[tuple[int, Finite], ...] = ()
    n: int | None = None
    """How many rows, models or guesses a seed's value rests on: the fewest of any seed."""
    mean: Finite | None = None
    low: Finite | None = None
    high: Finite | None = None
    effect: Effect | None = None
    expected: tuple[Expected, ...] = ()
    degenerate: str = ""
    warnings: tuple[str, ...] = ()
    missing: str = ""
    inapplicable: bool = False


class Conflict(Frozen):
    """Whether a chain keeps, on one risk, the protection that one of its members gives alone.

    ``chain`` and ``alone`` are the labels of the two rows (``alone`` is empty where the member has none), ``member`` is
    the component's id. ``without``, ``with_member`` and ``together`` are means of the primary value over the seeds that
    both rows have; ``without`` is the row ``none``'s, or the column's floor. ``difference`` is ``together`` minus
    ``with_member``. ``partial``: a conflict, though the chain still lowers the risk by its own verdict.
    """

    chain: str
    member: str
    alone: str
    risk: str
    without: Finite | None = None
    with_member: Finite | None = None
    together: Finite | None = None
    difference: Finite | None = None
    low: Finite | None = None
    high: Finite | None = None
    level: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    p_kept: float | None = None
    seeds: int = 0
    verdict: Literal["conflict", "kept", "inconclusive", "degenerate", "too few seeds", "blocked", "missing"]
    verdict_reason: str = ""
    partial: bool = False


class Provenance(Frozen):
    """Where the results come from: software, hardware, timings. Outside the equality of results."""

    started: str
    finished: str
    seconds: float
    complete: bool
    reused: int = 0
    """How many cells were known before the run started, from an earlier one."""
    data_sha256: str = ""
    """The SHA-256 of all rows of the data set and of its schema; empty in results of before it was kept."""
    platform: str
    python: str
    cpu: str
    cores: int
    peak_memory_mb: float
    threads_per_job: int
    libraries: dict[str, str]
    plugins: dict[str, str]
    components: tuple[Member, ...]
    timings: dict[str, float] = Field(default_factory=dict)
    evidence: dict[str, JsonValue] = Field(default_factory=dict)
    """What defenses left, by row (privacy spent, for example), for the first seed."""
    warnings: tuple[str, ...] = ()


class Results(Frozen):
    """All that a run found. ``config`` is the resolved configuration: every name and parameter spelled out."""

    version: Literal[1] = 1
    name: str
    config: dict[str, JsonValue]
    data: dict[str, JsonValue]
    """The data set: id, licence, rows, SHA-256 of these and of the schema, classes, sensitive attributes, rows
    by class and by group, sizes of a seed's splits."""
    seeds: tuple[int, ...]
    design: str
    overlap: float = 0.0
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    cells: tuple[Cell, ...]
    entries: tuple[Entry, ...]
    conflicts: tuple[Conflict, ...] = ()
    """For each chain: what it keeps of what its members do alone."""
    provenance: Provenance

    @property
    def frame(self) -> "pd.DataFrame":
        """Return a tidy table: one line a row, risk, attack, seed, metric and value.

        Where ``degenerate`` is true the model attacked is near chance on that seed: leave such lines out of figures.
        """
        from amulet_core.matrix.tables import frame

        return frame(self)

    def matrix(self, *, show: Shown = "effect") -> "pd.DataFrame":
        """Return the matrix: a line a defense, a column a risk.

        ``effect`` holds the changes whatever their verdicts, those of degenerate models too; ``judged`` says both, in
        the words of the report. ``verdict`` has the same words for all columns: of utility "risk up" is utility down,
        and "risk down" utility up.
        """
        from amulet_core.matrix.tables import matrix

        return matrix(self, show=show)

    def interactions(self) -> "pd.DataFrame":
        """Return the changes against ``none``: one line a row and risk, with interval, p values, verdict and reason.

        Verdicts have the same words for all columns: of utility "risk up" is utility down, "risk down" utility up.
        """
        from amulet_core.matrix.tidy import interactions

        return interactions(self)

    def details(self, name: str) -> "pd.DataFrame":
        """Return what metrics left under a name beside their values: ``accuracy_by_epsilon``, ``roc``, for example.

        One line a row, risk, attack, seed, metric and point of the curve.

        Raises:
            RequestError: if no metric left anything of that name; the message says what there is.
        """
        from amulet_core.matrix.tidy import details

        return details(self, name)

    def report(self, path: str | Path) -> Path:
        """Write the report as one self-contained HTML file and return its path."""
        from amulet_core.report.page import write

        return write(self, Path(path))


def values_of(cell: Cell, metric: str, value: str) -> Iterator[Value | Withheld]:
    """Yield the values (or Withheld) of that name in a cell; the metric is a component id."""
    for measured in cell.measured:
        if measured.metric == metric:
            yield from (found for found in measured.scores.values if found.name == value)
