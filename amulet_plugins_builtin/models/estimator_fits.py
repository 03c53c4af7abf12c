"""Fitting scikit-learn's classifiers, and taking from them the tensors that their answers follow from."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from torch import Tensor

from amulet_core.data import Data
from amulet_plugins_builtin.catalogue.more_models import FOLDS, SklearnParams

Rows = NDArray[np.float64]
Fit = tuple[dict[str, Any], dict[str, Any]]
"""The arrays that were learnt, and evidence."""


def fit_problems(params: SklearnParams, data: Data) -> list[str]:
    """List why the estimator cannot be fitted to such rows."""
    counts = {name: int((data.y == label).sum()) for label, name in enumerate(data.schema.classes)}
    present = {name: count for name, count in counts.items() if count}
    problems = []
    if len(present) < 2:
        problems.append(f'all {len(data)} training rows are of the class "{next(iter(present))}": two are needed')
    rare = [f"{name} ({count})" for name, count in present.items() if count < FOLDS]
    if params.estimator == "svm-rbf" and rare:
        problems.append(
            f"svm-rbf finds its probabilities by {FOLDS}-fold cross-validation and needs {FOLDS} training rows of each "
            f"class, but there are too few of {', '.join(rare)}: train on more rows"
        )
    voters = int((data.w > 0).sum())
    if params.estimator == "knn" and voters < params.neighbours:
        problems.append(f"knn asks {params.neighbours} neighbours, but only {voters} training rows have a weight")
    return problems


def fitted_tensors(
    params: SklearnParams, x: Tensor, y: Tensor, *, w: Tensor
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Fit to rows ``x [n, width]`` with labels ``y [n]`` and weights ``w [n]``.

    The seed is drawn from torch's global generator. Returns the tensors, ``classes`` (int64, the labels that occur)
    among them, and evidence.
    """
    arrays, evidence = _FITS[params.estimator](params, x.numpy(), y.numpy(), w.double().numpy())
    tensors = {name: torch.as_tensor(np.ascontiguousarray(value)) for name, value in arrays.items()}
    return tensors | {"classes": y.unique()}, evidence


def _seed() -> int:
    return int(torch.randint(2**31 - 1, ()))


def _forest(params: SklearnParams, x: Rows, y: NDArray[np.int64], w: Rows) -> Fit:
    model = RandomForestClassifier(n_estimators=params.trees, max_depth=params.depth, random_state=_seed())
    model.fit(x, y, sample_weight=w)
    return _tree_arrays([one.tree_ for one in model.estimators_]), {}


def _boosting(params: SklearnParams, x: Rows, y: NDArray[np.int64], w: Rows) -> Fit:
    model = GradientBoostingClassifier(
        n_estimators=params.trees,
        max_depth=params.depth or 3,
        learning_rate=params.learning_rate,
        random_state=_seed(),
    )
    model.fit(x, y, sample_weight=w)
    prior = np.log(model.init_.class_prior_)
    start = np.array([prior[1] - prior[0]]) if len(prior) == 2 else prior - prior.mean()
    trees = [one.tree_ for stage in model.estimators_ for one in stage]
    return {**_tree_arrays(trees), "start": start, "rate": np.array(params.learning_rate)}, {}


def _tree_arrays(trees: Sequence[Any]) -> dict[str, Any]:
    """Join trees into one array a property: node ``i`` of a tree stands at ``i`` after the tree's root.

    A leaf is its own child on both sides, so that whoever walks ``depth`` steps ends in a leaf.
    """
    roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
    parts: dict[str, list[Any]] = {name: [] for name in ("left", "right", "feature", "threshold", "value")}
    for root, tree in zip(roots, trees, strict=True):
        leaf, own = tree.children_left < 0, np.arange(tree.node_count)
        parts["left"].append(np.where(leaf, own, tree.children_left) + root)
        parts["right"].append(np.where(leaf, own, tree.children_right) + root)
        parts["feature"].append(np.where(leaf, 0, tree.feature))
        parts["threshold"].append(tree.threshold)
        parts["value"].append(tree.value[:, 0, :])
    depth = np.array(max(tree.max_depth for tree in trees))
    return {name: np.concatenate(part) for name, part in parts.items()} | {"roots": roots, "depth": depth}


def _logistic(params: SklearnParams, x: Rows, y: NDArray[np.int64], w: Rows) -> Fit:
    model = LogisticRegression(C=params.c, max_iter=params.iterations)
    with warnings.catch_warnings():
        # Whether it converged is evidence, and stands beside the results.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y, sample_weight=w)
    steps = int(model.n_iter_.max())
    evidence = {"solver": {"steps": steps, "converged": steps < params.iterations}}
    return {"weight": model.coef_, "bias": model.intercept_}, evidence


def _svm(params: SklearnParams, x: Rows, y: NDArray[np.int64], w: Rows) -> Fit:
    spread = x.var()
    # scikit-learn's "scale", of all rows: as a number it is the same in every fold.
    gamma = 1 / (x.shape[1] * spread) if spread > 0 else 1.0
    machine = SVC(kernel="rbf", C=params.c, gamma=gamma)
    model = CalibratedClassifierCV(machine, method="sigmoid", cv=FOLDS, ensemble=False)
    model.fit(x, y, sample_weight=w)
    (calibrated,) = model.calibrated_classifiers_
    fitted = calibrated.estimator
    return {
        "support": fitted.support_vectors_,
        "pairs": _pair_coefficients(fitted),
        "bias": fitted.intercept_,
        "gamma": np.array(gamma),
        "slope": np.array([one.a_ for one in calibrated.calibrators]),
        "offset": np.array([one.b_ for one in calibrated.calibrators]),
    }, {}


def _pair_coefficients(machine: Any) -> Rows:
    """Return ``[pairs, support vectors]``: what each vector counts in the margin of one class over another.

    libsvm keeps a vector's coefficients against the ``k - 1`` other classes in as many rows (scikit-learn's guide,
    "SVM: mathematical formulation"); two classes have one row for their one pair.
    """
    dual, ends = machine.dual_coef_, np.cumsum(machine.n_support_)
    classes = len(ends)
    if classes == 2:
        return np.asarray(dual, dtype=np.float64)
    own = [slice(end - count, end) for end, count in zip(ends, machine.n_support_, strict=True)]
    pairs = []
    for one in range(classes):
        for other in range(one + 1, classes):
            row = np.zeros(dual.shape[1])
            row[own[one]] = dual[other - 1, own[one]]
            row[own[other]] = dual[one, own[other]]
            pairs.append(row)
    return np.stack(pairs)


def _neighbours(params: SklearnParams, x: Rows, y: NDArray[np.int64], w: Rows) -> Fit:
    # A row without weight has no vote, and would leave nothing to divide by where all neighbours are such.
    kept = w > 0
    labels = np.unique(y, return_inverse=True)[1]
    votes = np.eye(labels.max() + 1)[labels] * w[:, None]
    return {"rows": x[kept], "votes": votes[kept], "neighbours": np.array(params.neighbours)}, {}


_FITS: Final[Mapping[str, Callable[[SklearnParams, Rows, NDArray[np.int64], Rows], Fit]]] = {
    "random-forest": _forest,
    "gradient-boosting": _boosting,
    "logistic-regression": _logistic,
    "svm-rbf": _svm,
    "knn": _neighbours,
}
