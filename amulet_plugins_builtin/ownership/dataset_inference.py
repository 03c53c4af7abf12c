"""Dataset inference (Maini et al., arXiv:2104.10706): a model lies farther from the rows it was trained on.

It needs no change of training. It has claimed independent models of the same distribution (arXiv:2210.13631): its
p-value alone is no evidence.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from amulet_core.games.verification import VerificationAnswer, VerificationView
from amulet_core.victims import LabelOracle, WhiteBox
from amulet_plugins_builtin.catalogue.ownership_defenses import BlindWalkParams, GradientWalkParams, row_problems
from amulet_plugins_builtin.ownership.distances import blind_walk, gradient_walk

_LEVEL: Final = 0.05

Features = Callable[[LabelOracle, Tensor, Tensor], Tensor]
"""``features(model, x, y)``: one row of distances for each row, float32 ``[n, k]``."""


class _Rows(NamedTuple):
    """Some rows and their labels."""

    x: Tensor
    y: Tensor


def verify_by_walks(view: VerificationView, params: BlindWalkParams) -> VerificationAnswer:
    """Score each suspect by random walks, which need nothing but its labels (the paper's Blind Walk)."""
    seed = int(torch.randint(2**62, ()))

    def features(model: LabelOracle, x: Tensor, y: Tensor) -> Tensor:
        return blind_walk(
            model.labels, x, y, view.data_schema, walks=params.walks, step=params.step, steps=params.steps, seed=seed
        )

    return verified(view, features, rows=params.rows)


def verify_by_gradients(view: VerificationView, params: GradientWalkParams) -> VerificationAnswer:
    """Score each suspect by gradient descent towards every class (the paper's MinGD).

    Raises:
        TypeError: if a suspect is not given away whole, or has no gradients.
    """

    def features(model: LabelOracle, x: Tensor, y: Tensor) -> Tensor:
        if not isinstance(model, WhiteBox):
            raise TypeError(f"dataset-inference-mingd needs suspects whole, and one is a {type(model).__name__}")
        return gradient_walk(model.logits, x, y, view.data_schema, step=params.step, steps=params.steps)

    return verified(view, features, rows=params.rows)


def verified(view: VerificationView, features: Features, *, rows: int) -> VerificationAnswer:
    """Learn on the owner's own model which distances training rows have; test each suspect on other rows.

    ``score`` is the t statistic of a one-sided Welch test: training rows look more like training rows than validation
    rows do. ``p`` is its own p-value.

    Raises:
        ValueError: if there are too few training or validation rows.
    """
    problems = row_problems(train=len(view.y), val=len(view.val_y))
    if problems:
        raise ValueError("; ".join(problems))
    used = min(rows, len(view.y), len(view.val_y))
    trained, held = (torch.randperm(len(y))[:used] for y in (view.y, view.val_y))
    members, others = _Rows(view.x[trained], view.y[trained]), _Rows(view.val_x[held], view.val_y[held])
    half = used // 2
    learnt = _learnt(features, view.model, [_Rows(*(part[:half] for part in side)) for side in (members, others)])
    tested = [_Rows(*(part[half:] for part in side)) for side in (members, others)]
    found = [_tested(learnt, features, model, tested) for model in (*view.suspects, view.model)]
    score, p = (torch.tensor(values, dtype=torch.float64) for values in zip(*found, strict=True))
    return VerificationAnswer(score=score[:-1], p=p[:-1], warnings=_blind(float(p[-1])))


def _learnt(features: Features, model: LabelOracle, sides: Sequence[_Rows]) -> Pipeline:
    seen = [features(model, *side) for side in sides]
    member = torch.cat([torch.full((len(one),), 1 - side) for side, one in enumerate(seen)])
    learner = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return learner.fit(torch.cat(seen).numpy().astype(np.float64), member.numpy())


def _tested(learnt: Pipeline, features: Features, model: LabelOracle, sides: Sequence[_Rows]) -> tuple[float, float]:
    seen = (features(model, *side).numpy().astype(np.float64) for side in sides)
    return welch(*(learnt.decision_function(one) for one in seen))


def welch(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """Return the t statistic and the one-sided p-value of Welch's test that ``one`` has the larger mean.

    Values that do not vary at all count as varying by next to nothing, so that the statistic is always a number.
    """
    spread = [max(float(values.var(ddof=1)), 1e-24) / len(values) for values in (one, other)]
    statistic = float(one.mean() - other.mean()) / sum(spread) ** 0.5
    freedom = sum(spread) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(spread, (one, other), strict=True)
    )
    return statistic, float(student.sf(statistic, freedom))


def _blind(p: float) -> tuple[str, ...]:
    if p <= _LEVEL:
        return ()
    return (f"training and validation rows are not told apart on the owner's own model either (p = {p:.2g})",)
