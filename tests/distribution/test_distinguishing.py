"""The metric: known answers of n-leaked, accuracy at a threshold fixed beforehand, and what is withheld."""

from itertools import product
from math import log, prod

import pytest
import torch

from amulet_core.components import NoParams
from amulet_core.games.distribution import DistributionAnswer, DistributionResult, accept
from amulet_core.scores import Withheld
from amulet_core.statistics.proportions import clopper_pearson
from amulet_plugins_builtin.distribution import checks, metric
from amulet_plugins_builtin.distribution.metric import best_accuracy, measure, n_leaked_bound, n_leaked_exact
from amulet_plugins_builtin.distribution.planted import planted, telling_outputs


def result(right, of, *, ratios=(0.5, 0.1), threshold=0.5):
    """Return a result in which so many victims of so many are called rightly."""
    second = torch.arange(of) % 2 == 1
    score = (second == (torch.arange(of) < right)).double()
    balanced = torch.full((of,), 0.75, dtype=torch.float64)
    return DistributionResult(
        score=score, second=second, ratios=ratios, rows=100, balanced=balanced, threshold=threshold
    )


@pytest.mark.parametrize(("samples", "expected"), [(1, 0.7000), (10, 0.9376), (20, 0.9840)])
def test_the_best_accuracy_from_samples_of_a_half_and_a_tenth_is_known(samples, expected):
    assert best_accuracy(0.5, 0.1, samples) == pytest.approx(expected, abs=5e-5)
    assert n_leaked_exact(best_accuracy(0.5, 0.1, samples), 0.5, 0.1) == samples


@pytest.mark.parametrize("ratios", [(0.5, 0.2), (0.3, 0.9), (0.4, 0.6)])
@pytest.mark.parametrize("samples", [1, 2, 5])
def test_the_best_accuracy_is_that_of_the_likelier_hypothesis_over_all_sequences(ratios, samples):
    sequences = product([0, 1], repeat=samples)
    likely = [[prod(p if one else 1 - p for one in sequence) for p in ratios] for sequence in sequences]
    assert best_accuracy(*ratios, samples) == pytest.approx(sum(max(pair) for pair in likely) / 2)


@pytest.mark.parametrize("accuracy", [0.51, 0.6, 0.75, 0.9, 0.99])
@pytest.mark.parametrize("ratios", [(0.5, 0.2), (0.55, 0.5), (0.01, 0.99)])
def test_the_exact_number_is_the_fewest_samples_that_suffice(accuracy, ratios):
    found = n_leaked_exact(accuracy, *ratios)
    assert best_accuracy(*ratios, found) >= accuracy
    assert found == 1 or best_accuracy(*ratios, found - 1) < accuracy


@pytest.mark.parametrize(
    ("accuracy", "ratios", "expected"),
    [
        (0.7, (0.5, 0.1), log(1 - 0.4**2) / log(0.5 / 0.9)),
        (0.9, (0.2, 0.3), log(1 - 0.8**2) / log(0.7 / 0.8)),
        (0.9, (0.6, 0.8), log(1 - 0.8**2) / log(0.75)),
        (0.3, (0.5, 0.1), 0.0),
    ],
)
def test_the_published_number_is_its_formula(accuracy, ratios, expected):
    assert n_leaked_bound(accuracy, *ratios) == pytest.approx(expected)


@pytest.mark.parametrize("ratios", [(0.5, 0.1), (0.5, 0.2), (0.7, 0.6)])
@pytest.mark.parametrize("samples", [1, 3, 10, 40])
def test_the_published_number_is_a_bound_from_below(ratios, samples):
    assert n_leaked_bound(best_accuracy(*ratios, samples), *ratios) <= samples


