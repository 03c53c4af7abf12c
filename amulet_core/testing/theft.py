"""Conformance of attacks on model ownership: answers by the rules, counted queries, and power over planted victims."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Final

from torch import nn

from amulet_core.configuration.request import Use, attack_of
from amulet_core.errors import cause_of
from amulet_core.games.theft import TheftAnswer, accept
from amulet_core.streams import isolated
from amulet_core.testing.findings import ConformanceCheck, ConformanceError, NotCheckedError, conformance
from amulet_core.testing.manners import manners
from amulet_core.testing.robbed import BUDGET, ROWS, Bout, bouts_of
from amulet_core.testing.rounds import trials_of, usable
from amulet_core.testing.toys import Toy, task_rows
from amulet_core.victims import WhiteBox, logits_of

RULES: Final = "it hands back a finite model of the victim's architecture"
ADVANTAGE: Final = 0.15
"""By how much a stolen model must agree with its victim more often than a model that knows nothing of it."""


def theft_checks(component: str, use: Use, toys: Callable[[], Sequence[Toy]]) -> tuple[ConformanceCheck, ...]:
    """Return the checks of an attack on model ownership."""
    attack = attack_of(use)
    bouts, lawless = cache(partial(bouts_of, use, toys)), cache(partial(bouts_of, use, toys, plant="safe"))
    polite = manners(component, partial(trials_of, bouts), victim="the victim")

    def check(name: str, why: str, examine: Callable[[], str | None]) -> ConformanceCheck:
        return conformance(component, name=name, why=why, examine=examine)

    checks = [
        check(RULES, "what is no model of this kind cannot be asked, kept or verified", partial(_by_the_rules, bouts)),
        check(
            "it asks its victim only through its view",
            "queries that are not counted make a costly theft look cheap",
            partial(_asks, bouts),
        ),
        check(*_OF_CONTROLS, partial(_knows_nothing, bouts))
        if attack.control
        else check(*_OF_THIEVES, partial(_has_power, bouts)),
    ]
    if attack.access != "white-box":  # a victim given away whole is copied, whatever it does
        checks.append(check(*_OF_ALL, partial(_knows_nothing, lawless)))
    return (polite[0], *checks, *polite[1:])


_OF_THIEVES: Final = (
    "its model agrees with a victim of strange habits",
    "an attack without power makes every defense look good",
)
_OF_CONTROLS: Final = (
    "its model agrees with a victim of strange habits no more than chance",
    "a control that knows something of its victim hides what was stolen",
)
_OF_ALL: Final = (
    "its model agrees with a victim that follows no rule no more than chance",
    "agreement where there is nothing to learn is the attack's own leak or mistake",
)


def _by_the_rules(bouts: Callable[[], list[Bout]]) -> None:
    for bout in usable(bouts):
        try:
            _accepted(bout)
        except ValueError as error:
            raise ConformanceError(
                found=f"on {bout.trial.label}: {cause_of(error).rstrip('.')}",
                expected="a TheftAnswer whose model view.architecture() could have built, with finite weights",
                fix="build the model with view.architecture(), and train or set its weights",
            ) from error


def _accepted(bout: Bout) -> nn.Module:
    played = bout.play("a key", 1)
    answer = played.watched.value
    if not isinstance(answer, TheftAnswer):
        raise ValueError(f"it returned {type(answer).__name__}, expected a TheftAnswer")  # noqa: TRY004 - as the referee
    with isolated("conformance"):
        built = played.view.architecture()
    expected = {name: tuple(value.shape) for name, value in built.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in answer.model.state_dict().items()}
    if found != expected:
        strange = min({*found.items()} ^ {*expected.items()})
        raise ValueError(f"its model has other weights than the architecture: {strange[0]} {list(strange[1])}")
    return accept(played.view, answer).model


def _asks(bouts: Callable[[], list[Bout]]) -> str:
    most = 0
    for bout in usable(bouts):
        played = bout.play("a key", 1)
        hidden = 0 if isinstance(played.view.model, WhiteBox) else played.asked - played.counted
        if played.behind or hidden:
            raise ConformanceError(
                found=f"on {bout.trial.label} {played.behind + hidden} rows went past the view to the victim's model",
                expected="0",
                fix="ask view.model.ask only",
            )
        most = max(most, played.counted)
    return f"{most} of {BUDGET} queries at most"


def _has_power(bouts: Callable[[], list[Bout]]) -> str:
    notes = []
    for bout in usable(bouts):
        found, floor = _agreement(bout), _chance(bout)
        if found < floor + ADVANTAGE:
            raise ConformanceError(
                found=f"on {bout.trial.label} it agrees with its victim on {found:.2f} of the rows",
                expected=f"at least {floor + ADVANTAGE:.2f}: chance is {floor:.2f}, and {BUDGET} queries are answered",
                fix="train on what the victim answers, not on the true labels, and ask as often as the budget allows",
            )
        notes.append(f"{bout.trial.label} {found:.2f}")
    return f"agreement: {'; '.join(notes)}"


def _knows_nothing(bouts: Callable[[], list[Bout]]) -> None:
    for bout in usable(bouts):
        found, ceiling = _agreement(bout), _chance(bout) + ADVANTAGE
        if found > ceiling:
            raise ConformanceError(
                found=f"on {bout.trial.label} it agrees with its victim on {found:.2f} of the rows",
                expected=f"at most {ceiling:.2f}, as nothing can be known of it",
                fix="see that nothing but the view's own values enters the model",
            )


def _agreement(bout: Bout) -> float:
    try:
        model = _accepted(bout)
    except ValueError as error:
        raise NotCheckedError(f'not checked, because "{RULES}" fails') from error
    x = task_rows(bout.toy, rows=ROWS, key=("theft", "test")).x
    return float((logits_of(model, x).argmax(1) == logits_of(bout.victim(), x).argmax(1)).float().mean())


def _chance(bout: Bout) -> float:
    """Return how often the commonest answer of the victim comes: who knows no more can agree as often."""
    x = task_rows(bout.toy, rows=ROWS, key=("theft", "test")).x
    answers = logits_of(bout.victim(), x).argmax(1)
    return float(answers.bincount().max() / len(answers))
