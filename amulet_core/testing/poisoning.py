"""Conformance of poisoning attacks: answers by the rules of the game, and power over a toy network trained on them."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, Final

import torch
from torch import nn

from amulet_core.errors import cause_of
from amulet_core.games import poisoning as game
from amulet_core.games.poisoning import PoisoningAnswer, PoisoningView
from amulet_core.games.threats import PoisoningThreat
from amulet_core.jobs import Recipe
from amulet_core.recipes import fit_recipe
from amulet_core.request import Use
from amulet_core.settings import TrainingSettings
from amulet_core.testing.findings import ConformanceCheck, ConformanceError, NotCheckedError, conformance
from amulet_core.testing.manners import Trial, manners, trial, working
from amulet_core.testing.toys import NETWORK, Toy, task_rows
from amulet_core.training.values import Streams

RULES: Final = "it keeps to the rules of its game"
ROWS: Final = 400
RATE: Final = 0.4
ADVANTAGE: Final = 0.1
"""By how much an attack must raise the success rate, or lower accuracy, with four rows of ten in its hands."""

_SETTINGS: Final = TrainingSettings(epochs=15, batch_size=32, learning_rate=0.01)


def poisoning_checks(component: str, use: Use, toys: Callable[[], Sequence[Toy]]) -> tuple[ConformanceCheck, ...]:
    """Return the checks of an attack on training rows."""

    @cache
    def trials() -> list[Trial]:
        use.entry.load()
        return [trial(toy.label, partial(_prepared, use, toy, rate)) for toy in toys() for rate in (RATE, 0.0)]

    @cache
    def bouts() -> list[tuple[Toy, Trial, Trial]]:
        working(trials)
        return list(zip(toys(), trials()[::2], trials()[1::2], strict=True))

    def check(name: str, why: str, examine: Callable[[list[tuple[Toy, Trial, Trial]]], str | None]) -> ConformanceCheck:
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


def _keeps_to_the_rules(bouts: list[tuple[Toy, Trial, Trial]]) -> None:
    for toy, one, idle in bouts:
        for made, rate in ((one, RATE), (idle, 0.0)):
            try:
                _accepted(toy, made, rate)
            except ValueError as error:
                raise ConformanceError(
                    found=f"on {toy.label}, at rate {rate:g}: {cause_of(error).rstrip('.')}",
                    expected="a PoisoningAnswer within the budget, of possible rows and possible triggered inputs",
                    fix="replace at most view.budget rows, and end with amulet_core.feasible.project under linf and an "
                    "epsilon of 1",
                ) from error


def _has_power(bouts: list[tuple[Toy, Trial, Trial]]) -> str:
    notes = []
    for toy, one, _ in bouts:
        gain, cost = _effect(toy, _known(toy, one, RATE))
        if max(gain, cost) < ADVANTAGE:
            raise ConformanceError(
                found=f"on {toy.label}, with {RATE:.0%} of the rows, the success rate rises by {gain:.2f} and accuracy "
                f"falls by {cost:.2f}",
                expected=f"{ADVANTAGE:g} of either",
                fix="see that replaced rows carry the trigger and the target, and that triggered inputs carry the same "
                "trigger",
            )
        notes.append(f"{toy.label} success {gain:+.2f}, accuracy {-cost:+.2f}")
    return "; ".join(notes)


def _known(toy: Toy, one: Trial, rate: float) -> PoisoningAnswer:
    try:
        return _accepted(toy, one, rate)
    except ValueError as error:
        raise NotCheckedError(f'not checked, because "{RULES}" fails') from error


def _effect(toy: Toy, answer: PoisoningAnswer) -> tuple[float, float]:
    """Return how much the success rate rises over a clean model's, and how much plain accuracy falls."""
    rows = task_rows(toy, rows=ROWS, key=("poisoning", "train"))
    test = game.asked(task_rows(toy, rows=ROWS, key=("poisoning", "test")), _threat(RATE), ("conformance",))
    given = [rows, game.replaced(rows, answer)]
    streams = [Streams(("conformance", "poisoning"))] * 2
    clean, poisoned = (one.model for one in fit_recipe(Recipe(NETWORK, (), _SETTINGS), given, given, streams))
    inputs = answer.triggered if answer.has_trigger else test.x
    others = test.y != 0

    def success(model: nn.Module) -> float:
        return float((model(inputs).argmax(1) == 0)[others].float().mean())

    def accuracy(model: nn.Module) -> float:
        return float((model(test.x).argmax(1) == test.y).float().mean())

    with torch.no_grad():
        return success(poisoned) - success(clean), accuracy(clean) - accuracy(poisoned)
