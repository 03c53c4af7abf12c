"""Two factors behind unintended interactions: overfitting and memorization (arXiv:2312.04542, figure 1).

They belong to no game and stand in no report: whoever wants to know whether a model overfits or memorizes calls them,
with numpy arrays and a function that fits. With scikit-learn: ``overfitting(lambda x, y: model.fit(x, y).predict_proba,
(x, y), (other_x, other_y))``. Labels are 0 .. classes - 1.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]
Fit = Callable[[Rows, Rows], Callable[[Rows], Rows]]
"""``fit(x, y) -> probabilities``, a function from rows ``[n, ...]`` to the classes' probabilities ``[n, classes]``."""


def overfitting(fit: Fit, train: tuple[Rows, Rows], test: tuple[Rows, Rows]) -> float:
    """Return the accuracy on the training rows ``(x, y)`` minus that on the test rows: the generalisation gap."""
    probabilities = fit(*train)
    return _accuracy(probabilities, *train) - _accuracy(probabilities, *test)


def memorization(fit: Fit, x: Rows, y: Rows) -> NDArray[np.float64]:
    """Return how far each training row ``x [n, ...]``, ``y [n]`` is memorized, float64 ``[n]``: one fit a row, and one.

    It is the probability of a row's own label after training with it, minus that after training without it
    (leave-one-out; Feldman, arXiv:1906.05271, equation 1). Its mean over the rows is the model's.

    Raises:
        ValueError: if a class has a single row: nothing is learnt of it without that row.
    """
    labels, counts = np.unique(y, return_counts=True)
    single = labels[counts == 1].tolist()
    if single:
        raise ValueError(
            f"the classes {single} have a single row: leave them out, nothing is learnt of them without it"
        )
    whole = fit(x, y)(x)[np.arange(len(y)), y]
    return np.asarray(whole - [_without(fit, x, y, row) for row in range(len(y))], dtype=np.float64)


def _without(fit: Fit, x: Rows, y: Rows, row: int) -> float:
    found = fit(np.delete(x, row, axis=0), np.delete(y, row))(x[row : row + 1])[0]
    return float(found[y[row]])


def _accuracy(probabilities: Callable[[Rows], Rows], x: Rows, y: Rows) -> float:
    return float((probabilities(x).argmax(1) == y).mean())
