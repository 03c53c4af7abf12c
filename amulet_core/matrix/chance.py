"""Whether the models of a row know anything: the other risks of those near chance say nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from amulet_core.games.table import GAMES, Game
from amulet_core.results import NONE, Cell, Results, values_of
from amulet_core.scores import Value
from amulet_core.vocabulary import UTILITY

CHANCE_MARGIN = 0.05
"""A model whose balanced accuracy is within this of chance is degenerate: its other risks say nothing."""


@dataclass(frozen=True)
class Chance:
    """Whether a row's models know anything: ``most`` says why they do not, ``some`` that a few of them do not."""

    most: str = ""
    some: str = ""


def of_utility(cells: Sequence[Cell], classes: int) -> Chance:
    """Judge a row by its utility cells, seed by seed: a mean would hide a constant model among good ones."""
    return _judged(_of_victims(cells), "balanced accuracy", classes)


def of_game(cells: Sequence[Cell], game: Game, classes: int) -> Chance | None:
    """Judge a row by the models that a game trained for itself; nothing where it attacks utility's.

    Cells without a primary value have no say, and a row without any has no model to judge. Of several attacks on one
    seed the worst model counts, since the primary value is that of all attacks together.
    """
    if game.trains is None:
        return None
    own = _met(cells, game)
    if not own:
        return Chance()
    return _judged(_of_own(own, game), f"balanced accuracy of the {game.trains.called}", classes)


def near_chance(results: Results) -> dict[tuple[str, str, int], bool]:
    """Say of each row, risk and seed whether the models attacked there are near chance; absent where nothing tells.

    An entry of the matrix is degenerate by the majority of its seeds, this is one seed's own judgement. The victims'
    stands in every column, utility's included, but for those whose game trains models of its own.
    """
    classes = results.data.get("classes")
    if not isinstance(classes, list) or not classes:
        return {}
    by_entry: dict[tuple[str, str], list[Cell]] = {}
    for cell in results.cells:
        by_entry.setdefault((cell.row, cell.risk), []).append(cell)
    found: dict[tuple[str, str, int], bool] = {}
    for row in results.rows:
        victims = _of_victims(by_entry.get((row.label, UTILITY), ()))
        for column in results.columns:
            game = GAMES.get(column.risk)
            own = victims
            if game is not None and game.trains is not None:
                own = _of_own(_met(by_entry.get((row.label, column.risk), ()), game), game)
            found |= {(row.label, column.risk, seed): _near(value, len(classes)) for seed, value in own.items()}
    return found


def _met(cells: Sequence[Cell], game: Game) -> list[Cell]:
    """Return the cells that have the game's primary value."""
    return [cell for cell in cells if estimate(cell, game.primary.metric, game.primary.value) is not None]


def _of_victims(cells: Sequence[Cell]) -> dict[int, float]:
    """Return the balanced accuracy of the victims, by seed, from utility's cells."""
    return _by_seed(cells, "accuracy", "balanced_accuracy")


def _of_own(cells: Sequence[Cell], game: Game) -> dict[int, float]:
    """Return the balanced accuracy of the models that a game trained for itself, by seed."""
    return _by_seed(cells, game.primary.metric, game.trains.balanced) if game.trains else {}


def _by_seed(cells: Sequence[Cell], metric: str, name: str) -> dict[int, float]:
    """Return a value of the cells, the lowest of each seed."""
    found: dict[int, float] = {}
    for cell in cells:
        if (value := estimate(cell, metric, name)) is not None:
            found[cell.seed] = min(value, found.get(cell.seed, value))
    return found


def _near(balanced: float, classes: int) -> bool:
    return balanced <= 1 / classes + CHANCE_MARGIN


def _judged(found: Mapping[int, float], what: str, classes: int) -> Chance:
    if not found:
        return Chance(most=f"{what} was not measured: whether the models know anything is unknown")
    near = [value for value in found.values() if _near(value, classes)]
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
