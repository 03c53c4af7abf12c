"""The checks of the defenses against membership inference, on memorisers of random labels and on released noise."""

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from amulet_core.checks import Check
from amulet_core.data import Data
from amulet_core.statistics.membership import auc
from amulet_core.streams import isolated
from amulet_core.training.parts import weighted_cross_entropy
from amulet_core.training.values import Batch, Streams, Training
from amulet_plugins_builtin.catalogue.membership_defenses import (
    EarlyStoppingParams,
    LabelSmoothingParams,
    OutputNoiseParams,
    WeightDecayParams,
)
from amulet_plugins_builtin.membership import early_stopping as early_stopping_defense
from amulet_plugins_builtin.membership import label_smoothing as smoothing_defense
from amulet_plugins_builtin.membership import output_noise as noise_defense
from amulet_plugins_builtin.membership import weight_decay as decay_defense
from amulet_plugins_builtin.membership.confidence import label_log_probability
from amulet_plugins_builtin.membership.planted_models import CLASSES, memorised, memorising_training, random_rows

_POWER = "A defense that lets rows be learnt by heart does nothing."
_LEARNING = "A network that learns nothing leaks nothing, and is of no use."


def label_smoothing() -> tuple[Check, ...]:
    """Return the checks of label smoothing."""
    return (
        Check(
            "The losses are the cross-entropies with the smoothed labels, weights and all.",
            "Another sign or share trains towards other labels.",
            _losses_are_smoothed,
        ),
        Check(
            "A memoriser ends as sure as its smoothed labels, 1 - a + a / classes, and no surer.",
            "Labels that are smoothed on paper alone are learnt with certainty.",
            _as_sure_as_the_labels,
        ),
    )


def early_stopping() -> tuple[Check, ...]:
    """Return the checks of early stopping."""
    return (
        Check("It stops a network from learning random labels by heart.", _POWER, lambda: _leaks_less(_stopped)),
        Check("It lets a network learn what rows tell of their labels.", _LEARNING, lambda: _learns(_stopped)),
    )


def weight_decay() -> tuple[Check, ...]:
    """Return the checks of the L2 penalty."""
    return (
        Check("It keeps a network from learning random labels by heart.", _POWER, lambda: _leaks_less(_decayed)),
        Check("It lets a network learn what rows tell of their labels.", _LEARNING, lambda: _learns(_decayed)),
    )


def output_noise() -> tuple[Check, ...]:
    """Return the checks of output noise."""
    return (
        Check(
            "The predicted class of every row stays, and the same probabilities give the same answer.",
            "A class that changes costs accuracy, and noise that is drawn anew averages out.",
            _labels_stay,
        ),
        Check(
            "The loss tells no more of a memoriser than its labels do.",
            "Probabilities that still tell members from others are no noise.",
            _no_more_than_labels,
        ),
        Check(
            "The mean L1 distance of what is released keeps to the budget.",
            "A budget that is not kept costs more than was allowed.",
            _budget_is_kept,
        ),
        Check(
            "Small budgets are used up.",
            "A budget of which nothing is spent buys no noise.",
            _budget_is_used,
        ),
        Check(
            "The largest released probability is distributed as that of a uniform point of the simplex.",
            "One answer for each label is a label: the defense then hides the probabilities as such, and is another.",
            _noise_is_uniform,
        ),
    )


def leak(training: Training) -> float:
    """Return the AUC of the loss attack on a network that was trained on random labels."""
    model = memorised(training)
    score, member = _scored(model(random_rows(100, "members").x), model(random_rows(1000, "others").x))
    return auc(score.numpy(), member.numpy()).estimate


def _scored(inside: Tensor, outside: Tensor) -> tuple[Tensor, Tensor]:
    y = torch.cat([random_rows(100, "members").y, random_rows(1000, "others").y])
    logp = torch.log_softmax(torch.cat([inside, outside]), 1)
    return label_log_probability(logp, y), torch.arange(len(y)) < 100


def _stopped() -> Training:
    training, context = memorising_training()
    return early_stopping_defense.train(training, EarlyStoppingParams(), context)


def _decayed() -> Training:
    training, context = memorising_training()
    return decay_defense.train(training, WeightDecayParams(weight_decay=0.03), context)


def _leaks_less(defended: Callable[[], Training]) -> None:
    plain, _ = memorising_training()
    undefended, found = leak(plain), leak(defended())
    if undefended < 0.9 or found > undefended - 0.2:
        raise AssertionError(
            f"the loss attack's AUC is {found:.3f} with the defense and {undefended:.3f} without, "
            "expected .9 or more without, and .2 less with it"
        )


