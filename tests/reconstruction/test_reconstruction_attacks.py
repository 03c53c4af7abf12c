"""The attacks on data reconstruction: known answers, planted victims, and mutants that their checks catch."""

import math

import pytest
import torch
from torch import nn

from amulet_core.components import NoParams
from amulet_core.games.reconstruction import class_means, judge, view
from amulet_core.games.table import GAMES
from amulet_core.games.threats import ReconstructionThreat
from amulet_core.schema import DataSchema, Feasible
from amulet_plugins_builtin.catalogue.reconstruction import (
    COMPONENTS,
    GradientInversionParams,
    MiFaceParams,
    OutputDecoderParams,
)
from amulet_plugins_builtin.reconstruction import (
    attack_checks,
    controls,
    gradient_inversion,
    metric,
    metric_checks,
    mi_face,
    output_decoder,
    planted,
)
from amulet_plugins_builtin.reconstruction.units import to_units, total_variation

THREAT = ReconstructionThreat(gradients=6, verdict="batch")


def test_the_game_finds_its_attacks_controls_and_metric():
    game = GAMES["data-reconstruction"]
    by_name = {component.name: component for component in COMPONENTS}
    assert set(by_name) == {*game.attacks, *game.controls, *game.metrics}
    assert [by_name[name].reconstructs for name in game.attacks] == ["row", "class", "batch"]
    assert [by_name[name].reconstructs for name in game.controls] == [None, None]
    assert by_name["reconstruction"].measures[0].name == game.primary.value
    assert all(component.references and component.checks for component in COMPONENTS)


def test_rows_too_large_to_decode_do_not_apply():
    (decoder,) = [component for component in COMPONENTS if component.name == "output-decoder"]
    large, small = (
        DataSchema(modality="image", shape=(3, size, size), classes=("a", "b"), feasible=Feasible(low=0.0, high=1.0))
        for size in (128, 64)
    )
    assert decoder.applicable(decoder.params(), large) == [
        "rows of 49152 features are too large to decode from so few outputs (at most 16384)"
    ]
    assert decoder.applicable(decoder.params(), small) == []


# Gradient inversion


def test_one_row_behind_a_gradient_of_the_built_in_perceptron_is_its_quotient_of_gradients(trained_by):
    contest = trained_by()
    seen = view(contest, THREAT, "gradients")
    answer = gradient_inversion.attack(seen, GradientInversionParams())
    result = judge(contest, answer, THREAT)
    assert (to_units(result.x, planted.TABLE) - to_units(result.truth, planted.TABLE)).abs().max() < 1e-5
    # By hand, from the strongest unit alone: x = dL/dW_i / dL/db_i, scaled to the bounds.
    bias, weight = seen.gradient["hidden.0.bias"], seen.gradient["hidden.0.weight"]
    strongest = bias.abs().argmax(1)
    rows = torch.arange(len(bias))
    by_hand = weight[rows, strongest] / bias[rows, strongest][:, None]
    assert torch.allclose(by_hand, to_units(result.truth, planted.TABLE), atol=1e-5)


def test_the_noise_of_dp_sgd_drowns_the_row(trained_by, use):
    private = use("defense", "dp-sgd", noise_multiplier=1.5, epsilon=None)
    contest = trained_by(private, epochs=2)
    answer = gradient_inversion.attack(view(contest, THREAT, "gradients"), GradientInversionParams())
    assert attack_checks.relative(judge(contest, answer, THREAT)) > 1.5


@pytest.mark.parametrize("model", ["logistic", "mlp"])
def test_the_first_layer_is_solved_whatever_scales_its_input(trained_by, model):
    contest = trained_by(model=model)
    answer = gradient_inversion.attack(view(contest, THREAT, "gradients"), GradientInversionParams())
    assert attack_checks.relative(judge(contest, answer, THREAT)) < 1e-6


def test_a_dead_first_layer_tells_nothing():
    seen, _, _ = planted.leaky(planted.TABLE, rows=8)
    nothing = {name: torch.zeros_like(value) for name, value in seen.gradient.items()}
    answer = gradient_inversion.attack(seen.model_copy(update={"gradient": nothing}), GradientInversionParams())
    assert torch.equal(answer.x, torch.tensor([0.5, 0.0, 20.0]).expand(8, 3))