def test_a_metric_gives_both_numbers_under_names_of_their_own():
    scores = measure(result(14, 20), NoParams())
    accuracy = scores["accuracy"]
    assert (accuracy.estimate, accuracy.n) == (0.7, 20)
    assert (accuracy.low, accuracy.high) == pytest.approx((0.4572, 0.8811), abs=5e-5)
    assert accuracy.method == "Clopper-Pearson, for victims drawn from the same rows, against the same own models"
    assert scores["auc"].estimate == pytest.approx(0.7)
    assert (scores["n_leaked_exact"].estimate, scores["n_leaked_exact"].low) == (1.0, None)
    assert scores["n_leaked_bound"].estimate == pytest.approx(0.2966, abs=5e-5)
    assert scores.details == {"rows": 100, "ratios": [0.5, 0.1]}


def test_a_score_at_the_threshold_calls_the_second_hypothesis():
    score = torch.tensor([1.0, 2.0, 0.5, 0.9], dtype=torch.float64)
    given = DistributionResult(score=score, second=score >= 1, ratios=(0.5, 0.2), rows=9, threshold=1.0)
    assert measure(given, NoParams())["accuracy"].estimate == 1.0


@pytest.mark.parametrize(
    ("balanced", "median"), [([0.5, 0.9, 0.5, 0.8], 0.5), ([0.5, 0.9, 0.6, 0.8], 0.6), ([0.7, 0.5, 0.9, 0.5, 0.6], 0.6)]
)
def test_the_victims_are_as_good_as_half_of_them_are_at_most(balanced, median):
    score = torch.arange(len(balanced)).double()
    balanced = torch.tensor(balanced, dtype=torch.float64)
    given = DistributionResult(score=score, second=score >= 2, ratios=(0.5, 0.2), rows=9, balanced=balanced)
    found = measure(given, NoParams())["balanced_accuracy"]
    assert (found.estimate, found.low, found.n) == (median, None, len(balanced))
    assert found.method == "lower median over the victims: no interval"


@pytest.mark.parametrize(
    ("given", "names", "reason"),
    [
        (
            result(14, 20).model_copy(update={"balanced": None}),
            ("balanced_accuracy",),
            "Not every class is among the rows asked about.",
        ),
        (
            result(14, 20, threshold=None),
            ("accuracy", "n_leaked_exact", "n_leaked_bound"),
            "The attack fixed no threshold beforehand, and one chosen on these victims would flatter it.",
        ),
        (
            result(20, 20),
            ("n_leaked_exact", "n_leaked_bound"),
            "All 20 victims were told apart: no finite number of samples is sure to do that.",
        ),
        (
            result(14, 20, ratios=(0.5, 0.5)),
            ("n_leaked_exact", "n_leaked_bound"),
            "The shares are equal: no number of samples tells them apart.",
        ),
        (
            result(19, 20, ratios=(0.5, 0.4999)),
            ("n_leaked_exact",),
            "Such shares give that accuracy from no 1,000,000 samples.",
        ),
    ],
)
def test_what_cannot_be_said_is_withheld_with_the_reason(given, names, reason):
    scores = measure(given, NoParams())
    withheld = {value.name: value.reason for value in scores.values if isinstance(value, Withheld)}
    assert withheld == dict.fromkeys(names, reason)


def test_an_answer_has_a_score_for_each_victim():
    view = planted(telling_outputs, 0.0, access="none", victims=2).view
    with pytest.raises(ValueError, match=r"^the answer has 3 scores for 4 victims$"):
        accept(view, DistributionAnswer(score=torch.zeros(3, dtype=torch.float64)))


BROKEN = {
    "the interval has another level": (
        "clopper_pearson",
        lambda right, count: clopper_pearson(right, count, level=0.01),
    ),
    "the bound is always 0": ("n_leaked_bound", lambda *given: 0.0),
    "the number is one too large": ("n_leaked_exact", lambda *given: (n_leaked_exact(*given) or 0) + 1),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_metric_that_is_broken_fails_a_check_that_it_ships(name, monkeypatch):
    monkeypatch.setattr(metric, *BROKEN[name])
    with pytest.raises(AssertionError, match="expected"):
        run_all(checks.metric())


def run_all(shipped):
    for check in shipped:
        check.run()
