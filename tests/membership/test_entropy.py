"""The modified entropy against its definition in extended precision, and the thresholds of each class."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import log_softmax

from amulet_core.games.membership import MembershipAnswer
from amulet_core.statistics.membership import auc
from amulet_plugins_builtin.catalogue.membership_attacks import EntropyParams
from amulet_plugins_builtin.membership import entropy
from amulet_plugins_builtin.membership.planted import planted
from amulet_plugins_builtin.membership.shadows import most_accurate_threshold


def test_the_entropy_is_the_definition_in_extended_precision() -> None:
    logp = log_softmax(torch.randn(3, 40, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3, -1)
    y = torch.arange(40) % 5
    p = np.exp(logp.numpy().astype(np.longdouble))
    true = np.eye(5, dtype=bool)[y.numpy()]
    exact = np.where(true, -(1 - p) * np.log(p), -p * np.log(1 - p)).sum(-1)
    found = entropy.log_modified_entropy(logp, y).exp()
    np.testing.assert_allclose(found.numpy(), exact.astype(np.float64), rtol=1e-12)


@pytest.mark.parametrize("odds", [-600.0, -30.0, -1.0, 0.0, 2.0, 40.0, 300.0])
def test_with_two_classes_it_is_twice_the_true_labels_term(odds: float) -> None:
    logp = log_softmax(torch.tensor([[0.0, odds]], dtype=torch.float64), 1)
    found = entropy.log_modified_entropy(logp, torch.tensor([1])).item()
    # -2 (1 - p) log p, where 1 - p = 1 / (1 + e^o) and -log p = log(1 + e^-o).
    rest, surprise = np.logaddexp(0.0, odds), np.logaddexp(0.0, -odds)
    exact = math.log(2) - rest + (math.log(surprise) if odds < 300 else -odds)
    assert found == pytest.approx(exact, rel=1e-9, abs=1e-9)


def test_rows_that_are_sure_beyond_float32_keep_their_order() -> None:
    margins = torch.tensor([20.0, 30.0, 40.0, 100.0])
    logp = log_softmax(torch.stack([margins, torch.zeros(4)], 1), 1)
    assert (entropy.log_modified_entropy(logp, torch.zeros(4, dtype=torch.int64)).diff() < -1).all()


def test_certainty_is_finite_at_both_ends_and_the_wrong_kind_is_the_largest() -> None:
    inf = float("inf")
    logp = torch.tensor([[0.0, -inf], [math.log(0.5), math.log(0.5)], [-inf, 0.0]])
    found = entropy.log_modified_entropy(logp, torch.zeros(3, dtype=torch.int64))
    assert torch.isfinite(found).all()
    assert (found.diff() > 0).all()


def test_each_class_has_the_threshold_that_is_most_accurate_on_shadow_models() -> None:
    view = planted(rows=400, shadow_models=4, shift=2.0, class_offset=3.0, seed=1).view
    found = entropy.attack(view, EntropyParams(shadow_models=4)).score
    shadow = -entropy.log_modified_entropy(view.lab.candidates, view.y)
    for label in (0, 1):
        own = view.y == label
        threshold = most_accurate_threshold(shadow[:, own].flatten(), view.lab.members[:, own].flatten())
        alone = -entropy.log_modified_entropy(view.observed, view.y)[own]
        assert torch.equal(found[own] >= 0, alone >= threshold)


def test_class_thresholds_find_members_that_one_threshold_does_not() -> None:
    game = planted(rows=4000, shadow_models=8, shift=2.0, class_offset=5.0, seed=2)
    answer = entropy.attack(game.view, EntropyParams())
    single = MembershipAnswer(score=-entropy.log_modified_entropy(game.view.observed, game.view.y))
    found, other = (auc(one.score.numpy(), game.member.numpy(), level=0.999) for one in (answer, single))
    assert found.low > other.high
    accuracy = ((answer.score >= answer.threshold) == game.member).double().mean().item()
    # The best threshold of each class is right with probability Phi(1); four standard errors, and its own error.
    assert accuracy == pytest.approx(0.8413, abs=0.03)


def test_too_few_shadow_models_are_refused() -> None:
    view = planted(rows=50, shadow_models=4, shift=1.0, seed=3).view
    with pytest.raises(ValueError, match="entropy") as caught:
        entropy.attack(view, EntropyParams(shadow_models=6))
    assert str(caught.value) == "entropy: 6 shadow models are needed but the lab has 4: lower shadow_models"
