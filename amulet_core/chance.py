"""Whether the models of a row know anything: the other risks of those near chance say nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from amulet_core.games.table import Game
from amulet_core.results import NONE, Cell, values_of
from amulet_core.scores import Value

CHANCE_MARGIN = 0.05
"""A model whose balanced accuracy is within this of chance is degenerate: its other risks say nothing."""


@dataclass(frozen=True)
class Chance:
    """Whether a row's models know anything: ``most`` says why they do not, ``some`` that a few of them do not."""

    most: str = ""
    some: str = ""


def of_utility(cells: Sequence[Cell], classes: int) -> Chance:
    """Judge a row by its utility cells, seed by seed: a mean would hide a constant model among good ones."""
    found = _by_seed(cells, "accuracy", "balanced_accuracy")
    return _judged(found, "balanced accuracy", classes)


def of_game(cells: Sequence[Cell], game: Game, classes: int) -> Chance | None:
    """Judge a row by the models that a game trained for itself; nothing where it attacks utility's.

    Cells without a primary value have no say, and a row without any has no model to judge. Of several attacks on one
    seed the worst model counts, since the primary value is that of all attacks together.
    """
    trains, primary = game.trains, game.primary
    if trains is None:
        return None
    own = [cell for cell in cells if estimate(cell, primary.metric, primary.value) is not None]
    if not own:
        return Chance()
    found = _by_seed(own, primary.metric, trains.balanced)
    return _judged(found, f"balanced accuracy of the {trains.called}", classes)


def _by_seed(cells: Sequence[Cell], metric: str, name: str) -> list[float]:
    """Return a value of the cells, the lowest of each seed."""
    found: dict[int, float] = {}
    for cell in cells:
        if (value := estimate(cell, metric, name)) is not None:
            found[cell.seed] = min(value, found.get(cell.seed, value))
    return list(found.values())


def _judged(found: Sequence[float], what: str, classes: int) -> Chance:
    if not found:
        return Chance(most=f"{what} was not measured: whether the models know anything is unknown")
    near = [value for value in found if value <= 1 / classes + CHANCE_MARGIN]
    text = f"{what} is near chance ({1 / classes:.3f}) on {len(near)} of {len(found)} seeds"
    if not near:
        return Chance()
    if 2 * len(near) < len(found):
        return Chance(some=text)
    return Chance(most=f"{text}: a model that knows nothing has nothing to lose")


def degenerate_by(chance: Mapping[str, Chance], row: str) -> str:
    """Say why a row's change against ``none`` says nothing, or nothing."""
    if chance[row].most:
        return chance[row].most
    return f"the undefended model to compare with: {chance[NONE].most}" if chance[NONE].most else ""


def estimate(cell: Cell, metric: str, name: str) -> float | None:
    """Return a built-in metric's value in a cell, unless it is withheld or not there."""
    found = values_of(cell, f"builtin/{metric}", name)
    return next((value.estimate for value in found if isinstance(value, Value)), None)
