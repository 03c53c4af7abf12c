"""The loss attack's score, and its threshold from the adversary's own rows."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from amulet_core.games.membership import Lab
from amulet_plugins_builtin.catalogue.membership import LossThresholdParams
from amulet_plugins_builtin.membership import loss_threshold
from amulet_plugins_builtin.membership.planted import planted


def test_the_score_is_the_negative_loss() -> None:
    view = planted(rows=100, shadow_models=2, shift=1.0, seed=1).view
    found = loss_threshold.attack(view, LossThresholdParams()).score
    torch.testing.assert_close(
        found, -cross_entropy(view.observed.double(), view.y, reduction="none"), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_adversarys_own_rows_set_the_false_positive_rate(rate: float) -> None:
    game = planted(rows=4000, shadow_models=2, shift=0.0, population=4000, seed=3)
    answer = loss_threshold.attack(game.view, LossThresholdParams(false_positive_rate=rate))
    called = (answer.score >= answer.threshold).double().mean().item()
    # Both the threshold and the share come from 4,000 rows: four standard errors of their difference.
    assert called == pytest.approx(rate, abs=4 * (2 * rate * (1 - rate) / 4000) ** 0.5)


def test_without_rows_of_its_own_no_threshold_is_fixed() -> None:
    view = planted(rows=100, shadow_models=2, shift=1.0, population=0, seed=4).view
    assert loss_threshold.attack(view, LossThresholdParams()).threshold is None


def test_shadow_models_that_other_attacks_asked_for_change_nothing() -> None:
    view = planted(rows=100, shadow_models=8, shift=1.0, seed=2).view
    lab = Lab(candidates=view.lab.candidates[:0], members=view.lab.members[:0], population=view.lab.population[:0])
    first, alone = (
        loss_threshold.attack(one, LossThresholdParams()) for one in (view, view.model_copy(update={"lab": lab}))
    )
    assert torch.equal(first.score, alone.score)
    assert first.threshold == alone.threshold
