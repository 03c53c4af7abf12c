"""Checks of distribution inference: planted populations are told apart, planted safe ones are not; known answers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.games.distribution import DistributionAnswer, DistributionResult, DistributionView
from amulet_core.statistics.proportions import clopper_pearson
from amulet_core.streams import isolated
from amulet_core.vocabulary import Access
from amulet_plugins_builtin.catalogue.distribution import PimParams
from amulet_plugins_builtin.distribution import accuracies
from amulet_plugins_builtin.distribution import kl_test as kl
from amulet_plugins_builtin.distribution import metric as measuring
from amulet_plugins_builtin.distribution import pim as meta
from amulet_plugins_builtin.distribution import random_hypothesis as control
from amulet_plugins_builtin.distribution.planted import Planted, calls, planted, telling_outputs, telling_weights

Attack = Callable[[DistributionView, Any], DistributionAnswer]

_SAFE = "where nothing is to be told, all that is found is the attack's own leak"
_KNOWN = {1: 0.7, 10: 0.9376, 20: 0.9840}
"""Best accuracies from so many samples of shares 0.5 and 0.1."""


def loss_test() -> tuple[Check, ...]:
    """Return the checks of the loss test."""
    return _power(accuracies.loss_test, NoParams(), telling_outputs, leak=0.5, access="labels")


def threshold_test() -> tuple[Check, ...]:
    """Return the checks of the threshold test."""
    return _power(accuracies.threshold_test, NoParams(), telling_outputs, leak=0.5, access="labels")


def kl_test() -> tuple[Check, ...]:
    """Return the checks of the KL test."""
    return (
        *_power(kl.attack, NoParams(), telling_outputs, leak=0.5, access="probabilities"),
        Check(
            name="its divergence is that of a fair coin from a coin of 0.9: 0.5108",
            why="another divergence is another attack",
            run=_coins,
        ),
    )


def pim() -> tuple[Check, ...]:
    """Return the checks of the meta-classifier."""
    return (
        *_power(meta.attack, PimParams(), telling_weights, leak=4.0, access="white-box"),
        Check(
            name="neurons that change places change no score",
            why="the order of neurons says nothing of the training rows",
            run=_neurons_change_places,
        ),
    )


def random_hypothesis() -> tuple[Check, ...]:
    """Return the checks of the control."""
    return (
        Check(
            name="it finds nothing in populations that are far apart",
            why="a control that knows something is no floor",
            run=lambda: _at_chance(control.attack, NoParams(), planted(telling_outputs, 0.5, access="none")),
        ),
    )


def metric() -> tuple[Check, ...]:
    """Return the checks of the metric."""
    return (
        Check(
            name="1, 10 and 20 samples of shares 0.5 and 0.1 give accuracies 0.7, 0.9376 and 0.984, and back",
            why="n-leaked is the inverse of a closed form",
            run=_known_answers,
        ),
        Check(
            name="7 of 10 victims called rightly have the interval, the number of samples and the bound known",
            why="an interval of another level, or a bound of another formula, is another finding",
            run=_seven_of_ten,
        ),
        Check(
            name="victims that were all called wrongly leak nothing",
            why="an accuracy below 1/2 is worth no sample",
            run=_nothing_leaked,
        ),
    )


def _power(
    attack: Attack, params: Any, plant: Callable[..., nn.Module], *, leak: float, access: Access
) -> tuple[Check, ...]:
    return (
        Check(
            name="it tells planted populations apart, nine victims of ten or more",
            why="an attack that fails where everything is told says nothing where it fails elsewhere",
            run=lambda: _has_power(attack, params, planted(plant, leak, access=access, victims=30)),
        ),
        Check(
            name="it is at chance on populations that do not differ",
            why=_SAFE,
            run=lambda: _at_chance(attack, params, planted(plant, 0.0, access=access)),
        ),
        Check(
            name="it scores one victim as it does among many",
            why="a score made of the set of victims is of no use against a single model",
            run=lambda: _alone(attack, params, planted(plant, leak, access=access, victims=3)),
        ),
    )


def _answer(attack: Attack, params: Any, view: DistributionView) -> DistributionAnswer:
    with isolated("check", "distribution inference"):
        return attack(view, params)


def _has_power(attack: Attack, params: Any, game: Planted) -> None:
    answer = _answer(attack, params, game.view)
    right = calls(answer.score, answer.threshold, game.second)
    assert right >= 0.9 * len(game.second), f"{right} of {len(game.second)} victims were called rightly"


def _at_chance(attack: Attack, params: Any, game: Planted) -> None:
    answer = _answer(attack, params, game.view)
    right = calls(answer.score, answer.threshold, game.second)
    found = clopper_pearson(right, len(game.second), level=0.999)
    assert found.low <= 0.5 <= found.high, f"{right} of {len(game.second)} victims were called rightly"


def _alone(attack: Attack, params: Any, game: Planted) -> None:
    together = _answer(attack, params, game.view).score
    for index, victim in enumerate(game.view.victims):
        alone = _answer(attack, params, game.view.model_copy(update={"victims": (victim,)})).score
        assert torch.equal(alone, together[index : index + 1]), f"{alone.item()} alone, {together[index].item()} among"


def _coins() -> None:
    coin = torch.tensor([[[0.5, 0.5]], [[0.9, 0.1]]], dtype=torch.float64).log()
    found = kl.divergences(coin, coin)
    # log(1 / (2 sqrt(.9 * .1))) and .9 log(1.8) + .1 log(.2)
    expected = torch.tensor([[0.0, 0.510826], [0.368064, 0.0]], dtype=torch.float64)
    assert torch.allclose(found, expected, atol=1e-6), f"found {found.tolist()}, expected {expected.tolist()}"


def _neurons_change_places() -> None:
    game = planted(telling_weights, 4.0, access="white-box", victims=2, models=3)
    before = _answer(meta.attack, PimParams(), game.view).score
    for victim in game.view.victims:
        _shuffle(victim.module)  # type: ignore[union-attr]
    after = _answer(meta.attack, PimParams(), game.view).score
    assert torch.allclose(before, after, atol=1e-5), f"{before.tolist()} before, {after.tolist()} after"


def _shuffle(network: nn.Module) -> None:
    order: Tensor = torch.tensor([3, 0, 5, 1, 4, 2])
    state = network.state_dict()
    for name in ("0.weight", "0.bias"):
        state[name].copy_(state[name][order].clone())
    state["2.weight"].copy_(state["2.weight"][:, order].clone())


def _known_answers() -> None:
    for samples, expected in _KNOWN.items():
        accuracy = measuring.best_accuracy(0.5, 0.1, samples)
        assert abs(accuracy - expected) < 5e-5, f"{samples} samples: found {accuracy:.4f}, expected {expected}"
        back = measuring.n_leaked_exact(accuracy, 0.5, 0.1)
        assert back == samples, f"an accuracy of {accuracy:.4f} leaks {back} samples, expected {samples}"


def _seven_of_ten() -> None:
    """Compare with the quantiles of Beta(7, 4) and Beta(8, 3), one coin's 0.7, and log(0.84) / log(5 / 9)."""
    second = torch.arange(10) >= 5
    right = torch.arange(10) % 5 < torch.where(second, 3, 4)
    score = (second == right).double()
    result = DistributionResult(score=score, second=second, ratios=(0.5, 0.1), rows=100, threshold=0.5)
    scores = measuring.measure(result, NoParams())
    accuracy, exact, bound = (scores[name] for name in ("accuracy", "n_leaked_exact", "n_leaked_bound"))
    found = (accuracy.estimate, accuracy.low, accuracy.high, exact.estimate, bound.estimate)
    expected = (0.7, 0.347547, 0.933260, 1, 0.296626)
    close = torch.allclose(torch.tensor(found).double(), torch.tensor(expected).double(), atol=1e-5)
    assert close, f"found {found}, expected {expected}"


def _nothing_leaked() -> None:
    second = torch.arange(8) >= 4
    result = DistributionResult(score=-second.double(), second=second, ratios=(0.5, 0.2), rows=100, threshold=-0.5)
    scores = measuring.measure(result, NoParams())
    found = [scores[name].estimate for name in ("accuracy", "n_leaked_exact", "n_leaked_bound")]
    assert found == [0.0, 0.0, 0.0], f"found {found}"
