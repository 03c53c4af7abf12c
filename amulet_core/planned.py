"""What is known of a run before anything is trained: by it components say what they cannot do. Light."""

from dataclasses import dataclass

from amulet_core.components import Params
from amulet_core.schema import DataSchema
from amulet_core.settings import TrainingSettings


@dataclass(frozen=True)
class Planned:
    """The data, how many rows play which part, how models are trained, and for attacks and metrics the threat model.

    ``class_rows`` counts the rows of each class in the whole data set (without duplicates), ``group_rows`` those of
    each value of every sensitive attribute, ``cells[attribute][class][value]`` those of each class and value (nothing
    where that is not known). Training rows are drawn in these proportions.
    """

    schema: DataSchema
    class_rows: tuple[int, ...]
    group_rows: tuple[tuple[int, ...], ...]
    train: int
    val: int
    test: int
    aux: int
    training: TrainingSettings
    threat: Params | None = None
    cells: tuple[tuple[tuple[int, ...], ...], ...] = ()

    def training_rows(self, rows: int) -> float:
        """Return about how many of so many rows of the data set are training rows of one model."""
        return self.train * rows / max(1, sum(self.class_rows))
