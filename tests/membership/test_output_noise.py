"""Output noise: labels stay, equal queries get equal answers, budgets are kept, and scores tell no more than labels."""

import pytest
import torch
from torch import Tensor

from amulet_core.components import NoParams
from amulet_core.games.membership import MembershipView
from amulet_core.performing.recipes import Deployed
from amulet_core.statistics.membership import auc
from amulet_core.victims import WhiteBox, logits_of
from amulet_plugins_builtin.catalogue.membership import LiraParams, LossThresholdParams, RmiaParams
from amulet_plugins_builtin.catalogue.membership_attacks import EntropyParams, QuantileParams
from amulet_plugins_builtin.catalogue.membership_defenses import OutputNoiseParams
from amulet_plugins_builtin.membership import entropy, gap, lira, loss_threshold, output_noise, quantile, rmia
from amulet_plugins_builtin.membership.output_noise import release
from amulet_plugins_builtin.membership.planted import planted
from amulet_plugins_builtin.membership.planted_models import memoriser

FULL = OutputNoiseParams()


def probabilities(classes: int, *, rows: int = 4000, scale: float = 3.0) -> Tensor:
    draws = torch.Generator().manual_seed(classes)
    return torch.softmax(scale * torch.randn(rows, classes, generator=draws), 1)


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
@pytest.mark.parametrize("scale", [0.0, 1e-4, 3.0, 40.0])
@pytest.mark.parametrize("budget", [0.3, 2.0])
def test_every_row_keeps_its_predicted_class_and_stays_a_probability(classes: int, scale: float, budget: float) -> None:
    given = probabilities(classes, rows=500, scale=scale)
    found = release(given, OutputNoiseParams(budget=budget))
    assert found.dtype == torch.float32
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum(1), torch.ones(500), rtol=0, atol=1e-5)
    assert torch.equal(found.argmax(1), given.argmax(1))
    assert torch.equal(found.log().argmax(1), given.argmax(1))


def test_the_same_row_gets_the_same_answer_whatever_is_asked_with_it() -> None:
    given = probabilities(5, rows=200)
    found = release(given, FULL)
    assert torch.equal(release(given[7:9], FULL), found[7:9])
    assert torch.equal(release(given.flip(0), FULL).flip(0), found)
    rounding = given * (1 + 1e-7)
    alike = (release(rounding, FULL) == found).all(1).double().mean()
    assert alike > 0.98


def test_the_noise_is_uniform_on_the_simplex_where_the_class_is_the_largest() -> None:
    found = release(probabilities(3, rows=20_000), FULL)
    top = found.amax(1).double()
    # The largest of three uniform spacings has mean (1 + 1/2 + 1/3) / 3 and mean square 85/216 - its variance is known
    # by simulation to be below .014, so four standard errors are .0034.
    assert top.mean().item() == pytest.approx(11 / 18, abs=0.0034)
    others = (found.sort(1).values[:, 0]).double()
    assert others.mean().item() == pytest.approx(1 / 9, abs=0.0034)
    given = probabilities(3, rows=20_000).amax(1).double()
    assert torch.corrcoef(torch.stack([given, top]))[0, 1].abs() < 4 / 20_000**0.5


@pytest.mark.parametrize("budget", [0.1, 0.5, 1.0])
def test_the_expected_distance_is_the_budget_where_noise_is_farther_away(budget: float) -> None:
    given = probabilities(10, rows=20_000, scale=40.0)
    distance = (release(given, OutputNoiseParams(budget=budget)) - given).abs().sum(1).double()
    error = distance.std().item() / 20_000**0.5
    assert distance.mean().item() == pytest.approx(budget, abs=4 * error)


def test_noise_that_would_tie_the_predicted_class_is_not_released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_noise, "_uniform", lambda p: torch.full((len(p), p.shape[1] + 1), 0.5).double())
    given = torch.tensor([[0.2, 0.1, 0.7], [0.6, 0.3, 0.1]])
    tied = torch.full((3,), 1 / 3)
    torch.testing.assert_close(release(given, FULL), torch.stack([given[0], tied]))


