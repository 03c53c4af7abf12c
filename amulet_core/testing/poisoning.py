"""Conformance of poisoning attacks: answers by the rules of the game, and power over a toy network trained on them."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from amulet_core.configuration.request import Use
from amulet_core.errors import cause_of
from amulet_core.games import poisoning as game
from amulet_core.games.poisoning import PoisoningAnswer, PoisoningView
from amulet_core.games.threats import PoisoningThreat
from amulet_core.performing.recipes import fit_recipe
from amulet_core.planning.jobs import Recipe
from amulet_core.settings import TrainingSettings
from amulet_core.testing.findings import ConformanceCheck, ConformanceError, NotCheckedError, conformance
from amulet_core.testing.manners import Trial, manners, trial, working
from amulet_core.testing.toys import NETWORK, Toy, task_rows
from amulet_core.training.values import Streams

RULES: Final = "it keeps to the rules of its game"
ROWS: Final = 400
RATE: Final = 0.4
FEW: Final = 0.2
"""The rate of attacks with a trigger: with more, a network answers the target whatever the input, trigger or not."""
ADVANTAGE: Final = 0.1
"""By how much an attack must raise the success rate, or (without a trigger) lower accuracy, with so many rows."""

Bout = tuple[Toy, Mapping[float, Trial]]
"""A toy, and the attack on it at each rate."""

_RATES: Final = (RATE, FEW, 0.0)
_SETTINGS: Final = TrainingSettings(epochs=15, batch_size=32, learning_rate=0.01)


def poisoning_checks(component: str, use: Use, toys: Callable[[], Sequence[Toy]]) -> tuple[ConformanceCheck, ...]:
    """Return the checks of an attack on training rows."""

    @cache
    def trials() -> list[Trial]:
        use.entry.load()
        return [trial(toy.label, partial(_prepared, use, toy, rate)) for toy in toys() for rate in _RATES]

    @cache
    def bouts() -> list[Bout]:
        working(trials)
        every = len(_RATES)
        return [
            (toy, dict(zip(_RATES, trials()[every * place : every * (place + 1)], strict=True)))
            for place, toy in enumerate(toys())
        ]

    def check(name: str, why: str, examine: Callable[[list[Bout]], str | None]) -> ConformanceCheck:
        return conformance(component, name=name, why=why, examine=lambda: examine(bouts()))

    polite = manners(component, trials)
    return (
        polite[0],
        check(RULES, "what the threat model forbids proves nothing about the recipe", _keeps_to_the_rules),
        check(
            "a network trained on its rows answers the target more often, or errs more often",
            "an attack without power makes every defense look good",
            _has_power,
        ),
        *polite[1:],
    )


def _prepared(use: Use, toy: Toy, rate: float) -> tuple[Callable[[], Any], Mapping[str, Any]]:
    attack, view = use.entry.load(), _view(toy, rate)
    return lambda: attack(view, use.params), {"the view": view}


def _threat(rate: float) -> PoisoningThreat:
    return PoisoningThreat(rate=rate, rows=ROWS)


def _view(toy: Toy, rate: float) -> PoisoningView:
    train, test = (task_rows(toy, rows=ROWS, key=("poisoning", part)) for part in ("train", "test"))
    return game.view(train, test, _threat(rate), ("conformance",))


def _accepted(toy: Toy, one: Trial, rate: float) -> PoisoningAnswer:
    answer = one.first.value
    if not isinstance(answer, PoisoningAnswer):
        raise ValueError(f"it returned {type(answer).__name__}, expected a PoisoningAnswer")  # noqa: TRY004 - as the referee
    return game.accept(task_rows(toy, rows=ROWS, key=("poisoning", "train")), _view(toy, rate), answer)


def _keeps_to_the_rules(bouts: list[Bout]) -> None:
    for toy, played in bouts:
        for rate, made in played.items():
            try:
                _accepted(toy, made, rate)
            except ValueError as error:
                raise ConformanceError(
                    found=f"on {toy.label}, at rate {rate:g}: {cause_of(error).rstrip('.')}",
                    expected="a PoisoningAnswer within the budget, of possible rows and possible triggered inputs",
                    fix="replace at most view.budget rows, and end with amulet_core.feasible.project under linf and an "
                    "epsilon of 1",
                ) from error


def _has_power(bouts: list[Bout]) -> str:
    notes = []
    for toy, played in bouts:
        rate = FEW if _known(toy, played, RATE).has_trigger else RATE
        effect = _effect(toy, _known(toy, played, rate))
        if max(effect.gain, effect.cost) < ADVANTAGE:
            raise ConformanceError(
                found=f"on {toy.label}, with {rate:.0%} of the rows, {effect.told}",
                expected=effect.wanted,
                fix="see that replaced rows carry the trigger and the target, and that triggered inputs carry the same "
                "trigger",
            )
        notes.append(
            f"{toy.label} success {effect.gain:+.2f}" + (f", accuracy {-effect.cost:+.2f}" if rate == RATE else "")
        )
    return "; ".join(notes)


def _known(toy: Toy, played: Mapping[float, Trial], rate: float) -> PoisoningAnswer:
    try:
        return _accepted(toy, played[rate], rate)
    except ValueError as error:
        raise NotCheckedError(f'not checked, because "{RULES}" fails') from error


class _Effect(NamedTuple):
    """By how much what the attack wants happens more often, by how much accuracy falls where that counts, in words."""

    gain: float
    cost: float
    told: str
    wanted: str


def _effect(toy: Toy, answer: PoisoningAnswer) -> _Effect:
    """Train on the rows and on the replaced rows, and compare: under the trigger, if there is one, or without."""
    rows = task_rows(toy, rows=ROWS, key=("poisoning", "train"))
    test = game.asked(task_rows(toy, rows=ROWS, key=("poisoning", "test")), _threat(RATE), ("conformance",))
    given = [rows, game.replaced(rows, answer)]
    streams = [Streams(("conformance", "poisoning"))] * 2
    clean, poisoned = (one.model for one in fit_recipe(Recipe(NETWORK, (), _SETTINGS), given, given, streams))
    others = test.y != 0 if answer.source is None else test.y == answer.source

    def success(model: nn.Module, x: Tensor) -> float:
        answers = model(x).argmax(1)
        wanted = answers == 0 if answer.targeted else answers != test.y
        return float(wanted[others].float().mean())

    def accuracy(model: nn.Module) -> float:
        return float((model(test.x).argmax(1) == test.y).float().mean())

    with torch.no_grad():
        if answer.has_trigger:
            return _of_trigger(
                success(poisoned, answer.triggered), success(poisoned, test.x), success(clean, answer.triggered)
            )
        return _of_labels(success(poisoned, test.x) - success(clean, test.x), accuracy(clean) - accuracy(poisoned))


def _of_trigger(triggered: float, plain: float, clean: float) -> _Effect:
    """A trigger has power if it is what makes the difference, and if it does so on the poisoned model alone."""
    return _Effect(
        gain=triggered - max(plain, clean),
        cost=0.0,
        told=f"the attack succeeds on {triggered:.2f} of the triggered inputs, on {plain:.2f} of them without the "
        f"trigger, and on {clean:.2f} if no row was replaced",
        wanted=f"{ADVANTAGE:g} more than on either",
    )


def _of_labels(gain: float, cost: float) -> _Effect:
    told = f"the success rate rises by {gain:.2f} and accuracy falls by {cost:.2f}"
    return _Effect(gain=gain, cost=cost, told=told, wanted=f"{ADVANTAGE:g} of either")
