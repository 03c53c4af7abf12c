"""The checks that attacks and metrics of ownership ship catch what they are there for."""

import pytest
import torch

from amulet_core.games.theft import TheftAnswer
from amulet_core.scores import Withheld
from amulet_core.streams import isolated
from amulet_plugins_builtin.catalogue.ownership import COMPONENTS
from amulet_plugins_builtin.ownership import (
    bandit,
    equations,
    extraction,
    knockoff,
    metric_checks,
    planted_theft,
    theft_checks,
    thieves,
    verification,
)


def test_every_component_ships_checks_and_references():
    assert {component.name for component in COMPONENTS} == {
        *("model-extraction", "equation-solving", "model-copy", "independent-model", "extraction", "verification")
    }
    assert all(component.references and component.checks for component in COMPONENTS)


def replacing(module, name, function):
    return lambda monkeypatch: monkeypatch.setattr(module, name, function)


def shuffled_targets(answers):
    return answers[torch.randperm(len(answers))]


def half_the_budget(view, oracle):
    x = view.x[: view.budget // 2]
    return x, oracle.ask(x)


def seven_queries(view, oracle):
    return view.x[:7], oracle.ask(view.x[:7])


def untrained(build, *given, **more):
    with isolated("untrained"):
        return build()


def without_bias(inputs, logs, *, bias):
    return _affine_map(inputs, logs, bias=bias) * torch.tensor([1.0] * planted_theft.FEATURES + [0.0])[:, None]


def not_logarithms(inputs, logs, *, bias):
    return _affine_map(inputs, logs.exp(), bias=bias)


def plain_gain(result, params):
    scores = _extraction(result, params)
    gain = scores["fidelity"].model_copy(update={"name": "fidelity_gain"})
    return scores.model_copy(update={"values": (gain, *scores.values[1:])})


def agreement_with_labels(result, params):
    return _extraction(result.model_copy(update={"victim": result.y}), params)


def never_withheld(result, params):
    scores = _extraction(result, params)
    return scores.model_copy(update={"values": tuple(one for one in scores.values if not isinstance(one, Withheld))})


def strictly_above(score, null):
    return (1 + (null[None] > score[:, None]).sum(1)).double() / (1 + len(null))


def of_the_pool_alone(score, null):
    return (null[None] >= score[:, None]).double().mean(1)


def only_defended(result):
    chosen = result.defended
    return _own(result.model_copy(update={"null_p": None if result.null_p is None else result.null_p[chosen]}))


def of_the_victim_alone(view):
    return TheftAnswer(model=planted_theft.contrary())


_affine_map, _extraction, _own = equations.affine_map, extraction.measure, verification._own_false_claims
random, adaptive = theft_checks._knockoff, theft_checks._adaptive


@pytest.mark.parametrize(
    ("mutate", "check", "text"),
    [
        (
            replacing(knockoff, "as_targets", shuffled_targets),
            lambda: theft_checks.grows_with_the_budget(random),
            "expected .1 more",
        ),
        (
            replacing(knockoff, "at_random", seven_queries),
            lambda: theft_checks.grows_with_the_budget(random),
            "expected .1 more",
        ),
        (
            replacing(knockoff, "imitated", untrained),
            lambda: theft_checks.grows_with_the_budget(random),
            "expected .1 more",
        ),
        (
            replacing(knockoff, "at_random", half_the_budget),
            lambda: theft_checks.spends_its_budget(random),
            r"with a budget of 70 \(probabilities\) 35 inputs were asked about",
        ),
        (
            replacing(bandit, "_drawn", lambda policy, groups, asked, *, at_most: torch.arange(at_most)),
            lambda: theft_checks.grows_with_the_budget(adaptive),
            "expected above .8",
        ),
        (
            replacing(equations, "affine_map", without_bias),
            lambda: theft_checks.solves_exactly(theft_checks._equations),
            "the weights are off",
        ),
        (
            replacing(equations, "affine_map", not_logarithms),
            lambda: theft_checks.solves_exactly(theft_checks._equations),
            "the weights are off",
        ),
        (
            replacing(equations, "_warnings", lambda answers, guessed, unknowns: ()),
            lambda: theft_checks.warns_of_too_few(theft_checks._equations),
            "0 warnings after 10 queries, expected 1",
        ),
        (
            replacing(thieves.copy, "deepcopy", lambda model: planted_theft.build()),
            theft_checks.copies_bit_for_bit,
            "the copy's logits differ",
        ),
        (
            replacing(thieves, "imitated", untrained),
            lambda: theft_checks.learns_labels_alone(theft_checks._control),
            "accuracy is",
        ),
        (lambda monkeypatch: None, lambda: theft_checks.learns_labels_alone(of_the_victim_alone), "accuracy is"),
        (replacing(extraction, "measure", plain_gain), metric_checks.counts_a_theft, "by hand they are"),
        (replacing(extraction, "measure", plain_gain), metric_checks.gains_nothing_over_itself, "by hand they are"),
        (replacing(extraction, "measure", agreement_with_labels), metric_checks.counts_a_theft, "by hand they are"),
        (replacing(extraction, "measure", never_withheld), metric_checks.gains_nothing_over_itself, "are withheld"),
        (replacing(verification, "empirical_p", strictly_above), metric_checks.counts_suspects, "by hand they are"),
        (replacing(verification, "empirical_p", of_the_pool_alone), metric_checks.counts_suspects, "by hand they are"),
        (replacing(verification, "_floor", lambda result: 0.0), metric_checks.withholds_without_a_pool, "are withheld"),
        (replacing(verification, "_own_false_claims", only_defended), metric_checks.counts_false_claims, "by hand"),
    ],
)
def test_a_mutant_is_caught(monkeypatch, mutate, check, text):
    mutate(monkeypatch)
    with pytest.raises(AssertionError, match=text):
        check()


def test_agreement_with_a_victim_without_any_rule_is_caught():
    def leaking(view):
        class Leak(torch.nn.Module):
            def forward(self, x):
                return planted_theft.Whim()(x)

        return TheftAnswer(model=Leak())

    with pytest.raises(AssertionError, match=r"fidelity is 1\.000, the control's"):
        theft_checks.finds_nothing_in_a_whim(leaking)
