"""No attack finds what is not there: shuffled truth, planted safe victims, and the control."""

from collections.abc import Callable

import pytest
import torch

from amulet_core.components import NoParams
from amulet_core.games.membership import MembershipAnswer, MembershipView
from amulet_core.statistics.membership import auc
from amulet_core.streams import isolated
from amulet_plugins_builtin.catalogue.membership import LiraParams, LossThresholdParams, RmiaParams
from amulet_plugins_builtin.catalogue.membership_attacks import (
    ConfidenceAdversarialParams,
    EntropyParams,
    QuantileParams,
)
from amulet_plugins_builtin.membership import (
    confidence_adversarial,
    entropy,
    lira,
    loss_threshold,
    quantile,
    random_score,
    rmia,
)
from amulet_plugins_builtin.membership.planted import Planted, planted

ATTACKS: dict[str, Callable[[MembershipView], MembershipAnswer]] = {
    "lira, offline, shared": lambda view: lira.attack(view, LiraParams()),
    "lira, offline, per sample": lambda view: lira.attack(view, LiraParams(variance="per-sample")),
    "lira, online": lambda view: lira.attack(view, LiraParams(mode="online")),
    "rmia, online": lambda view: rmia.attack(view, RmiaParams()),
    "rmia, offline": lambda view: rmia.attack(view, RmiaParams(mode="offline")),
    "loss": lambda view: loss_threshold.attack(view, LossThresholdParams()),
    "entropy": lambda view: entropy.attack(view, EntropyParams()),
    "benign confidence": lambda view: confidence_adversarial.attack(view, ConfidenceAdversarialParams(inputs="benign")),
    "quantile": lambda view: quantile.attack(view, QuantileParams()),
    "random": lambda view: random_score.attack(view, NoParams()),
}


def scored(name: str, game: Planted, *, seed: int) -> MembershipAnswer:
    with isolated("test", seed):
        return ATTACKS[name](game.view)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ATTACKS)
def test_shuffled_truth_is_at_chance(name: str, seed: int) -> None:
    game = planted(rows=2000, shadow_models=8, shift=2.0, difficulty=2.0, seed=seed)
    shuffled = game.member[torch.randperm(2000, generator=torch.Generator().manual_seed(seed))]
    found = auc(scored(name, game, seed=seed).score.numpy(), shuffled.numpy(), level=0.999)
    assert found.low <= 0.5 <= found.high


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ATTACKS)
def test_a_planted_safe_victim_is_at_chance(name: str, seed: int) -> None:
    game = planted(rows=2000, shadow_models=8, shift=0.0, difficulty=2.0, seed=seed)
    found = auc(scored(name, game, seed=seed).score.numpy(), game.member.numpy(), level=0.999)
    assert found.low <= 0.5 <= found.high


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "random"])
def test_a_planted_leaky_victim_is_found_out(name: str) -> None:
    game = planted(rows=2000, shadow_models=8, shift=2.0, difficulty=2.0, seed=0)
    found = auc(scored(name, game, seed=0).score.numpy(), game.member.numpy(), level=0.999)
    assert found.low > 0.6


def test_the_control_knows_nothing_of_the_leakiest_victim() -> None:
    game = planted(rows=2000, shadow_models=8, shift=100.0, seed=0)
    answer = scored("random", game, seed=0)
    found = auc(answer.score.numpy(), game.member.numpy(), level=0.999)
    assert found.low <= 0.5 <= found.high
    assert answer.threshold == 0.5


@pytest.mark.parametrize("name", ATTACKS)
def test_equal_seeds_give_equal_bits(name: str) -> None:
    game = planted(rows=200, shadow_models=8, shift=1.0, seed=0)
    first, second = scored(name, game, seed=5), scored(name, game, seed=5)
    assert torch.equal(first.score, second.score)
    assert first.threshold == second.threshold


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "random"])
def test_attacks_that_need_no_draws_make_none_and_change_nothing_in_the_view(name: str) -> None:
    game, untouched = (planted(rows=200, shadow_models=8, shift=1.0, seed=0) for _ in range(2))
    before = torch.get_rng_state()
    ATTACKS[name](game.view)
    assert torch.equal(before, torch.get_rng_state())
    for field in ("y", "observed", "observed_population", "population_y"):
        assert torch.equal(getattr(game.view, field), getattr(untouched.view, field))
    for field in ("candidates", "members", "population"):
        assert torch.equal(getattr(game.view.lab, field), getattr(untouched.view.lab, field))
