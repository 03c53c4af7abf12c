"""The loss attack's score and its thresholds, from shadow models and from the population."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from amulet_core.games.membership import Lab
from amulet_plugins_builtin.catalogue.membership import LossThresholdParams
from amulet_plugins_builtin.membership import loss_threshold
from amulet_plugins_builtin.membership.planted import Planted, planted


def without_shadows(game: Planted, *, population: bool = True) -> Planted:
    view = game.view
    keep = slice(None) if population else slice(0)
    empty = Lab(
        candidates=view.lab.candidates[:0], members=view.lab.members[:0], population=view.lab.population[:0, keep]
    )
    cut = {"population_x", "population_y", "observed_population"}
    update = {"lab": empty, **{name: getattr(view, name)[keep] for name in cut}}
    return Planted(view.model_copy(update=update), game.member)


def test_the_score_is_the_negative_loss() -> None:
    view = planted(rows=100, shadow_models=2, shift=1.0, seed=1).view
    found = loss_threshold.attack(view, LossThresholdParams()).score
    torch.testing.assert_close(
        found, -cross_entropy(view.observed.double(), view.y, reduction="none"), rtol=0, atol=1e-6
    )


def test_shadow_models_fix_the_threshold_halfway_between_two_far_groups() -> None:
    game = planted(rows=1000, shadow_models=8, shift=30.0, seed=2)
    answer = loss_threshold.attack(game.view, LossThresholdParams())
    assert answer.threshold is not None
    assert torch.equal(answer.score >= answer.threshold, game.member)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_without_shadow_models_the_population_sets_the_false_positive_rate(rate: float) -> None:
    game = without_shadows(planted(rows=4000, shadow_models=2, shift=0.0, population=4000, seed=3))
    answer = loss_threshold.attack(game.view, LossThresholdParams(false_positive_rate=rate))
    called = (answer.score >= answer.threshold).double().mean().item()
    # Both the threshold and the share come from 4,000 rows: four standard errors of their difference.
    assert called == pytest.approx(rate, abs=4 * (2 * rate * (1 - rate) / 4000) ** 0.5)


def test_without_shadow_models_and_population_no_threshold_is_fixed() -> None:
    game = without_shadows(planted(rows=100, shadow_models=2, shift=1.0, seed=4), population=False)
    assert loss_threshold.attack(game.view, LossThresholdParams()).threshold is None
