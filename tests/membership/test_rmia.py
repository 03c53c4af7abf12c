"""RMIA against loops over all pairs, planted victims, and models that all agree."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from amulet_core.games.membership import MembershipView
from amulet_core.statistics.membership import auc
from amulet_plugins_builtin.catalogue.membership import LossThresholdParams, RmiaParams
from amulet_plugins_builtin.membership import loss_threshold, rmia
from amulet_plugins_builtin.membership.planted import planted


def of_the_label(logp: Tensor, y: Tensor) -> np.ndarray:
    """The probability of the true label, [models, n]."""
    p = logp.double().numpy()
    return np.exp(np.take_along_axis(p, y.numpy()[None, :, None], -1)[..., 0])


def double_loop(view: MembershipView, *, gamma: float, a: float | None) -> list[float]:
    """The published score, over plain probabilities, pair by pair."""
    x, z = of_the_label(view.lab.candidates, view.y), of_the_label(view.lab.population, view.population_y)
    x_victim = of_the_label(view.observed[None], view.y)[0]
    z_victim = of_the_label(view.observed_population[None], view.population_y)[0]
    trained = view.lab.members.numpy()

    def average(values: np.ndarray, inside: np.ndarray) -> float:
        return float(values.mean()) if a is None else ((1 + a) * float(values[~inside].mean()) + 1 - a) / 2

    nobody = np.zeros(len(z), dtype=bool)
    scores = []
    for i in range(len(x_victim)):
        ratio = x_victim[i] / average(x[:, i], trained[:, i])
        beaten = [ratio / (z_victim[j] / average(z[:, j], nobody)) >= gamma for j in range(len(z_victim))]
        scores.append(sum(beaten) / len(beaten))
    return scores


@pytest.mark.parametrize("gamma", [1.0, 1.3, 2.0, 10.0])
@pytest.mark.parametrize(("mode", "a"), [("online", 0.3), ("offline", 0.0), ("offline", 0.3), ("offline", 1.0)])
def test_scores_equal_the_double_loop_over_plain_probabilities_exactly(gamma: float, mode: str, a: float) -> None:
    view = planted(rows=60, shadow_models=8, shift=1.5, difficulty=2.0, population=70, seed=1).view
    params = RmiaParams(shadow_models=8, mode=mode, gamma=gamma, a=a)  # type: ignore[arg-type]
    found = rmia.attack(view, params).score.tolist()
    assert found == double_loop(view, gamma=gamma, a=None if mode == "online" else a)
    assert len(set(found)) > 1


@pytest.mark.parametrize("gamma", [1.0, 2.0, 3.0])
def test_a_ratio_of_exactly_gamma_counts_as_beaten(gamma: float) -> None:
    draws = torch.Generator().manual_seed(2)
    x = torch.randint(-3, 4, (40,), generator=draws).double()
    z = torch.randint(-3, 4, (50,), generator=draws).double() - math.log(gamma)
    expected = [sum(b <= a - math.log(gamma) for b in z.tolist()) / 50 for a in x.tolist()]
    strict = [sum(b < a - math.log(gamma) for b in z.tolist()) / 50 for a in x.tolist()]
    found = rmia.share_beaten(x, z, gamma=gamma).tolist()
    assert found == expected
    assert found != strict


def test_probabilities_too_small_for_a_double_still_have_a_ratio() -> None:
    shadow, observed = torch.full((4, 3), -2000.0).double(), torch.tensor([-3000.0, -2000.0, -1000.0]).double()
    found = rmia.log_ratio(shadow, torch.zeros(4, 3, dtype=torch.bool), observed, a=None)
    np.testing.assert_allclose(found.numpy(), [-1000.0, 0.0, 1000.0], atol=1e-9)


@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_models_that_all_agree_tell_nothing(gamma: float) -> None:
    game = planted(rows=400, shadow_models=6, shift=2.0, difficulty=3.0, seed=3)
    view, lab = game.view, game.view.lab
    same = view.model_copy(
        update={
            "lab": lab.model_copy(
                update={
                    "candidates": view.observed.expand_as(lab.candidates),
                    "population": view.observed_population.expand_as(lab.population),
                }
            )
        }
    )
    scores = rmia.attack(same, RmiaParams(shadow_models=6, gamma=gamma)).score
    assert len(scores.unique()) == 1
    assert auc(scores.numpy(), game.member.numpy()).estimate == 0.5


def test_rmia_beats_the_loss_where_some_rows_are_easier_than_others() -> None:
    game = planted(rows=4000, shadow_models=8, shift=1.5, difficulty=3.0, seed=4)
    member = game.member.numpy()
    found = auc(rmia.attack(game.view, RmiaParams()).score.numpy(), member, level=0.999)
    loss = auc(loss_threshold.attack(game.view, LossThresholdParams()).score.numpy(), member, level=0.999)
    assert found.low > loss.high


def test_auto_is_offline_where_some_candidate_has_models_on_one_side_only() -> None:
    view = planted(rows=50, shadow_models=4, shift=1.0, seed=5).view
    members = view.lab.members.clone()
    members[:, 0] = False
    partial = view.model_copy(update={"lab": view.lab.model_copy(update={"members": members})})
    auto, offline, online = (
        rmia.attack(partial if mode != "online" else view, RmiaParams(shadow_models=4, mode=mode)).score  # type: ignore[arg-type]
        for mode in ("auto", "offline", "online")
    )
    assert torch.equal(auto, offline)
    assert torch.equal(rmia.attack(view, RmiaParams(shadow_models=4)).score, online)


def test_auto_asks_for_both_sides_among_the_models_that_it_uses_alone() -> None:
    """The first candidate has no IN model among the first four, and two among the next."""
    view = planted(rows=50, shadow_models=8, shift=1.0, seed=8).view
    members = view.lab.members.clone()
    members[:4, 0] = False
    wide = view.model_copy(update={"lab": view.lab.model_copy(update={"members": members})})
    auto, offline = (
        rmia.attack(wide, RmiaParams(shadow_models=4, mode=mode)).score  # type: ignore[arg-type]
        for mode in ("auto", "offline")
    )
    assert torch.equal(auto, offline)


def test_an_empty_population_is_refused() -> None:
    view = planted(rows=50, shadow_models=4, shift=1.0, population=0, seed=6).view
    with pytest.raises(ValueError, match="rmia") as caught:
        rmia.attack(view, RmiaParams(shadow_models=4))
    assert str(caught.value) == (
        "rmia: the adversary has no population rows to compare candidates with: raise population"
    )


def test_too_few_shadow_models_are_refused() -> None:
    view = planted(rows=50, shadow_models=4, shift=1.0, seed=7).view
    with pytest.raises(ValueError, match="rmia") as caught:
        rmia.attack(view, RmiaParams(shadow_models=6))
    assert str(caught.value) == "rmia: 6 shadow models are needed but the lab has 4: lower shadow_models"
