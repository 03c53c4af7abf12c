"""The checks that the components of poisoning ship: each of them catches what it is there for."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from amulet_core.scores import Withheld
from amulet_core.streams import generator
from amulet_plugins_builtin.catalogue.poisoning import COMPONENTS, BadnetsParams
from amulet_plugins_builtin.poisoning import (
    activation_clustering,
    badnets,
    blended,
    checks,
    checks_of_defenses,
    fine_pruning,
    label_flip,
    metric,
    spectral_signatures,
)


def test_every_component_ships_checks_and_references():
    assert {component.name for component in COMPONENTS} == {
        *("badnets", "blended", "label-flip", "poisoning"),
        *("outlier-removal", "fine-pruning", "activation-clustering", "spectral-signatures"),
    }
    assert all(component.references and component.checks for component in COMPONENTS)
    assert all(one.reads_private_rows for one in COMPONENTS if one.kind == "defense")


def changed(attack, change):
    return lambda view: (answer := attack(view)).model_copy(update=change(view, answer))


_badnets = partial(badnets.attack, params=BadnetsParams())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda view, answer: {"y": view.y[answer.rows]}, "success rate 0"),
        (lambda view, answer: {"triggered": view.test_x[:0]}, "success rate 0"),
        (lambda view, answer: {"x": view.x[answer.rows]}, "success rate"),
    ],
)
def test_a_backdoor_that_does_not_take_is_caught(change, text):
    with pytest.raises(AssertionError, match=text):
        checks.backdoors(changed(_badnets, change), tables=False)


def test_poison_on_rows_of_the_target_class_is_caught():
    def anywhere(view):
        answer = _badnets(view)
        rows = torch.arange(len(view.y))[: len(answer.rows)]
        return answer.model_copy(update={"rows": rows})

    with pytest.raises(AssertionError, match="of the target class; expected 20 and 0"):
        checks.labels_others_as_target(anywhere)


def test_a_stop_before_the_budget_is_caught():
    def fewer(view):
        answer = _badnets(view)
        return answer.model_copy(update={name: getattr(answer, name)[:15] for name in ("rows", "x", "y")})

    with pytest.raises(AssertionError, match="with a budget of 20, 15 rows"):
        checks.labels_others_as_target(fewer)


def replacing(module, name, function):
    return lambda monkeypatch: monkeypatch.setattr(module, name, function)


def flip_nothing(view, rows, params):
    return view.y[rows]


def all_to_next(view, rows, params):
    return (view.y[rows] + 1) % 3


def pattern_of_its_own(x, pattern, where, schema, *, blend):
    return (1 - blend) * x + blend * 16 * torch.rand_like(x)


def over_all_rows(result, params):
    scores = _measure(result, params)
    wrong = scores["clean_accuracy"].model_copy(update={"name": "attack_success_rate"})
    return scores.model_copy(update={"values": (wrong, *scores.values[1:])})


def over_all_others(result, params):
    return _measure(result.model_copy(update={"source": None}), params)


def of_all_rows(own, rows, *, share, largest_share):
    """Remove a share of each class, as if the bound were one on every class."""
    return int(1.5 * share * own)


def nothing_withheld(result, params):
    scores = _measure(result, params)
    values = [value for value in scores.values if not isinstance(value, Withheld)]
    return scores.model_copy(update={"values": tuple(values)})


_measure = metric.measure
_shapley = checks_of_defenses.knn_shapley
_scores = spectral_signatures.scores


@pytest.mark.parametrize(
    ("mutate", "check", "text"),
    [
        (replacing(label_flip, "_flipped", flip_nothing), checks.flips_labels, "labels went"),
        (replacing(label_flip, "_flipped", all_to_next), checks.flips_labels, "labels went"),
        (replacing(blended, "written", pattern_of_its_own), checks.mixes_one_pattern, "patterns differ"),
        (
            replacing(badnets, "written", lambda x, p, w, s, *, blend: torch.where(w, p, x)),
            checks.stamps_the_patch,
            "the patched images differ",
        ),
        (replacing(metric, "measure", over_all_rows), checks.counts_exactly, "by hand they are"),
        (replacing(metric, "measure", nothing_withheld), checks.withholds, "are withheld"),
        (replacing(metric, "measure", over_all_others), checks.counts_the_source, "expected 1, 10 and 0"),
        (
            replacing(spectral_signatures, "leaving", of_all_rows),
            checks_of_defenses.spectral_signatures_checks()[2].run,
            "among ten classes|defended success rate",
        ),
        (
            replacing(checks_of_defenses, "knn_shapley", lambda *rows, neighbours: _shapley(*rows, neighbours=1)),
            checks_of_defenses.equal_the_definition,
            "K = 3: values are off",
        ),
        (
            replacing(checks_of_defenses, "knn_shapley", lambda *rows, neighbours: -_shapley(*rows, neighbours=5)),
            checks_of_defenses.ranks_flipped_rows_last,
            "0 of 20 flipped rows",
        ),
        (
            replacing(spectral_signatures, "scores", lambda seen: seen.square().sum(1)),
            checks_of_defenses.projects_on_the_top_direction,
            "scores are off",
        ),
        (
            replacing(fine_pruning, "Masked", lambda rule, units: rule),
            checks_of_defenses.fine_pruning_checks()[2].run,
            "expected equal counts",
        ),
        (
            replacing(fine_pruning, "idle_units", lambda model, val, *, accuracy_drop: torch.zeros(0).long()),
            checks_of_defenses.fine_pruning_checks()[0].run,
            "defended success rate",
        ),
        (
            replacing(fine_pruning, "idle_units", lambda model, val, *, accuracy_drop: torch.arange(2)),
            checks_of_defenses.prunes_the_least_active_units,
            r"at a drop of 0 units \[0, 1\] are pruned, expected \[2\]",
        ),
        (
            replacing(spectral_signatures, "scores", lambda seen: -_scores(seen)),
            checks_of_defenses.spectral_signatures_checks()[1].run,
            "defended success rate",
        ),
        (
            replacing(
                activation_clustering, "small_cluster", lambda seen, draws, params: torch.zeros(len(seen)).bool()
            ),
            checks_of_defenses.activation_clustering_checks()[1].run,
            "defended success rate",
        ),
    ],
)
def test_a_mutant_is_caught(monkeypatch, mutate, check, text):
    mutate(monkeypatch)
    with pytest.raises(AssertionError, match=text):
        check()


def test_suspecting_the_large_cloud_is_caught():
    def large(seen):
        params = activation_clustering.ActivationClusteringParams()
        small = activation_clustering.small_cluster(seen, generator("mutant"), params)
        return ~small & small.any()

    with pytest.raises(AssertionError, match="0 of 20 rows apart and 80 others"):
        checks_of_defenses.suspects_the_small_cloud(large)


def test_a_defense_that_costs_accuracy_is_caught():
    def ruinous(training, context):
        def fit(training, rows, val, streams):
            for data in rows:
                data.y.zero_()
            return inner(training, rows, val, streams)

        inner = training.fit
        return replace(training, fit=fit)

    with pytest.raises(AssertionError, match=r"on clean rows, expected \.02 less"):
        checks_of_defenses.costs_little(ruinous)
