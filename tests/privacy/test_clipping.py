"""The gradient rule of DP-SGD against clipping row by row, and its noise against what the account assumes."""

import math

import pytest
import torch

from amulet_plugins_builtin.privacy.checks import clipped_row_by_row
from amulet_plugins_builtin.privacy.clipping import ClippedNoisyGradient

OBJECTIVES = [
    "cross-entropy",
    "debiasing",
    "adversarial training",
    "adversarial training of debiasing",
    "debiasing of adversarial training",
]


def rule(*, noise=0.0, norm=0.5, expected=12.0):
    return ClippedNoisyGradient(noise, norm, expected_batch_size=expected)


@pytest.mark.parametrize("weights", ["ones", "weighted"])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_ghost_clipping_is_clipping_row_by_row(toys, kind, objective, weights):
    problem, batch = toys.problem(kind, objective), toys.batch(kind, 12, weights=weights)
    found = rule().start(problem)(batch)
    expected = clipped_row_by_row(problem, batch, max_grad_norm=0.5, expected=12)
    loose = clipped_row_by_row(problem, batch, max_grad_norm=1e9, expected=12)
    assert max(float((loose[name] - expected[name]).abs().max()) for name in expected) > 1e-3, "nothing was clipped"
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


def test_in_double_precision_the_two_agree_to_rounding(toys):
    objective = "adversarial training of debiasing"
    problem, batch = toys.problem("mlp", objective, dtype=torch.float64), toys.batch("mlp", 12, weights="weighted")
    batch = batch._replace(x=batch.x.double(), w=batch.w.double(), draws={"start": batch.draws["start"].double()})
    found = rule().start(problem)(batch)
    for name, value in clipped_row_by_row(problem, batch, max_grad_norm=0.5, expected=12).items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-14)


def test_no_row_moves_the_gradient_by_more_than_the_clipping_norm(toys):
    problem = toys.problem("mlp", "debiasing")
    batch = toys.batch("mlp", 1, weights="ones")._replace(w=torch.full((1, 1), 1e4))
    found = rule(norm=0.5, expected=1).start(problem)(batch)
    norm = torch.cat([value.flatten() for value in found.values()]).norm()
    assert float(norm) == pytest.approx(0.5, abs=1e-5)


def test_a_batch_of_one_row_works(toys):
    problem, batch = toys.problem("cnn"), toys.batch("cnn", 1)
    found = rule().start(problem)(batch)
    for name, value in clipped_row_by_row(problem, batch, max_grad_norm=0.5, expected=12).items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6)


def test_the_sum_is_divided_by_the_expected_batch_size_and_not_the_actual_one(toys):
    batch = toys.batch("mlp", 12)
    ten, forty = (rule(expected=size).start(toys.problem("mlp"))(batch) for size in (10, 40))
    for name, value in ten.items():
        torch.testing.assert_close(value, 4 * forty[name])


def test_an_empty_batch_without_noise_gives_zeros(toys):
    found = rule().start(toys.problem("mlp", "debiasing"))(toys.batch("mlp", 0))
    assert all(not value.any() for value in found.values())


@pytest.mark.parametrize("n", [0, 12])
def test_the_noise_has_mean_0_and_the_accounted_deviation(toys, n):
    batch = toys.batch("mlp", n)
    noisy, clean = rule(noise=3.0).start(toys.problem("mlp")), rule().start(toys.problem("mlp"))
    signal = clean(batch)
    drawn = torch.cat([(value - signal[name]).flatten() for _ in range(200) for name, value in noisy(batch).items()])
    deviation = 3.0 * 0.5 / 12
    # Four standard errors of a mean and of a deviation: one test in some 8,000 would fail by chance, the seed is fixed.
    assert abs(float(drawn.mean())) < 4 * deviation / math.sqrt(len(drawn))
    assert abs(float(drawn.std()) - deviation) < 4 * deviation / math.sqrt(2 * len(drawn))


def test_the_noise_comes_from_the_models_own_stream(toys):
    batch = toys.batch("mlp", 0)
    before = torch.get_rng_state()
    first, again, other = (rule(noise=1.0).start(toys.problem("mlp", noise_seed=s))(batch) for s in (1, 1, 2))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not any(torch.equal(value, other[name]) for name, value in first.items())
    assert torch.equal(torch.get_rng_state(), before)


def test_every_step_sees_the_optimisers_last_one(toys):
    problem, batch = toys.problem("mlp"), toys.batch("mlp", 12)
    step = rule().start(problem)
    step(batch)
    with torch.no_grad():
        for value in problem.params.values():
            value.add_(0.3)
    found = step(batch)
    for name, value in clipped_row_by_row(problem, batch, max_grad_norm=0.5, expected=12).items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6)


def test_a_returned_gradient_stays_what_it_was(toys):
    step, batch = rule(noise=1.0).start(toys.problem("mlp")), toys.batch("mlp", 12)
    first = step(batch)
    kept = {name: value.clone() for name, value in first.items()}
    step(batch)
    assert all(torch.equal(value, kept[name]) for name, value in first.items())


def test_a_stack_of_models_is_refused(toys):
    with pytest.raises(ValueError, match="stack") as error:
        rule().start(toys.problem("mlp", models=3))
    assert str(error.value) == "dp-sgd trains one model at a time, not a stack of 3"