def _learns(defended: Callable[[], Training]) -> None:
    training, fresh = defended(), _told(1000, "fresh")
    with isolated("a rule"):
        (fitted,) = training.fit(training, [_told(100, "rows")], [_told(100, "val")], [Streams(("a rule",))])
    found = float((fitted.model(fresh.x).argmax(1) == fresh.y).double().mean())
    if found < 0.5:
        raise AssertionError(
            f"the accuracy is {found:.3f} on rows that tell their labels, expected .5 or more (guesses: .25)"
        )


def _told(n: int, key: str) -> Data:
    """Return rows whose label is the place of the largest of their first features."""
    rows = random_rows(n, "told", key)
    return dataclasses.replace(rows, y=rows.x[:, :CLASSES].argmax(1))


def _losses_are_smoothed() -> None:
    rows, weight = random_rows(50, "losses"), torch.linspace(0, 2, 50)
    logits = torch.randn(50, CLASSES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    objective = smoothing_defense.smoothed(weighted_cross_entropy, smoothing=0.3)
    batch = Batch(rows.x, rows.y, rows.z, weight, {})
    found = objective(lambda x, part="model": logits, lambda x, part="model": logits, batch)  # noqa: ARG005
    exact = weight * cross_entropy(logits, rows.y, reduction="none", label_smoothing=0.3)
    error = float((found - exact).abs().max())
    if error > 1e-6:
        raise AssertionError(f"the losses are off by {error:.2e}, expected at most 1e-6")


def _as_sure_as_the_labels() -> None:
    training, context = memorising_training(epochs=200)
    model = memorised(smoothing_defense.train(training, LabelSmoothingParams(smoothing=0.2), context))
    rows = random_rows(100, "members")
    found = float(torch.softmax(model(rows.x), 1).gather(1, rows.y[:, None]).mean())
    exact = 1 - 0.2 + 0.2 / CLASSES
    if abs(found - exact) > 0.02:
        raise AssertionError(f"the mean probability of the labels is {found:.4f}, expected {exact:.4f} within .02")


def _released(budget: float) -> tuple[Tensor, Tensor]:
    """Return the probabilities of a memoriser on members and others ``[n, classes]``, and what is released of them."""
    training, _ = memorising_training()
    model = memorised(training)
    x = torch.cat([random_rows(100, "members").x, random_rows(1000, "others").x])
    given = torch.softmax(model(x), 1)
    return given, noise_defense.release(given, OutputNoiseParams(budget=budget))


def _labels_stay() -> None:
    given, released = _released(2.0)
    moved = int((given.argmax(1) != released.argmax(1)).sum())
    again = noise_defense.release(given.flip(0), OutputNoiseParams()).flip(0)
    if moved or not torch.equal(released, again):
        raise AssertionError(f"{moved} predicted classes changed, expected 0, and equal answers to equal queries")


def _no_more_than_labels() -> None:
    given, released = _released(2.0)
    score, member = _scored(released[:100].log(), released[100:].log())
    y = torch.cat([random_rows(100, "members").y, random_rows(1000, "others").y])
    labels = auc((given.argmax(1) == y).double().numpy(), member.numpy()).estimate
    found = auc(score.numpy(), member.numpy(), level=0.999)
    if found.low > labels:
        raise AssertionError(f"the loss attack's AUC is {found.estimate:.3f}, that of the labels alone {labels:.3f}")


def _budget_is_kept() -> None:
    for budget in (0.1, 0.5, 1.0):
        given, released = _released(budget)
        distance = (given - released).abs().sum(1)
        found, error = float(distance.mean()), float(distance.std()) / len(distance) ** 0.5
        if found > budget + 4 * error:
            raise AssertionError(f"the mean distance is {found:.3f}, expected at most {budget:g}")


def _budget_is_used() -> None:
    for budget in (0.1, 0.3):
        given, released = _released(budget)
        found = float((given - released).abs().sum(1).mean())
        if found < budget / 2:
            raise AssertionError(f"the mean distance is {found:.3f}, expected at least half of {budget:g}")


def _noise_is_uniform() -> None:
    _, released = _released(2.0)
    top = released.amax(1).double()
    # The largest of k spacings of a uniform point has mean (1 + 1/2 + ... + 1/k) / k.
    exact, error = sum(1 / k for k in range(1, CLASSES + 1)) / CLASSES, float(top.std()) / len(top) ** 0.5
    if abs(float(top.mean()) - exact) > 4 * error or len(top.unique()) < len(top) / 2:
        raise AssertionError(
            f"the largest probability is {float(top.mean()):.3f} on average, and of {len(top.unique())} values in "
            f"{len(top)} rows, expected {exact:.3f}, and as many values as rows"
        )
