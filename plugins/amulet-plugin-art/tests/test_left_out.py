"""What the toolbox offers and the plugin does not: each test shows why, and fails once the reason is gone."""

import numpy as np
import pytest
import torch
from amulet_core.streams import isolated
from art.attacks.evasion import AutoConjugateGradient, NewtonFool
from art.attacks.inference.membership_inference import LabelOnlyDecisionBoundary
from art.defences.postprocessor import ClassLabels, GaussianNoise, HighConfidence
from art.defences.preprocessor import Cutout
from art.estimators.classification import BlackBoxClassifier, PyTorchClassifier
from torch import nn

from amulet_plugin_art import planted


class Softened(nn.Module):
    def __init__(self, model, *, probabilities):
        super().__init__()
        self.model, self.probabilities = model, probabilities

    def forward(self, x):
        logits = self.model(x)
        return torch.softmax(logits, 1) if self.probabilities else logits


def estimator(*, probabilities):
    model = Softened(planted.Linear(), probabilities=probabilities)
    return PyTorchClassifier(model, nn.CrossEntropyLoss(), (8,), 2, clip_values=(-2.0, 2.0), device_type="cpu")


def test_class_labels_gives_every_row_of_a_batch_the_labels_of_all():
    released = ClassLabels()(np.array([[0.9, 0.1, 0.0], [0.0, 0.2, 0.8]], dtype=np.float32))
    assert released.tolist() == [[1, 0, 1], [1, 0, 1]]


def test_high_confidence_releases_no_probabilities():
    released = HighConfidence(cutoff=0.5)(np.array([[0.4, 0.3, 0.3], [0.6, 0.3, 0.1]], dtype=np.float32))
    assert released.sum(1).tolist() == pytest.approx([0.0, 0.6])


@pytest.mark.filterwarnings("ignore:invalid value encountered in divide:RuntimeWarning")
def test_gaussian_noise_answers_the_same_query_otherwise_and_large_noise_by_nothing():
    given = np.tile(np.array([[0.5, 0.5]], dtype=np.float32), (200, 1))
    with isolated("noise"):
        small, again, large = (GaussianNoise(scale=scale)(given) for scale in (0.1, 0.1, 5.0))
    assert not np.array_equal(small, again)
    assert np.isnan(large).any()


def test_cutout_of_odd_lengths_cuts_one_pixel_less_and_of_one_nothing():
    with isolated("cutout"):
        one, three = (Cutout(length=length, channels_first=True)(np.ones((20, 1, 9, 9)))[0] for length in (1, 3))
    assert one.min() == 1
    assert (three == 0).sum((1, 2, 3)).max() == 4


def test_auto_conjugate_gradient_in_linf_takes_no_signs():
    """A step along signs moves all features alike; the toolbox computes them, and goes along the gradient itself."""
    x = planted.rows(20).numpy()
    y = np.eye(2, dtype=np.float32)[planted.Linear()(torch.from_numpy(x)).argmax(1).numpy()]
    attack = AutoConjugateGradient(
        estimator(probabilities=False),
        norm=np.inf,
        eps=0.5,
        eps_step=0.5,
        max_iter=10,
        nb_random_init=1,
        batch_size=32,
        loss_type="cross_entropy",
        verbose=False,
    )
    with isolated("acg"):
        moved = attack.generate(x, y) - x
    weight = planted.Linear().weight.numpy()
    spent = moved * np.sign(y[:, 0] - y[:, 1])[:, None] * np.sign(weight)
    # A step of the whole budget along the signs, the first of ten, is the worst there is: every feature moves by .5.
    assert not np.isclose(spent, 0.5, atol=1e-4).all(1).any()


def test_newton_fool_ends_on_the_boundary_of_two_classes_where_rounding_decides():
    x = planted.rows(20)
    with isolated("newton"):
        moved = NewtonFool(estimator(probabilities=True), batch_size=32, verbose=False).generate(x.numpy())
    odds = planted.Linear()(torch.from_numpy(moved))[:, 1]
    assert odds.abs().max() < 1e-5


def test_label_only_decision_boundary_draws_from_a_generator_that_no_seed_reaches():
    x, model = planted.rows(5), planted.Linear()
    y = np.eye(2, dtype=np.float32)[model(x).argmax(1).numpy()]

    def predict(rows):
        return np.eye(2, dtype=np.float32)[model(torch.from_numpy(rows.astype(np.float32))).argmax(1).numpy()]

    attack = LabelOnlyDecisionBoundary(BlackBoxClassifier(predict, (8,), 2, clip_values=(-2.0, 2.0)), 0.1)
    told = []
    for _ in range(2):
        with isolated("one seed"):
            told.append(attack.infer(x.numpy(), y, probabilities=True, max_iter=1, init_eval=5, verbose=False))
    assert not np.array_equal(*told)
