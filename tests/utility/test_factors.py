"""Overfitting and memorization: the toy cases of the SoK's figure 1, and memorization of a model that is a table."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import make_blobs, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from amulet_plugins_builtin.factors import memorization, overfitting


def perceptron(x, y):
    """Fit the figure's network; its probabilities are rounded to two decimals."""
    network = MLPClassifier(solver="lbfgs", alpha=0, hidden_layer_sizes=(10, 10), random_state=1, max_iter=2000)
    model = make_pipeline(StandardScaler(), network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
    return lambda rows: model.predict_proba(rows).round(2)


@pytest.mark.parametrize(
    ("rows", "split", "expected"),
    [
        (make_blobs(100, centers=2, cluster_std=0.5, random_state=0), 42, (0, 0)),
        (make_moons(100, noise=0.3, random_state=0), 0, (0.16, 0.1132)),
    ],
    ids=["case 1, blobs apart", "case 4, noisy moons"],
)
def test_the_toy_cases_of_figure_1_come_out_as_published(rows, split, expected):
    x, other_x, y, other_y = train_test_split(*rows, test_size=0.5, random_state=split)
    gap = overfitting(perceptron, (x, y), (other_x, other_y))
    assert (gap, memorization(perceptron, x, y).mean()) == pytest.approx(expected, abs=5e-5)


def frequencies(x, y):
    """Know of every place how often each class was there, and guess evenly elsewhere."""
    places = {place: np.bincount(y[x[:, 0] == place], minlength=2) for place in np.unique(x[:, 0])}
    shares = {place: counts / counts.sum() for place, counts in places.items()}
    return lambda rows: np.array([shares.get(place, np.array([0.5, 0.5])) for place in rows[:, 0]])


def test_a_row_is_memorized_as_far_as_its_own_label_depends_on_it():
    # At 0 a row among equals, at 1 one of two that contradict each other, at 2 a row alone.
    x, y = np.array([[0], [0], [0], [1], [1], [2]]), np.array([1, 1, 1, 0, 1, 0])
    assert memorization(frequencies, x, y).tolist() == [0, 0, 0, 0.5, 0.5, 0.5]
    assert overfitting(frequencies, (x, y), (np.array([[0], [0], [2]]), np.array([0, 1, 0]))) == pytest.approx(
        5 / 6 - 2 / 3
    )


def test_a_class_of_a_single_row_is_refused():
    with pytest.raises(ValueError) as raised:
        memorization(frequencies, np.array([[0], [0], [1]]), np.array([0, 0, 1]))
    assert str(raised.value) == (
        "the classes [1] have a single row: leave them out, nothing is learnt of them without it"
    )


def test_a_classifier_of_scikit_learn_is_fitted_as_the_module_says():
    x, y = make_blobs(40, centers=2, cluster_std=0.5, random_state=0)
    y[:4] = 1 - y[:4]
    other_x, other_y = make_blobs(40, centers=2, cluster_std=0.5, random_state=0)
    model = KNeighborsClassifier(1)
    gap = overfitting(lambda x, y: model.fit(x, y).predict_proba, (x, y), (other_x + 1e-9, other_y))
    found = memorization(lambda x, y: model.fit(x, y).predict_proba, x, y)
    assert gap == pytest.approx(0.1)
    assert found[:4].tolist() == [1] * 4
    assert found.mean() >= 0.1
