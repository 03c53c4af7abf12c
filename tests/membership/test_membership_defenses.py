"""Label smoothing, early stopping and the L2 penalty: losses, composition, settings, and what memorisers still leak."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from amulet_core.training.parts import weighted_cross_entropy
from amulet_core.training.values import Batch
from amulet_plugins_builtin.catalogue.evasion import AdversarialTrainingParams
from amulet_plugins_builtin.catalogue.membership_defenses import (
    EarlyStoppingParams,
    WeightDecayParams,
)
from amulet_plugins_builtin.catalogue.robust_training import TradesParams
from amulet_plugins_builtin.evasion import adversarial_training, trades
from amulet_plugins_builtin.membership import early_stopping, label_smoothing, weight_decay
from amulet_plugins_builtin.membership.planted_models import (
    CLASSES,
    RANDOM_LABELS,
    memorised,
    memorising_training,
    random_rows,
)


def batch(n: int = 30) -> Batch:
    rows = random_rows(n, "batch")
    draws = torch.rand(n, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return Batch(rows.x, rows.y, rows.z, torch.linspace(0, 2, n), {"start": draws})


def network(x: Tensor, part: str = "model") -> Tensor:
    assert part == "model"
    weight = torch.randn(16, CLASSES, generator=torch.Generator().manual_seed(2))
    return torch.sin(3 * x) @ weight


def smoothed_cross_entropy(smoothing: float, call, _frozen, batch: Batch) -> Tensor:
    return batch.w * cross_entropy(call(batch.x), batch.y, reduction="none", label_smoothing=smoothing)


@pytest.mark.parametrize("smoothing", [0.01, 0.3, 0.9])
def test_the_losses_are_those_of_torch_with_smoothed_labels(smoothing: float) -> None:
    found = label_smoothing.smoothed(weighted_cross_entropy, smoothing=smoothing)(network, network, batch())
    exact = smoothed_cross_entropy(smoothing, network, network, batch())
    torch.testing.assert_close(found, exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("order", ["smoothing first", "smoothing last"])
def test_with_adversarial_training_the_labels_are_smoothed_at_the_adversarial_examples(order: str) -> None:
    robust = partial(
        adversarial_training.adversarial, params=AdversarialTrainingParams(epsilon=0.1, steps=2), schema=RANDOM_LABELS
    )
    smooth = partial(label_smoothing.smoothed, smoothing=0.2)
    both = (
        robust(smooth(weighted_cross_entropy)) if order == "smoothing first" else smooth(robust(weighted_cross_entropy))
    )
    exact = robust(partial(smoothed_cross_entropy, 0.2))(network, network, batch())
    torch.testing.assert_close(both(network, network, batch()), exact, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(exact, smoothed_cross_entropy(0.2, network, network, batch()), atol=1e-2)


@pytest.mark.parametrize("how", ["an axis after the rows", "one after the other"])
def test_an_objective_that_asks_at_two_inputs_at_once_has_the_mean_of_both_terms(how: str) -> None:
    joined = {
        "an axis after the rows": partial(torch.stack, dim=1),
        "one after the other": torch.cat,
    }[how]

    def twice(call, _frozen, rows: Batch) -> Tensor:
        return torch.zeros(30) + 0 * call(joined([rows.x, rows.x + 0.1])).sum()

    found = label_smoothing.smoothed(twice, smoothing=0.5)(network, network, batch())
    logits = torch.stack([network(batch().x), network(batch().x + 0.1)])
    excess = logits[:, torch.arange(30), batch().y] - logits.mean(2)
    torch.testing.assert_close(found, batch().w * 0.5 * excess.mean(0))


def test_an_axis_before_the_rows_is_refused_rather_than_taken_for_one_behind_them() -> None:
    def twice(call, _frozen, rows: Batch) -> Tensor:
        return torch.zeros(30) + 0 * call(torch.stack([rows.x, rows.x + 0.1])).sum()

    with pytest.raises(ValueError, match=r"^label-smoothing") as caught:
        label_smoothing.smoothed(twice, smoothing=0.5)(network, network, batch())
    assert str(caught.value) == (
        "label-smoothing: the objective that it wraps asked the model for [2, 30] outputs, and there are 30 rows: several "
        "inputs of a row follow each other, or stand on an axis behind the rows"
    )


def test_with_trades_the_labels_of_row_and_neighbour_are_smoothed_in_either_order() -> None:
    penalised = partial(trades.regularised, params=TradesParams(epsilon=0.1, steps=2, beta=2.0), schema=RANDOM_LABELS)
    smooth = partial(label_smoothing.smoothed, smoothing=0.2)
    last = smooth(penalised(weighted_cross_entropy))(network, network, batch())
    seen: list[Tensor] = []

    def noting(x: Tensor, part: str = "model") -> Tensor:
        seen.append(network(x, part))
        return seen[-1]

    plain = penalised(weighted_cross_entropy)(noting, network, batch())
    logits = seen[-1].reshape(2, 30, -1)
    excess = logits[:, torch.arange(30), batch().y] - logits.mean(2)
    torch.testing.assert_close(last, plain + batch().w * 0.2 * excess.mean(0), rtol=1e-5, atol=1e-6)
    first = penalised(smooth(weighted_cross_entropy))(network, network, batch())
    exact = penalised(partial(smoothed_cross_entropy, 0.2))(network, network, batch())
    torch.testing.assert_close(first, exact, rtol=1e-5, atol=1e-6)


def test_an_objective_that_never_calls_the_model_is_named() -> None:
    with pytest.raises(ValueError, match="label-smoothing") as caught:
        label_smoothing.smoothed(lambda *_: torch.zeros(30), smoothing=0.1)(network, network, batch())
    assert str(caught.value) == "label-smoothing: the objective that it wraps never called the model"


def test_early_stopping_is_the_patience_of_the_training_settings() -> None:
    training, context = memorising_training(epochs=30)
    stopped = early_stopping.train(training, EarlyStoppingParams(patience=3), context)
    patient = replace(training, settings=training.settings.model_copy(update={"patience": 3}))
    for one, other in zip(memorised(stopped).parameters(), memorised(patient).parameters(), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(next(memorised(stopped).parameters()), next(memorised(training).parameters()))
    assert training.settings.patience == 0


def test_the_penalty_is_added_to_that_of_the_training_settings() -> None:
    training, context = memorising_training(epochs=5)
    settings = training.settings.model_copy(update={"weight_decay": 0.2})
    params = WeightDecayParams(weight_decay=0.5)
    decayed = weight_decay.train(replace(training, settings=settings), params, context)
    assert decayed.settings.weight_decay == pytest.approx(0.7)
    plain, smaller = (sum(float(w.square().sum()) for w in memorised(one).parameters()) for one in (training, decayed))
    assert smaller < plain / 2
