"""How a model treats groups with respect to one class, which counts as selected against all others."""

from dataclasses import dataclass

import numpy as np
from fairlearn.metrics import false_positive_rate, selection_rate, true_positive_rate
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score

from amulet_core.games.behavior import BehaviorResult
from amulet_plugins_builtin.catalogue.fairness import GroupFairnessParams

_FAIRLEARN = {
    "selection rate": selection_rate,
    "true positive rate": true_positive_rate,
    "false positive rate": false_positive_rate,
    "accuracy": accuracy_score,
}


@dataclass(frozen=True)
class Treatment:
    """What a metric of groups reads, by row ``[n]``: was it selected, should it have been, and whose is it.

    ``of`` is the class that counts as selected, ``y`` the true one; ``correct`` is about all classes.
    """

    of: str
    selected: NDArray[np.bool_]
    positive: NDArray[np.bool_]
    correct: NDArray[np.bool_]
    y: NDArray[np.int64]
    group: NDArray[np.int64]
    labels: tuple[str, ...]

    def rows(self, rate: str) -> NDArray[np.bool_]:
        """Return which rows stand behind a rate."""
        all_rows = np.ones_like(self.positive)
        return {"true positive rate": self.positive, "false positive rate": ~self.positive}.get(rate, all_rows)

    def hits(self, rate: str) -> NDArray[np.bool_]:
        """Return which rows a rate counts."""
        return self.correct if rate == "accuracy" else self.selected

    def counts(self, rate: str) -> tuple[list[int], list[int]]:
        """Return the hits and the trials of every group."""
        rows = self.rows(rate)
        hits = np.bincount(self.group[rows & self.hits(rate)], minlength=len(self.labels))
        return hits.tolist(), np.bincount(self.group[rows], minlength=len(self.labels)).tolist()

    def rate(self, rate: str, group: int) -> float | None:
        """Return the rate of a group of any size; None of an empty one."""
        hits, trials = self.counts(rate)
        return hits[group] / trials[group] if trials[group] else None

    def rates(self, rate: str, groups: list[int]) -> list[float]:
        """Return a rate of each of the groups, by fairlearn (not its MetricFrame: ten times slower, same numbers)."""
        # Accuracy is right or wrong on all classes; the other rates are of the positive class against the rest.
        truth = np.ones_like(self.correct) if rate == "accuracy" else self.positive
        own = [self.rows(rate) & (self.group == group) for group in groups]
        hits = self.hits(rate)
        return [float(_FAIRLEARN[rate](truth[rows].astype(int), hits[rows].astype(int))) for rows in own]


def treatments(result: BehaviorResult, attribute: int, params: GroupFairnessParams) -> list[Treatment]:
    """Return the treatment with respect to the class that the parameters name, else to the last of two, else to each.

    Raises:
        ValueError: if there is no such class.
    """
    classes = result.data_schema.classes
    if params.positive and params.positive not in classes:
        raise ValueError(f'the data set has no class "{params.positive}"; it has {", ".join(classes)}')
    chosen = [params.positive] if params.positive else list(classes[-1:] if len(classes) == 2 else classes)
    return [_treatment(result, attribute, classes.index(one)) for one in chosen]


def _treatment(result: BehaviorResult, attribute: int, index: int) -> Treatment:
    return Treatment(
        of=result.data_schema.classes[index],
        selected=(result.predictions == index).numpy(),
        positive=(result.y == index).numpy(),
        correct=(result.predictions == result.y).numpy(),
        y=result.y.numpy(),
        group=result.z[:, attribute].numpy(),
        labels=result.data_schema.sensitive[attribute].categories,
    )
