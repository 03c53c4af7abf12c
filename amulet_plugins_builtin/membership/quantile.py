"""The quantile attack: is the victim surer of a row than it is of most rows like it that it was not trained on?"""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor
from torch import Tensor
from torch.nn.functional import one_hot

from amulet_core.games.membership import MembershipAnswer, MembershipView
from amulet_plugins_builtin.catalogue.membership_attacks import QuantileParams, own_row_problems
from amulet_plugins_builtin.membership.confidence import logit_confidence

Floats = NDArray[np.float64]


def attack(view: MembershipView, params: QuantileParams) -> MembershipAnswer:
    """Score each candidate by its confidence minus the quantile that is foretold for it; the threshold is 0.

    The quantile of level 1 - ``false_positive_rate`` is regressed on a row's features and label, over the adversary's
    own rows, non-members all, by gradient boosting on the pinball loss. The score ranks by one quantile, shifted; the
    source's other form, a Gaussian for each row, is not built. Source: 2307.03694 (Algorithm 1).

    Raises:
        ValueError: if the adversary has too few rows for such a quantile.
    """
    problems = own_row_problems(params, len(view.population_y))
    if problems:
        raise ValueError(f"quantile: {'; '.join(problems)}")
    known, asked = features(view, components=params.components)
    model = HistGradientBoostingRegressor(
        loss="quantile",
        quantile=1 - params.false_positive_rate,
        max_iter=params.trees,
        max_leaf_nodes=params.leaves,
        early_stopping=False,
    )
    model.fit(known, logit_confidence(view.observed_population, view.population_y).numpy())
    foretold = torch.from_numpy(model.predict(asked))
    return MembershipAnswer(score=logit_confidence(view.observed, view.y) - foretold, threshold=0.0)


def features(view: MembershipView, *, components: int) -> tuple[Floats, Floats]:
    """Return what the quantile is told from, of the adversary's rows ``[m, d]`` and of the candidates ``[n, d]``.

    The label, one column a class, and the row itself; an image's principal components on the adversary's rows in its
    place. Nothing of the victim's outputs is among them, since the score would explain itself.
    """
    own, candidates = (x.flatten(1).double().numpy() for x in (view.population_x, view.x))
    most = min(components, *own.shape)
    if view.data_schema.modality == "image" and most < own.shape[1]:
        reduced = PCA(most, svd_solver="full").fit(own)
        own, candidates = reduced.transform(own), reduced.transform(candidates)
    return _labelled(own, view.population_y, view), _labelled(candidates, view.y, view)


def _labelled(x: Floats, y: Tensor, view: MembershipView) -> Floats:
    return np.concatenate([x, one_hot(y, len(view.data_schema.classes)).double().numpy()], 1)
