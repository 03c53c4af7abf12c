"""The metrics of theft and of verification against counts by hand; what cannot be said is withheld with its reason."""

import pytest
import torch

from amulet_core.components import NoParams
from amulet_core.scores import Withheld
from amulet_core.statistics.proportions import newcombe_paired, wilson
from amulet_plugins_builtin.catalogue.ownership import COMPONENTS
from amulet_plugins_builtin.ownership import extraction, verification
from amulet_plugins_builtin.ownership.metric_checks import suspects, theft
from amulet_plugins_builtin.ownership.verification import empirical_p

DECLARED = {one.name: [measure.name for measure in one.measures] for one in COMPONENTS if one.kind == "metric"}
NO_CONTROL = "no control was played: there is no independent agreement to compare with"


def reasons(scores):
    return {value.name: value.reason for value in scores.values if isinstance(value, Withheld)}


def test_a_theft_has_every_value_that_is_declared_in_order():
    scores = extraction.measure(theft(), NoParams())
    assert [value.name for value in scores.values] == DECLARED["extraction"]
    assert [(value.name, value.estimate, value.n) for value in scores.values] == [
        ("fidelity_gain", pytest.approx(0.3), 10),
        ("fidelity", 0.8, 10),
        ("stolen_accuracy", 0.7, 10),
        ("victim_accuracy", 0.9, 10),
        ("independent_fidelity", 0.5, 10),
        ("queries", 100.0, 10),
    ]


def test_the_gain_has_the_interval_of_two_proportions_of_the_same_rows():
    # Both agree with the victim on rows 4 to 7, the stolen model alone on 2, 3, 8 and 9, the other alone on 0.
    scores = extraction.measure(theft(), NoParams())
    value, expected = scores["fidelity_gain"], newcombe_paired(4, 4, 1, 1)
    assert (value.low, value.high, value.method) == (expected.low, expected.high, "Newcombe, paired")
    fidelity = wilson(8, 10)
    assert (scores["fidelity"].low, scores["fidelity"].high) == (fidelity.low, fidelity.high)


def test_the_curve_has_a_point_a_budget():
    low, high = (wilson(count, 10) for count in (4, 8))
    assert extraction.measure(theft(), NoParams()).details == {
        "budget": 100,
        "fidelity_by_budget": [
            {
                "budget": 10,
                "fidelity": 0.4,
                "low": low.low,
                "high": low.high,
                "stolen_accuracy": 0.5,
                "queries": 10,
            },
            {
                "budget": 100,
                "fidelity": 0.8,
                "low": high.low,
                "high": high.high,
                "stolen_accuracy": 0.7,
                "queries": 100,
            },
        ],
    }


def test_without_a_control_the_gain_is_withheld_and_the_rest_is_not():
    scores = extraction.measure(theft(independent=torch.zeros(0, dtype=torch.int64)), NoParams())
    assert reasons(scores) == {"fidelity_gain": NO_CONTROL, "independent_fidelity": NO_CONTROL}


def test_agreement_counts_mistakes_that_are_shared():
    """A stolen model that errs as the victim does is as faithful as one that is right where it is."""
    y = theft().y
    wrong = 1 - y
    result = theft(victim=wrong, stolen=torch.stack([wrong, wrong]), independent=y)
    scores = extraction.measure(result, NoParams())
    assert [scores[name].estimate for name in ("fidelity", "stolen_accuracy", "fidelity_gain")] == [1, 0, 1]


@pytest.mark.parametrize(
    ("null", "score", "p"),
    [([], 5.0, 1.0), ([1, 2, 3], 5.0, 1 / 4), ([1, 2, 3], 3.0, 2 / 4), ([1, 2, 3], 0.0, 1.0), ([2, 2, 2], 2.0, 1.0)],
)
def test_a_p_value_counts_the_suspect_itself_and_who_reaches_its_score(null, score, p):
    found = empirical_p(torch.tensor([score], dtype=torch.float64), torch.tensor(null, dtype=torch.float64))
    assert found.tolist() == [p]


def test_suspects_are_claimed_at_the_false_positive_rate_and_not_above():
    """Of 20 independent models one reaches the second suspect: its p is 2 / 21, just above .095."""
    for fpr, expected in ((0.05, 0.5), (0.095, 0.5), (2 / 21, 1.0), (0.5, 1.0)):
        scores = verification.measure(suspects(pool=20).model_copy(update={"fpr": fpr}), NoParams())
        assert scores["true_positive_rate"].estimate == expected, fpr


