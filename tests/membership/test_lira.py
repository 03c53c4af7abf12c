"""LiRA against a closed form, a loop over candidates, planted victims, and degenerate shadow models."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from amulet_core.statistics.membership import auc, best_balanced_accuracy
from amulet_plugins_builtin.catalogue.membership import LiraParams, LossThresholdParams
from amulet_plugins_builtin.membership import lira, loss_threshold
from amulet_plugins_builtin.membership.planted import Planted, planted
from amulet_plugins_builtin.membership.shadows import threshold_from_plays


def area(scores: Tensor, member: Tensor) -> float:
    return auc(scores.numpy(), member.numpy()).estimate


def gaussian_confidences(*, rows: int, shadow_models: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Confidences of shadow models, who trained them, the victim's, its members: shifted by one sigma where trained."""
    draws = torch.Generator().manual_seed(seed)
    coins = torch.rand(shadow_models // 2, rows, generator=draws) < 0.5
    trained = torch.stack([coins, ~coins], 1).flatten(0, 1)
    member = torch.arange(rows) % 2 == 0
    ease = 3 * torch.randn(rows, generator=draws, dtype=torch.float64)
    noise = torch.randn(shadow_models + 1, rows, generator=draws, dtype=torch.float64)
    return ease + trained + noise[1:], trained, ease + member + noise[0], member


def two_sided(shadow: Tensor, trained: Tensor, observed: Tensor) -> Tensor:
    """The common mistake: the surprise under the OUT density, which an unsure victim also causes."""
    out = np.ma.masked_array(shadow.numpy(), trained.numpy())
    return torch.from_numpy(-norm.logpdf(observed.numpy(), out.mean(0).data, out.std(0, ddof=1).data))


def test_one_sided_offline_lira_has_the_known_auc_and_the_two_sided_density_loses_a_lot() -> None:
    parts = [gaussian_confidences(rows=10_000, shadow_models=128, seed=seed) for seed in range(16)]
    member = torch.cat([part[3] for part in parts])

    def scored(variance: lira.Variance) -> Tensor:
        return torch.cat([lira.score(*part[:3], mode="offline", variance=variance) for part in parts])

    # 64 OUT models a candidate. 160,000 candidates have a standard error of .0012, at the same draws for all three.
    assert area(scored("per-sample"), member) == pytest.approx(0.757, abs=0.003)
    exact = norm.cdf(1 / math.sqrt(2 * (1 + 1 / 64)))
    assert area(scored("shared"), member) == pytest.approx(exact, abs=0.003)
    wrong = area(torch.cat([two_sided(*part[:3]) for part in parts]), member)
    assert wrong == pytest.approx(0.633, abs=0.004)


def test_the_tail_is_scored_in_log_space_and_ranks_beyond_where_the_plain_tail_is_one() -> None:
    observed = torch.tensor([-60.0, -39.0, 8.3, 9.0, 20.0, 37.0], dtype=torch.float64)
    shadow = torch.tensor([[-1.0], [1.0]], dtype=torch.float64).repeat(2, 6)
    found = lira.score(shadow, torch.zeros(4, 6, dtype=torch.bool), observed, mode="offline", variance="shared")
    sigma = math.sqrt(4 / 3)
    assert set(norm.cdf(observed[3:].numpy() / sigma)[1:]) == {1.0}
    assert (found.diff() > 0).all()
    assert torch.isfinite(found).all()


def by_column(shadow: Tensor, trained: Tensor, observed: Tensor, *, mode: str, variance: str) -> list[float]:
    """Algorithm 1 written out candidate by candidate."""
    sides = [(shadow[:, i][trained[:, i]].numpy(), shadow[:, i][~trained[:, i]].numpy()) for i in range(len(observed))]

    def deviation(side: int, values: np.ndarray) -> float:
        if variance == "per-sample":
            return float(values.std(ddof=1))
        squares = sum(((pair[side] - pair[side].mean()) ** 2).sum() for pair in sides)
        return math.sqrt(squares / sum(len(pair[side]) - 1 for pair in sides))

    scores = []
    for (inside, outside), value in zip(sides, observed.tolist(), strict=True):
        out = norm(outside.mean(), deviation(1, outside))
        if mode == "offline":
            scores.append(float(out.logcdf(value)))
        else:
            scores.append(float(norm(inside.mean(), deviation(0, inside)).logpdf(value) - out.logpdf(value)))
    return scores


@pytest.mark.parametrize("mode", ["online", "offline"])
@pytest.mark.parametrize("variance", ["shared", "per-sample"])
def test_scores_equal_the_algorithm_written_out_candidate_by_candidate(mode: str, variance: str) -> None:
    shadow, trained, observed, _ = gaussian_confidences(rows=40, shadow_models=12, seed=3)
    # Unequal numbers of IN and OUT models in each column: each column's own mask must be used.
    trained = trained & (torch.rand(12, 40, generator=torch.Generator().manual_seed(1)) < 0.8)
    trained[:2], trained[2:4] = True, False
    found = lira.score(shadow, trained, observed, mode=mode, variance=variance)  # type: ignore[arg-type]
    expected = by_column(shadow, trained, observed, mode=mode, variance=variance)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_one_shadow_model_a_side_ranks_by_the_distance_of_the_means(mode: str) -> None:
    shadow, trained, observed, _ = gaussian_confidences(rows=50, shadow_models=2, seed=5)
    found = lira.score(shadow, trained, observed, mode=mode, variance="shared")  # type: ignore[arg-type]
    inside, outside = (torch.where(side, shadow, 0.0).sum(0) for side in (trained, ~trained))
    expected = ((observed - outside) ** 2 - (observed - inside) ** 2) / 2 if mode == "online" else observed - outside
    assert torch.isfinite(found).all()
    assert torch.equal(found.argsort(), expected.argsort())


@pytest.mark.parametrize("shadow_models", [2, 8, 64])
@pytest.mark.parametrize("mode", ["online", "offline"])
@pytest.mark.parametrize("variance", ["shared", "per-sample"])
def test_equal_models_score_every_candidate_alike(shadow_models: int, mode: str, variance: str) -> None:
    confidence = torch.randn(500, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 7
    coins = torch.rand(shadow_models // 2, 500, generator=torch.Generator().manual_seed(3)) < 0.5
    trained = torch.stack([coins, ~coins], 1).flatten(0, 1)
    shadow = confidence.expand(shadow_models, 500)
    found = lira.score(shadow, trained, confidence, mode=mode, variance=variance)  # type: ignore[arg-type]
    assert torch.isfinite(found).all()
    assert len(found.unique()) == 1
    assert area(found, trained[0]) == 0.5


def test_online_lira_beats_the_loss_where_some_rows_are_easier_than_others() -> None:
    game = planted(rows=4000, shadow_models=32, shift=1.5, difficulty=3.0, seed=1)
    found = auc(lira.attack(game.view, LiraParams(shadow_models=32)).score.numpy(), game.member.numpy(), level=0.999)
    loss = auc(loss_threshold.attack(game.view, LossThresholdParams()).score.numpy(), game.member.numpy(), level=0.999)
    assert found.low > loss.high


@pytest.mark.parametrize(
    ("shadow_models", "mode", "variance"),
    [(2, "offline", "shared"), (30, "offline", "shared"), (32, "online", "shared"), (64, "online", "per-sample")],
)
def test_auto_settles_mode_and_variance_by_the_number_of_shadow_models(
    shadow_models: int, mode: str, variance: str
) -> None:
    params = LiraParams(shadow_models=shadow_models)
    assert (lira.chosen_mode(params), lira.chosen_variance(params)) == (mode, variance)
    fixed = LiraParams(shadow_models=shadow_models, mode="online", variance="per-sample")
    assert (lira.chosen_mode(fixed), lira.chosen_variance(fixed)) == ("online", "per-sample")


def test_only_the_first_shadow_models_are_used() -> None:
    whole = planted(rows=200, shadow_models=16, shift=1.0, seed=4).view
    lab = whole.lab
    first = lab.model_copy(
        update={
            "candidates": lab.candidates[:6],
            "members": lab.members[:6],
            "population": lab.population[:6],
        }
    )
    params = LiraParams(shadow_models=6)
    found, expected = lira.attack(whole, params), lira.attack(whole.model_copy(update={"lab": first}), params)
    assert torch.equal(found.score, expected.score)
    assert found.threshold == expected.threshold


def test_the_threshold_fixed_on_shadow_models_is_nearly_as_good_as_the_best_in_hindsight() -> None:
    game = planted(rows=4000, shadow_models=16, shift=2.0, difficulty=2.0, seed=6)
    answer = lira.attack(game.view, LiraParams(shadow_models=16))
    assert answer.threshold is not None
    called = answer.score >= answer.threshold
    accuracy = (called[game.member].double().mean() + (~called)[~game.member].double().mean()) / 2
    best = best_balanced_accuracy(
        answer.score.numpy(), game.member.numpy(), permutations=20, generator=np.random.default_rng(0)
    )
    # The standard error of a balanced accuracy near .8 from 4,000 candidates is .006.
    assert accuracy.item() > best.balanced_accuracy - 0.02


def test_a_shadow_model_that_plays_the_victim_meets_neither_itself_nor_its_partner() -> None:
    members = planted(rows=100, shadow_models=12, shift=0.0, seed=7).view.lab.members
    played = []

    def play(victim: int, others: Tensor) -> Tensor:
        played.append((victim, others.tolist()))
        return members[victim].double()

    assert threshold_from_plays(play, members) == 1.0
    assert played == [(v, [k for k in range(12) if k not in {v - v % 2, v - v % 2 + 1}]) for v in range(8)]


def test_two_shadow_models_leave_nobody_to_fix_a_threshold_with() -> None:
    game = planted(rows=100, shadow_models=2, shift=1.0, seed=8)
    assert lira.attack(game.view, LiraParams(shadow_models=2)).threshold is None


def refusal(game: Planted, params: LiraParams) -> str:
    with pytest.raises(ValueError) as caught:
        lira.attack(game.view, params)
    return str(caught.value)


def test_too_few_shadow_models_are_refused() -> None:
    game = planted(rows=20, shadow_models=4, shift=1.0, seed=9)
    assert refusal(game, LiraParams(shadow_models=8)) == (
        "lira: 8 shadow models are needed but the lab has 4: lower shadow_models"
    )


@pytest.mark.parametrize(("mode", "filled", "side"), [("offline", True, "OUT"), ("online", False, "IN")])
def test_a_candidate_without_a_model_on_one_side_is_refused(mode: str, filled: bool, side: str) -> None:
    game = planted(rows=20, shadow_models=4, shift=1.0, seed=10)
    members = game.view.lab.members.clone()
    members[:, :3] = filled
    view = game.view.model_copy(update={"lab": game.view.lab.model_copy(update={"members": members})})
    params = LiraParams(shadow_models=4, mode=mode)  # type: ignore[arg-type]
    assert refusal(Planted(view, game.member), params) == (
        f"lira: 3 of 20 candidates are {side} none of the 4 shadow models; "
        "each candidate must train exactly half of them"
    )