class Squared(nn.Module):
    """Squares its input: the layer behind it sees no scaled rows, only x squared."""

    def forward(self, x):
        return x.square()


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(Squared(), nn.Linear(3, 8), nn.Sigmoid(), nn.Linear(8, 4)),
        nn.Sequential(nn.Linear(3, 8, bias=False), nn.Sigmoid(), nn.Linear(8, 4)),
        nn.Sequential(nn.Linear(3, 5).requires_grad_(False), nn.Sigmoid(), nn.Linear(5, 4)),
        nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4)),
    ],
    ids=["not scaled", "no bias", "not trained", "fully connected"],
)
def test_rows_are_searched_for_only_where_the_first_layer_cannot_be_solved(module, monkeypatch):
    seen, _, _ = planted.leaky(planted.TABLE, rows=2)
    trained = {name: value for name, value in module.named_parameters() if value.requires_grad}
    gradient = {name: torch.ones(2, *value.shape) for name, value in trained.items()}
    given = seen.model_copy(update={"model": type(seen.model)(module), "gradient": gradient})
    called = []
    monkeypatch.setattr(gradient_inversion, "matched", lambda *_: called.append(1) or torch.zeros(2, 3))
    gradient_inversion.attack(given, GradientInversionParams())
    assert bool(called) == (not isinstance(module[1], nn.Tanh))


def test_labels_are_searched_for_where_the_head_is_not_trained():
    seen, _, _ = planted.leaky(planted.TABLE, rows=2)
    head = list(seen.gradient)[-2:]
    rest = {name: value for name, value in seen.gradient.items() if name not in head}
    given = seen.model_copy(update={"gradient": rest})
    assert gradient_inversion.inferred(seen, seen.model.module) is not None
    assert gradient_inversion.inferred(given, seen.model.module) is None
    found = gradient_inversion.attack(given, GradientInversionParams(method="matching", steps=2))
    assert found.x.shape == (2, 3)


def test_larger_batches_and_those_told_to_are_searched_for(monkeypatch):
    called = []
    monkeypatch.setattr(gradient_inversion, "matched", lambda view, *_: called.append(view.batch) or torch.zeros(8, 3))
    for batch, method in ((1, "auto"), (2, "auto"), (1, "matching")):
        seen, _, _ = planted.leaky(planted.TABLE, rows=8, batch=batch)
        gradient_inversion.attack(seen, GradientInversionParams(method=method))
    assert called == [2, 1]


def test_gradients_of_a_convolutional_network_can_be_matched(trained_by):
    schema = planted.IMAGES.model_copy(update={"shape": (1, 8, 8)})
    contest = trained_by(model="cnn", schema=schema)
    threat = ReconstructionThreat(gradients=2, verdict="batch")
    seen = view(contest, threat, "gradients")
    short, long = (
        judge(contest, gradient_inversion.attack(seen, GradientInversionParams(steps=steps, smoothness=0)), threat)
        for steps in (1, 60)
    )
    errors = [float((one.x - one.truth).square().mean()) for one in (short, long)]
    assert errors[1] < 0.9 * errors[0]


# MI-FACE


def test_smoothness_makes_smoother_images_and_is_none_of_a_tables():
    rows = planted.prototypes()
    contest = planted.clustered(planted.Prototypes(rows), rows, planted.IMAGES, kind="class")
    seen = view(contest, ReconstructionThreat(verdict="class"), "white-box")
    rough, smooth = (
        total_variation(mi_face.attack(seen, MiFaceParams(smoothness=weight)).x).sum() for weight in (0.0, 5.0)
    )
    assert smooth < 0.8 * rough
    table = planted.uniform(planted.Telling(), planted.TABLE, kind="class")
    seen = view(table, ReconstructionThreat(verdict="class"), "white-box")
    first, second = (mi_face.attack(seen, MiFaceParams(smoothness=weight)).x for weight in (0.0, 5.0))
    assert torch.equal(first, second)


def test_it_can_start_at_the_class_mean():
    contest = planted.clustered(planted.Silent(), planted.prototypes(), planted.IMAGES, kind="class")
    seen = view(contest, ReconstructionThreat(verdict="class"), "white-box")
    answer = mi_face.attack(seen, MiFaceParams(start="class-mean", smoothness=0))
    assert torch.allclose(answer.x, class_means(contest.aux.x, contest.aux.y, 4), atol=1e-6)


def test_total_variation_is_the_mean_absolute_step_down_and_across():
    image = torch.tensor([[[[0.0, 1.0], [0.5, 0.5]]]])
    assert float(total_variation(image)) == pytest.approx((0.5 + 0.5) / 2 + (1.0 + 0.0) / 2)


