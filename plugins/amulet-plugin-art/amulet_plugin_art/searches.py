"""The toolbox's black-box searches on behalf of one row; what they find is what ``Asked`` remembers."""

import numpy as np
from art.attacks.evasion import HopSkipJump, SimBA
from art.estimators.classification import BlackBoxClassifierNeuralNetwork

from amulet_plugin_art.asked import Asked, Floats, SpentError
from amulet_plugin_art.settings import BoundaryDistanceParams, HopSkipJumpParams


def hop_skip_jump(
    asked: Asked, params: HopSkipJumpParams | BoundaryDistanceParams, *, others: Floats, classes: int
) -> None:
    """Walk along the decision boundary towards the row, from the nearest input that is classified otherwise.

    The search starts from uniform noise or one of ``others [n, ...]``: the toolbox would draw its start from a
    generator of its own, which no seed reaches. Its halving of a step need not end where rounding decides (a victim
    that answers at random, say): the queries do end.
    """
    noise = np.random.rand(params.starts, *asked.units.shape).astype(np.float32)  # noqa: NPY002 - the core seeds it
    try:
        asked(np.concatenate([noise, others]))
        if np.isinf(asked.distance):
            return
        _walker(asked, params, classes).generate(
            asked.origin[None], mask=asked.free.astype(np.float32), x_adv_init=asked.nearest[None].copy()
        )
    except SpentError:
        return


def simba(asked: Asked, *, label: int, classes: int, step: float, steps: int) -> None:
    """Move one feature after the other up or down by ``step``, keeping what lowers the probability of ``label``."""
    box = _box(asked, classes)
    # freq_dim is of no use to single features, but must not be larger than an image.
    search = SimBA(box, attack="px", epsilon=step, max_iter=steps, freq_dim=1, verbose=False)
    try:
        search.generate(asked.origin[None], np.eye(classes, dtype=np.float32)[[label]])
    except SpentError:
        return


def _walker(asked: Asked, params: HopSkipJumpParams | BoundaryDistanceParams, classes: int) -> HopSkipJump:
    most = 100 * params.evaluations
    return HopSkipJump(
        _box(asked, classes),
        norm="inf" if asked.units.norm == "linf" else 2,
        max_iter=params.steps,
        init_eval=params.evaluations,
        max_eval=most,
        batch_size=most,
        verbose=False,
    )


def _box(asked: Asked, classes: int) -> BlackBoxClassifierNeuralNetwork:
    return BlackBoxClassifierNeuralNetwork(asked, asked.units.shape, classes, clip_values=(0.0, 1.0))
