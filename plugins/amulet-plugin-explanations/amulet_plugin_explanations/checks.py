"""Checks of the attacks: planted populations are told apart; those that do not differ, or do not explain, are not."""

from collections.abc import Callable

import torch
from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.games.distribution import DistributionAnswer, DistributionView
from amulet_core.streams import isolated

from amulet_plugin_explanations import nearest_mean
from amulet_plugin_explanations.planted import Planted, planted

Attack = Callable[[DistributionView, NoParams], DistributionAnswer]

# 60 victims of each hypothesis, called by a fair coin: more than 77 of 120 have a probability below .001.
_CHANCE = 77


def attributions() -> tuple[Check, ...]:
    """Return the checks of the attack that reads attributions alone."""
    return _power(nearest_mean.attributions)


def released_outputs() -> tuple[Check, ...]:
    """Return the checks of the attack that reads all that is released."""
    attack = nearest_mean.released_outputs
    return (
        *_power(attack),
        Check(
            name="it is at chance on the same populations where they explain nothing",
            why="what it finds more in explained predictions is then what the explanations add",
            run=lambda: at_chance(attack, planted(0.5, twins=True, explains=False)),
        ),
        Check(
            name="it tells populations apart by predictions alone, where these differ",
            why="rows that do not explain are compared by this attack, too",
            run=lambda: has_power(attack, planted(0.5, twins=False, explains=False)),
        ),
    )


def has_power(attack: Attack, game: Planted) -> None:
    """Expect nine victims of ten to be called rightly."""
    right = called_rightly(attack, game)
    assert right >= 0.9 * len(game.second), f"{right} of {len(game.second)} victims were called rightly"


def at_chance(attack: Attack, game: Planted) -> None:
    """Expect as many right and wrong calls as a fair coin would give."""
    right, count = called_rightly(attack, game), len(game.second)
    assert count - _CHANCE <= right <= _CHANCE, f"{right} of {count} victims were called rightly"


def called_rightly(attack: Attack, game: Planted) -> int:
    """Count the victims that the attack calls rightly at its threshold."""
    answer = _answer(attack, game.view)
    if answer.threshold is None:
        raise ValueError("no threshold was fixed beforehand")
    return int(((answer.score >= answer.threshold) == game.second).sum())


def alone(attack: Attack, game: Planted) -> None:
    """Expect each victim to have the score by itself that it has among others."""
    together = _answer(attack, game.view).score
    for index, victim in enumerate(game.view.victims):
        score = _answer(attack, game.view.model_copy(update={"victims": (victim,)})).score
        assert torch.equal(score, together[index : index + 1]), f"{score.item()} alone, {together[index].item()} among"


def _power(attack: Attack) -> tuple[Check, ...]:
    return (
        Check(
            name="it tells populations apart by attributions where predictions tell nothing",
            why="an attack that fails where everything is told says nothing where it fails elsewhere",
            run=lambda: has_power(attack, planted(0.5, twins=True)),
        ),
        Check(
            name="it is at chance on populations that do not differ",
            why="where nothing is to be told, all that is found is the attack's own leak",
            run=lambda: at_chance(attack, planted(0.0, twins=True)),
        ),
        Check(
            name="it scores one victim as it does among many",
            why="a score made of the set of victims is of no use against a single model",
            run=lambda: alone(attack, planted(0.5, twins=True, victims=3)),
        ),
    )


def _answer(attack: Attack, view: DistributionView) -> DistributionAnswer:
    with isolated("check", "distribution inference"):
        return attack(view, NoParams())