def test_rows_with_the_same_probabilities_in_another_order_get_other_noise() -> None:
    found = release(torch.tensor([[0.7, 0.2, 0.1], [0.7, 0.1, 0.2]]), FULL)
    assert not torch.equal(found[0].sort().values, found[1].sort().values)


SCORERS = {
    "loss": lambda view: loss_threshold.attack(view, LossThresholdParams()),
    "lira": lambda view: lira.attack(view, LiraParams()),
    "rmia": lambda view: rmia.attack(view, RmiaParams()),
    "entropy": lambda view: entropy.attack(view, EntropyParams()),
    "quantile": lambda view: quantile.attack(view, QuantileParams()),
}


def behind(view: MembershipView, wrap) -> MembershipView:
    """The same view where victim and shadow models are all behind a wrapper."""

    def wrapped(logp: Tensor) -> Tensor:
        return wrap(logp.exp().flatten(0, -2)).log().reshape(logp.shape)

    lab = view.lab.model_copy(
        update={"candidates": wrapped(view.lab.candidates), "population": wrapped(view.lab.population)}
    )
    seen = {name: wrapped(getattr(view, name)) for name in ("observed", "observed_population")}
    return view.model_copy(update={"lab": lab, **seen})


def labels_alone(given: Tensor) -> Tensor:
    return 0.8 * torch.nn.functional.one_hot(given.argmax(1), 2).float() + 0.1


@pytest.mark.parametrize("name", SCORERS)
def test_attacks_on_scores_drop_to_what_labels_tell_them_adaptive_ones_too(name: str) -> None:
    game = planted(rows=6000, shadow_models=8, shift=2.0, difficulty=2.0, seed=1)
    views = {
        "open": game.view,
        "noisy": behind(game.view, lambda p: release(p, FULL)),
        "labels": behind(game.view, labels_alone),
    }
    found = {
        key: auc(SCORERS[name](view).score.numpy(), game.member.numpy(), level=0.999) for key, view in views.items()
    }
    assert found["noisy"].high < found["open"].low
    assert found["noisy"].low <= found["labels"].high


def test_an_adversary_who_tabulates_the_noise_reads_the_margins_of_two_classes_back() -> None:
    """What the defense does not protect against: the noise is a public function, which two classes let one invert."""
    draws = torch.Generator().manual_seed(3)
    member = torch.arange(4000) < 2000
    margin = 2 * torch.randn(4000, generator=draws) + torch.where(member, 5.0, 3.0)

    def answered(odds: Tensor) -> Tensor:
        return release(torch.softmax(torch.stack([torch.zeros_like(odds), odds], 1), 1), FULL)

    grid = torch.linspace(-6, 14, 100_000)
    table = dict(zip(map(tuple, answered(grid).tolist()), grid.tolist(), strict=True))
    released = answered(margin)
    found = torch.tensor([table.get((a, b), 0.0) for a, b in released.tolist()])
    assert (found - margin).abs().quantile(0.9) < 0.02
    area = {
        name: auc(score.numpy(), member.numpy(), level=0.999)
        for name, score in {"open": margin, "noisy": released[:, 1], "inverted": found}.items()
    }
    assert area["inverted"].low > area["noisy"].high
    assert area["inverted"].estimate == pytest.approx(area["open"].estimate, abs=0.01)


def test_the_gap_attack_finds_as_much_behind_the_noise_as_without_it() -> None:
    game = memoriser(rows=1000, classes=4, seed=2)
    assert isinstance(game.view.model, WhiteBox)
    bare = game.view.model.module
    deployed = Deployed(bare, [lambda p: release(p, FULL)])
    noisy = game.view.model_copy(update={"model": WhiteBox(deployed)})
    found = gap.attack(noisy, NoParams()).score
    assert torch.equal(found, gap.attack(game.view, NoParams()).score)
    assert auc(found.numpy(), game.member.numpy()).estimate > 0.8
    assert not torch.equal(logits_of(deployed, game.view.x), logits_of(bare, game.view.x))