def test_a_verification_has_every_value_that_is_declared_in_order():
    scores = verification.measure(suspects(), NoParams())
    assert [value.name for value in scores.values] == DECLARED["verification"]
    rate, expected = scores["true_positive_rate"], wilson(1, 2)
    assert (rate.estimate, rate.low, rate.high, rate.n) == (0.5, expected.low, expected.high, 2)
    accuracy = scores["accuracy_of_derived"]
    assert (accuracy.estimate, accuracy.low, accuracy.method, accuracy.n) == (
        pytest.approx(0.7),
        None,
        "mean over the derived suspects, which the game chooses: no interval",
        2,
    )
    independent = scores["accuracy_of_independent"]
    assert (independent.estimate, independent.low, independent.method, independent.n) == (
        pytest.approx(0.6),
        None,
        "median over the independent models, which share rows: no interval",
        19,
    )


def test_the_details_say_what_became_of_each_suspect_and_of_the_pool():
    own = torch.tensor([0.04, *(0.5,) * 18], dtype=torch.float64)
    accuracy = torch.tensor([0.25, *(0.5,) * 17, 0.75], dtype=torch.float64)
    told = {"null_p": own, "null_accuracy": accuracy, "p": torch.tensor([0.001, 0.02, 0.7], dtype=torch.float64)}
    result = suspects().model_copy(update=told)
    assert verification.measure(result, NoParams()).details == {
        "fpr": 0.05,
        "smallest_p": 0.05,
        "independent_models": 19,
        "suspects": [
            {"suspect": "a copy", "derived": True, "score": 18.5, "p": 0.05, "own_p": 0.001, "accuracy": 0.9},
            {"suspect": "a copy, pruned", "derived": True, "score": 18.0, "p": 0.1, "own_p": 0.02, "accuracy": 0.5},
            {"suspect": "retrained", "derived": False, "score": 9.0, "p": 0.55, "own_p": 0.7, "accuracy": 0.8},
        ],
        "independent": [
            {
                "kind": "with a defense of their own",
                "models": 10,
                "lowest_score": 0.0,
                "median_score": 9.0,  # of ten: midway between 8 and 10
                "highest_score": 18.0,
                "lowest_accuracy": 0.25,
                "median_accuracy": 0.5,
                "highest_accuracy": 0.75,
                "own_p_claims": 1,
            },
            {
                "kind": "without any",
                "models": 9,
                "lowest_score": 1.0,
                "median_score": 9.0,
                "highest_score": 17.0,
                "lowest_accuracy": 0.5,
                "median_accuracy": 0.5,
                "highest_accuracy": 0.5,
                "own_p_claims": 0,
            },
        ],
    }


def few(pool, needed, floor):
    return (
        f"{pool} independent models give no p-value below {floor}: nothing can be claimed at a false positive rate of "
        f"0.05; {needed} are needed"
    )


@pytest.mark.parametrize(
    ("changes", "withheld"),
    [
        ({}, {"own_p_false_claims": "the method has no p-value of its own"}),
        (
            {"derived": torch.zeros(3, dtype=torch.bool)},
            {
                "true_positive_rate": "no suspect is derived from the victim",
                "own_p_false_claims": "the method has no p-value of its own",
                "accuracy_of_derived": "no suspect is derived from the victim",
            },
        ),
        (
            {"derived": torch.ones(3, dtype=torch.bool), "null_p": torch.ones(19, dtype=torch.float64)},
            {"retrained_claimed": "no suspect is retrained without the defense"},
        ),
        (
            {
                "null": torch.zeros(4, dtype=torch.float64),
                "null_p": torch.ones(4, dtype=torch.float64),
                "null_accuracy": torch.ones(4, dtype=torch.float64),
                "defended": torch.zeros(4, dtype=torch.bool),
            },
            {"true_positive_rate": few(4, 19, 0.2), "retrained_claimed": few(4, 19, 0.2)},
        ),
        (
            {
                "null": torch.zeros(0, dtype=torch.float64),
                "null_p": torch.zeros(0, dtype=torch.float64),
                "null_accuracy": torch.zeros(0, dtype=torch.float64),
                "defended": torch.zeros(0, dtype=torch.bool),
            },
            {
                "true_positive_rate": few(0, 19, 1),
                "retrained_claimed": few(0, 19, 1),
                "own_p_false_claims": "the pool has no independent model",
                "accuracy_of_independent": "the pool has no independent model",
            },
        ),
        (
            {"null_accuracy": None},
            {
                "own_p_false_claims": "the method has no p-value of its own",
                "accuracy_of_independent": "how accurate the independent models are was not measured",
            },
        ),
    ],
    ids=["no own p", "none derived", "none retrained", "a small pool", "no pool", "accuracies unknown"],
)
def test_what_the_suspects_or_the_pool_cannot_say_is_withheld_with_the_reason(changes, withheld):
    scores = verification.measure(suspects().model_copy(update=changes), NoParams())
    assert reasons(scores) == withheld


@pytest.mark.parametrize("fpr", [0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.3, 1 / 3, 0.5])
def test_the_number_of_models_that_are_needed_is_enough_and_one_less_is_not(fpr):
    needed = verification._needed(fpr)
    assert 1 / (1 + needed) <= fpr < 1 / needed
