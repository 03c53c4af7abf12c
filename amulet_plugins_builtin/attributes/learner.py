"""The one learner that the attack and its control share: only then is their difference what the victim tells.

A small network tells the attribute from features. Rare values count as much as frequent ones: rows are weighted so, and
of two values the threshold is found on rows that the network was not trained on.
"""

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from amulet_core.games.attribute import AttributeAnswer
from amulet_plugins_builtin.attributes.features import Floats
from amulet_plugins_builtin.catalogue.attributes import LearnerParams
from amulet_plugins_builtin.membership.shadows import most_accurate_threshold

Integers = NDArray[np.int64]


def answer(candidates: Floats, aux: Floats, aux_z: Tensor, *, values: int, params: LearnerParams) -> AttributeAnswer:
    """Learn the attribute on the adversary's own rows and score the candidates.

    Shapes: candidates ``[n, k]``, aux ``[m, k]``, aux_z int64 ``[m]``. A score is a value's probability if all values
    were equally frequent; a value that none of the own rows has scores 0. Of two values the threshold is the one of the
    largest balanced accuracy on out-of-fold scores of the own rows. Source: arXiv:2211.10209 (the adaptive
    threshold).
    """
    z = aux_z.numpy()
    score = torch.from_numpy(probabilities(aux, z, candidates, values=values, params=params))
    return AttributeAnswer(score=score, threshold=held_out_threshold(aux, z, params) if values == 2 else None)


def probabilities(aux: Floats, z: Integers, candidates: Floats, *, values: int, params: LearnerParams) -> Floats:
    """Return the probability of each value, float64 ``[n, values]``, by a network trained on the rows ``aux, z``.

    Rows weigh inversely to how frequent their value is, as if all values were equally frequent.
    """
    found: Floats = np.zeros((len(candidates), values))
    present = np.unique(z)
    if len(present) < 2:
        found[:, present] = 1.0
        return found
    network = MLPClassifier((params.hidden,), alpha=params.weight_decay, max_iter=params.epochs)
    scale = StandardScaler().fit(aux)
    weights = len(z) / (len(present) * np.bincount(z)[z])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is a setting
        network.fit(scale.transform(aux), z, sample_weight=weights)
    found[:, present] = network.predict_proba(scale.transform(candidates))
    return found


def held_out_threshold(aux: Floats, z: Integers, params: LearnerParams) -> float | None:
    """Return the threshold on the second of two values that is most accurate on rows not trained on.

    None where a value has fewer rows than there are folds.
    """
    if np.bincount(z, minlength=2).min() < max(2, params.folds):
        return None
    # Each value's rows are dealt out in turn, so that every fold has its share of both.
    rank = np.where(z == 1, np.cumsum(z == 1), np.cumsum(z == 0))
    fold, score = rank % params.folds, np.zeros(len(z))
    for one in range(params.folds):
        rest, held = fold != one, fold == one
        score[held] = probabilities(aux[rest], z[rest], aux[held], values=2, params=params)[:, 1]
    return most_accurate_threshold(torch.from_numpy(score), torch.from_numpy(z == 1))
