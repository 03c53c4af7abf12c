"""The whole game on victims whose leak is known by construction: memorisers of random labels, and a constant model."""

import pytest
import torch
from torch import Tensor, nn

from amulet_core.components import NoParams
from amulet_core.data import make_data
from amulet_core.games import membership as game
from amulet_core.games.contest import Bank, Contest
from amulet_core.games.threats import MembershipThreat
from amulet_core.performing.splits import halves
from amulet_core.schema import DataSchema, Feasible
from amulet_core.statistics.membership import auc
from amulet_core.victims import logits_of
from amulet_plugins_builtin.catalogue.membership import LiraParams, LossThresholdParams, RmiaParams
from amulet_plugins_builtin.catalogue.membership_attacks import EntropyParams, QuantileParams
from amulet_plugins_builtin.membership import entropy, gap, lira, loss_threshold, quantile, random_score, rmia

ROWS, AUX, PAIRS = 2000, 300, 5
THREAT = MembershipThreat()


class NearestNeighbour(nn.Module):
    """Predicts the label of the nearest training row, surely; or surely at distance 0 and uniformly elsewhere."""

    def __init__(self, x: Tensor, y: Tensor, classes: int, *, only_at_zero: bool) -> None:
        super().__init__()
        self.x, self.one_hot, self.only_at_zero = x, nn.functional.one_hot(y, classes).float(), only_at_zero

    def forward(self, x: Tensor) -> Tensor:
        distance, nearest = torch.cdist(x, self.x, compute_mode="donot_use_mm_for_euclid_dist").min(1)
        sure = (distance == 0).float()[:, None] if self.only_at_zero else 1.0
        return 30.0 * sure * self.one_hot[nearest]


class Constant(nn.Module):
    """Gives every input the same logits."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(len(x), -1)


def contest(build: str, *, classes: int, seed: int = 0) -> Contest:
    """A victim and shadow models of one kind, each fitted to its half; the victim's partner is left out."""
    schema = DataSchema(
        modality="tabular",
        shape=(3,),
        classes=tuple(str(c) for c in range(classes)),
        feasible=Feasible(low=0.0, high=1.0),
    )
    draws = torch.Generator().manual_seed(seed)
    x = torch.rand(ROWS + AUX, 3, generator=draws)
    y = torch.randint(0, classes, (ROWS + AUX,), generator=draws)
    # Equally many candidates of every class, an even number: halves are then exactly stratified.
    y[:ROWS] = (torch.arange(ROWS) % classes)[torch.randperm(ROWS, generator=draws)]
    rows = make_data(x, y, schema)
    pool, aux = rows.take(torch.arange(ROWS)), rows.take(torch.arange(ROWS, ROWS + AUX))
    masks = halves(pool.id, pool.y, pairs=PAIRS, seed=seed)

    def model(mask: Tensor) -> nn.Module:
        if build == "constant":
            return Constant(torch.linspace(0, 2, classes))
        return NearestNeighbour(x[:ROWS][mask], y[:ROWS][mask], classes, only_at_zero=build == "confident at zero")

    shadows = [model(mask) for mask in masks[2:]]
    bank = Bank(
        pool=torch.stack([logits_of(shadow, pool.x) for shadow in shadows]),
        members=masks[2:],
        population=torch.stack([logits_of(shadow, aux.x) for shadow in shadows]),
        adaptive=True,
    )
    victim = model(masks[0])
    return Contest(
        model=victim, beneath=victim, pool=pool, member=masks[0], test=aux, aux=aux, bank=bank, draws=("test", seed)
    )


def area_of(played: Contest, score: Tensor, view: game.MembershipView) -> float:
    result = game.judge(played, game.MembershipAnswer(score=score), THREAT)
    return auc(result.score.numpy(), result.member.numpy()).estimate


@pytest.mark.parametrize("classes", [2, 10])
def test_the_gap_attack_on_a_nearest_neighbour_memoriser_has_the_known_auc(classes: int) -> None:
    played = contest("nearest", classes=classes)
    view = game.view(played, THREAT, "labels")
    answer = gap.attack(view, NoParams())
    # The AUC is 1 - (share of non-members guessed right) / 2, a share of 1,000 with mean 1 / classes.
    error = (1 / classes * (1 - 1 / classes) / (ROWS / 2)) ** 0.5 / 2
    assert answer.threshold == 0.5
    assert area_of(played, answer.score, view) == pytest.approx(1 - 1 / (2 * classes), abs=4 * error)


@pytest.mark.parametrize("classes", [2, 10])
def test_a_memoriser_that_is_sure_only_of_its_rows_is_found_out_wholly(classes: int) -> None:
    played = contest("confident at zero", classes=classes)
    view = game.view(played, THREAT, "probabilities")
    result = game.judge(played, entropy.attack(view, EntropyParams()), THREAT)
    assert torch.equal(result.score >= result.threshold, result.member)
    for score in (
        loss_threshold.attack(view, LossThresholdParams()).score,
        lira.attack(view, LiraParams()).score,
        lira.attack(view, LiraParams(mode="online")).score,
        lira.attack(view, LiraParams(mode="online", variance="per-sample")).score,
        rmia.attack(view, RmiaParams(gamma=1.2)).score,
        entropy.attack(view, EntropyParams()).score,
        quantile.attack(view, QuantileParams()).score,
    ):
        assert area_of(played, score, view) == 1.0


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("shadow_models", [2, 8])
def test_a_constant_model_is_at_chance_without_a_nan(classes: int, shadow_models: int) -> None:
    played = contest("constant", classes=classes)
    view = game.view(played, THREAT, "probabilities")
    answers = (
        loss_threshold.attack(view, LossThresholdParams()),
        lira.attack(view, LiraParams(shadow_models=shadow_models)),
        lira.attack(view, LiraParams(shadow_models=shadow_models, mode="online")),
        lira.attack(view, LiraParams(shadow_models=shadow_models, mode="online", variance="per-sample")),
        rmia.attack(view, RmiaParams(shadow_models=shadow_models)),
        rmia.attack(view, RmiaParams(shadow_models=shadow_models, mode="offline", gamma=1.0)),
        entropy.attack(view, EntropyParams(shadow_models=shadow_models)),
        gap.attack(game.view(played, THREAT, "labels"), NoParams()),
    )
    for answer in answers:
        assert area_of(played, answer.score, view) == pytest.approx(0.5, abs=1e-12)


def test_the_control_plays_without_any_model() -> None:
    played = contest("confident at zero", classes=2)
    view = game.view(played, THREAT, "none")
    found = area_of(played, random_score.attack(view, NoParams()).score, view)
    # Four standard errors of chance with 1,000 of each.
    assert found == pytest.approx(0.5, abs=4 * (2 / 12 / 1000) ** 0.5)


def test_the_gap_attack_needs_a_model_to_ask() -> None:
    view = game.view(contest("constant", classes=2), THREAT, "none")
    with pytest.raises(TypeError, match="gap") as caught:
        gap.attack(view, NoParams())
    assert str(caught.value) == "gap asks for labels: it needs a view with a model"