# What the checks that ship catch (tests/conformance runs them all)


def replacing(module, name, function):
    return lambda monkeypatch: monkeypatch.setattr(module, name, function)


_solved, _inferred, _apart = gradient_inversion.solved, gradient_inversion.inferred, gradient_inversion._apart
_cost, _errors, _class_means = mi_face._cost, metric._errors, controls.class_means


@pytest.mark.parametrize(
    ("mutate", "check", "text"),
    [
        (
            replacing(output_decoder, "_network", lambda known, rest, asked, params: torch.zeros(len(asked), 3)),
            attack_checks.output_decoder()[0].run,
            "expected 0 to 0.1",
        ),
        (
            replacing(output_decoder, "_ridge", lambda known, rest, asked: rest[: len(asked)]),
            attack_checks.output_decoder()[1].run,
            "expected 0 to 0.1",
        ),
        (
            replacing(output_decoder, "_network", lambda known, rest, asked, params: rest[: len(asked)]),
            attack_checks.output_decoder()[2].run,
            "expected 0.97 to 1.03",
        ),
        (
            replacing(output_decoder, "_ridge", lambda known, rest, asked: rest[: len(asked)]),
            attack_checks.output_decoder()[3].run,
            "expected 0.97 to 1.03",
        ),
        (
            replacing(mi_face, "_cost", lambda view, u, params: -_cost(view, u, params)),
            attack_checks.mi_face_checks()[0].run,
            "expected 0 to 0.2",
        ),
        (
            replacing(mi_face, "_cost", lambda view, u, params: u.flatten(1).sum(1)),
            attack_checks.mi_face_checks()[1].run,
            "from the start, expected 0",
        ),
        (
            replacing(gradient_inversion, "solved", lambda *given: _solved(*given) + 1e-4),
            attack_checks.gradient_inversion_checks()[0].run,
            "expected 1e-5",
        ),
        (
            replacing(gradient_inversion, "_apart", lambda *given: -_apart(*given)),
            attack_checks.gradient_inversion_checks()[1].run,
            "expected 0 to 0.1",
        ),
        (
            replacing(gradient_inversion, "_apart", lambda found, wanted, params: found.square().sum(1)),
            attack_checks.gradient_inversion_checks()[2].run,
            "expected 0 to 0.1",
        ),
        (
            replacing(planted, "_noisy", lambda gradient, noise, draws: dict(gradient)),
            attack_checks.gradient_inversion_checks()[3].run,
            "expected 0.9 to 4",
        ),
        (
            replacing(gradient_inversion, "inferred", lambda *given: 3 - _inferred(*given)),
            attack_checks.gradient_inversion_checks()[4].run,
            "labels tensor",
        ),
        (
            replacing(controls, "class_means", lambda x, y, classes: _class_means(x, 0 * y, classes)),
            attack_checks.class_mean()[0].run,
            "class means",
        ),
        (
            replacing(controls, "from_units", lambda u, schema: torch.zeros_like(u)),
            attack_checks.zero_input()[0].run,
            "the answer breaks the rules",
        ),
        (
            replacing(metric, "_errors", lambda result, answer: _errors(result, answer).sqrt()),
            metric_checks.metric_checks()[0].run,
            "by hand it is",
        ),
        (
            replacing(metric, "_similar", lambda name, *given: metric._mean(name, torch.ones(1))),
            metric_checks.metric_checks()[-1].run,
            "expected: both withheld",
        ),
    ],
)
def test_a_mutant_is_caught(monkeypatch, mutate, check, text):
    mutate(monkeypatch)
    with pytest.raises((AssertionError, ValueError), match=text):
        check()


def test_controls_know_nothing_of_the_victim():
    answers = [
        control(view(planted.uniform(victim, planted.TABLE, kind="row"), ReconstructionThreat(), "none"), NoParams()).x
        for control in (controls.class_mean, controls.zero_input)
        for victim in (planted.Telling(), planted.Silent())
    ]
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[2], answers[3])


def test_a_decoder_of_wild_log_probabilities_stays_finite():
    contest = planted.uniform(planted.Telling(), planted.TABLE, kind="row")
    seen = view(contest, ReconstructionThreat(), "probabilities")
    wild = seen.model_copy(
        update={"observed": seen.observed * 1e30, "observed_aux": torch.full_like(seen.observed_aux, -math.log(4))}
    )
    assert torch.isfinite(output_decoder.attack(wild, OutputDecoderParams(epochs=1)).x).all()
