"""The quantile attack on rows that tell how easy they are: the closed form, its false positive rate, what it reads."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from amulet_core.statistics.membership import auc
from amulet_plugins_builtin.catalogue.membership_attacks import QuantileParams
from amulet_plugins_builtin.membership import quantile
from amulet_plugins_builtin.membership.planted import planted


@pytest.mark.parametrize("shift", [1.0, 2.0])
def test_where_rows_tell_their_ease_the_auc_is_nearly_that_of_gaussian_scores(shift: float) -> None:
    game = planted(rows=8000, shadow_models=2, shift=shift, difficulty=3.0, population=8000, seed=1)
    found = auc(quantile.attack(game.view, QuantileParams()).score.numpy(), game.member.numpy()).estimate
    exact = norm.cdf(shift / math.sqrt(2))
    # What the trees do not know of the ease costs a little; four standard errors upwards.
    assert exact - 0.04 < found < exact + 0.02


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_the_threshold_keeps_its_false_positive_rate_on_rows_of_every_ease(rate: float) -> None:
    game = planted(rows=8000, shadow_models=2, shift=2.0, difficulty=3.0, population=8000, seed=2)
    answer = quantile.attack(game.view, QuantileParams(false_positive_rate=rate))
    assert answer.threshold == 0.0
    called = (answer.score >= 0)[~game.member].double()
    easy = game.view.x[~game.member, 0] > 0.5
    # Four standard errors of 2,000 rows, and as much again for the quantile's own error.
    error = 8 * math.sqrt(rate * (1 - rate) / 2000)
    assert called[easy].mean().item() == pytest.approx(rate, abs=error)
    assert called[~easy].mean().item() == pytest.approx(rate, abs=error)


def image_view():
    game = planted(rows=60, shadow_models=2, shift=1.0, population=40, seed=3)
    draws = torch.Generator().manual_seed(3)
    schema = game.view.data_schema.model_copy(update={"modality": "image", "shape": (1, 8, 8)})
    x, own = (torch.rand(n, 1, 8, 8, generator=draws) for n in (60, 40))
    return game.view.model_copy(update={"x": x, "population_x": own, "data_schema": schema})


@pytest.mark.parametrize(("components", "columns"), [(5, 5), (1000, 40)])
def test_images_are_told_by_their_principal_components_and_label(components: int, columns: int) -> None:
    view = image_view()
    own, candidates = quantile.features(view, components=components)
    assert own.shape == (40, columns + 2)
    assert candidates.shape == (60, columns + 2)
    centred = view.population_x.flatten(1).double().numpy()
    mean = centred.mean(0)
    _, singular, axes = np.linalg.svd(centred - mean, full_matrices=False)
    length = min(columns, 39)  # 40 centred rows span 39 dimensions
    exact = (view.x.flatten(1).double().numpy() - mean) @ axes[:length].T
    np.testing.assert_allclose(np.abs(candidates[:, :length]), np.abs(exact), atol=1e-9)
    np.testing.assert_array_equal(candidates[:, -2:].argmax(1), view.y.numpy())
    assert singular[length - 1] > 0.1


def test_the_outputs_of_the_victim_are_no_features() -> None:
    game = planted(rows=50, shadow_models=2, shift=1.0, population=40, seed=4)
    other = game.view.model_copy(update={"observed": game.view.observed.flip(0)})
    for first, second in zip(
        quantile.features(game.view, components=5), quantile.features(other, components=5), strict=True
    ):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("rate", [0.01, 0.99])
def test_a_quantile_that_too_few_rows_tell_is_refused(rate: float) -> None:
    view = planted(rows=50, shadow_models=2, shift=1.0, population=99, seed=5).view
    with pytest.raises(ValueError, match="quantile") as caught:
        quantile.attack(view, QuantileParams(false_positive_rate=rate))
    assert str(caught.value) == (
        f"quantile: a quantile at the false positive rate {rate:g} cannot be told from 99 rows of the adversary's own: "
        "raise population (and data.aux, which they are of), or move false_positive_rate towards 0.5"
    )
