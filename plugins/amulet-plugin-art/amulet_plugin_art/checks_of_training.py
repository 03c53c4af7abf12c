"""Power checks of the attacks that train: a planted backdoor, a copied habit, and what must not be learnt."""

from functools import partial
from typing import Final

import torch
from amulet_core.checks import Check
from amulet_core.games.poisoning import PoisoningAnswer, PoisoningView
from amulet_core.games.theft import TheftView
from amulet_core.oracles import BudgetOracle
from amulet_core.settings import TrainingSettings
from amulet_core.streams import isolated
from torch import Tensor, nn

from amulet_plugin_art import planted, poisoning, theft
from amulet_plugin_art.settings import CleanLabelParams, CopycatParams

_POWER: Final = "an attack without power makes every defense look good"
_SAFE: Final = "what is found where there is nothing to find is the attack's own mistake"


def clean_label_checks() -> tuple[Check, ...]:
    """Return the checks of ``clean-label-backdoor``."""
    return (
        Check(
            "a network trained on its rows answers the target on marked images, one trained on clean rows does not",
            _POWER,
            partial(plants_a_backdoor, CleanLabelParams()),
        ),
        Check(
            "it replaces as many rows as it may, all of the target class, and keeps their labels",
            "a label that changes is another attack, and an unspent budget understates the risk",
            partial(keeps_labels, CleanLabelParams(steps=2, proxy_epochs=2)),
        ),
    )


def copycat_checks() -> tuple[Check, ...]:
    """Return the checks of ``copycat``."""
    return (
        Check(
            "the copy of a victim with habits of its own agrees with it, whatever the true labels",
            _POWER,
            partial(copies_habits, CopycatParams()),
        ),
        Check(
            "a victim without any rule cannot be copied",
            _SAFE,
            partial(learns_nothing_of_a_whim, CopycatParams()),
        ),
        Check(
            "it asks as often as the budget allows",
            "fewer queries understate the risk; more are no theft by the rules",
            partial(spends_its_budget, CopycatParams(epochs=1)),
        ),
    )


def _poisoned(params: CleanLabelParams, *, budget: int) -> tuple[PoisoningView, PoisoningAnswer]:
    x, y = planted.images(300, seed=5)
    test, _ = planted.images(150, seed=6)
    view = PoisoningView(x=x, y=y, budget=budget, target=0, test_x=test, data_schema=planted.IMAGES)
    with isolated("check"):
        return view, poisoning.clean_label_backdoor(view, params)


def plants_a_backdoor(params: CleanLabelParams) -> None:
    """Train on the poisoned and on the clean rows, and compare how often the target is answered on marked images."""
    view, answer = _poisoned(params, budget=60)
    x, y = view.x.clone(), view.y.clone()
    x[answer.rows], y[answer.rows] = answer.x, answer.y
    other = planted.images(150, seed=6)[1] != view.target
    rates = []
    for rows, labels in ((x, y), (view.x, view.y)):
        with isolated("check", "train"):
            model = planted.taught(rows, labels, classes=3)
        rates.append(float((model(answer.triggered).argmax(1) == view.target)[other].float().mean()))
    poisoned, clean = rates
    assert poisoned > clean + 0.3, (
        f"the success rate is {poisoned:.2f}, on the clean model {clean:.2f}, expected .3 more"
    )


def keeps_labels(params: CleanLabelParams) -> None:
    """Count the rows that are replaced, and compare their labels."""
    for budget, expected in ((60, 60), (200, 100), (0, 0)):
        view, answer = _poisoned(params, budget=budget)
        own = int((view.y[answer.rows] == view.target).sum())
        assert (len(answer.rows), own) == (expected, expected), (
            f"with a budget of {budget}, {len(answer.rows)} rows are replaced, {own} of them of the target class; "
            f"expected {expected} and {expected}"
        )
        changed = int((answer.y != view.y[answer.rows]).sum())
        assert not changed, f"{changed} labels changed, expected 0"


def _theft(victim: nn.Module, *, budget: int) -> TheftView:
    x, y = planted.images(300, seed=7)

    def architecture() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 3))

    return TheftView(
        model=BudgetOracle(victim, tells="labels", top_k=1, budget=budget),
        budget=budget,
        x=x,
        y=y,
        architecture=architecture,
        settings=TrainingSettings(epochs=20, batch_size=32, learning_rate=0.01),
        data_schema=planted.IMAGES,
    )


def _agreement(params: CopycatParams, victim: nn.Module) -> tuple[float, float]:
    """Return how often a stolen model agrees with its victim on fresh rows, and how often the commonest comes."""
    with isolated("check"):
        stolen = theft.copycat(_theft(victim, budget=300), params).model
    x, _ = planted.images(600, seed=8)
    answers = victim(x).argmax(1)
    return float((stolen(x).argmax(1) == answers).float().mean()), float(answers.bincount().max() / len(x))


class Contrary(nn.Module):
    """A victim that labels each image one class further than the truth."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, 3]``."""
        level = ((x[:, :, :4, :4].mean((1, 2, 3)) + 0.5) / 0.375).round().long().clamp(0, 2)
        return 4 * nn.functional.one_hot((level + 1) % 3, 3).float()


class Whim(nn.Module):
    """A victim that answers each image by a hash of its pixels."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, 3]``."""
        place = (torch.sin(9173.0 * x.double().flatten(1).sum(1)) * 43758.5453).frac().abs()
        return 4 * nn.functional.one_hot((3 * place).long().clamp(0, 2), 3).float()


def copies_habits(params: CopycatParams) -> None:
    """Steal a victim whose answers are never the true labels."""
    found, _ = _agreement(params, Contrary())
    assert found > 0.8, f"the stolen model agrees on {found:.2f} of the rows, expected more than .8"


def learns_nothing_of_a_whim(params: CopycatParams) -> None:
    """Steal a victim that follows no rule."""
    found, commonest = _agreement(params, Whim())
    assert found < commonest + 0.1, f"the stolen model agrees on {found:.2f} of the rows, chance is {commonest:.2f}"


def spends_its_budget(params: CopycatParams) -> None:
    """Count the queries for a small budget, and for one that is more than the thief has rows."""
    for budget, expected in ((40, 40), (1000, 300)):
        view = _theft(Contrary(), budget=budget)
        with isolated("check"):
            theft.copycat(view, params)
        assert view.model is not None
        found = view.model.queries
        assert found == expected, f"{found} queries of a budget of {budget} were asked, expected {expected}"
