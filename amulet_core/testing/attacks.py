"""Conformance of attacks: answers, budgets, queries, and power on planted victims, all through the games' own code."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module
from typing import Any

from amulet_core.components import Attack, Params
from amulet_core.configuration.request import Use, attack_of
from amulet_core.errors import cause_of
from amulet_core.games.contest import Contest
from amulet_core.streams import isolated
from amulet_core.testing.findings import ConformanceCheck, ConformanceError, NotCheckedError, conformance
from amulet_core.testing.manners import Trial, manners
from amulet_core.testing.planted import ARENAS, NORMS, Arena
from amulet_core.testing.planted_attributes import Plant
from amulet_core.testing.poisoning import poisoning_checks
from amulet_core.testing.rounds import Round, played, trials_of, usable
from amulet_core.testing.theft import theft_checks
from amulet_core.testing.toys import Toy
from amulet_core.victims import WhiteBox

ANSWERS = "it answers what its game asks for"
BUDGETS = "it keeps to its budgets"
ADVANTAGE = 0.15
"""By how much an attack must be better than an answer that knows nothing, on a victim that is wide open."""


@dataclass(frozen=True)
class Play(Round):
    """A round, and the contest that it was played in."""

    contest: Contest


@dataclass(frozen=True)
class Bout:
    """One planted victim under one threat model, on one toy; ``play(key, repetition)`` is done once for each pair."""

    arena: Arena
    threat: Params
    play: Callable[[str, int], Play]
    trial: Trial


def attack_checks(component: str, use: Use, toys: Callable[[], Sequence[Toy]]) -> tuple[ConformanceCheck, ...]:
    """Return the checks of an attack; there is none for a risk that has no game to play."""
    if attack_of(use).risk == "poisoning":
        return poisoning_checks(component, use, toys)
    if attack_of(use).risk == "unauthorized-model-ownership":
        return theft_checks(component, use, toys)
    arena = ARENAS.get(attack_of(use).risk)
    if arena is None:
        return ()
    open_bouts, shut_bouts = (cache(partial(_bouts, use, arena, plant, toys)) for plant in ("vulnerable", "safe"))
    trials = partial(trials_of, open_bouts)
    polite = manners(component, trials, victim="the victim")

    def check(name: str, why: str, examine: Callable[[], str | None]) -> ConformanceCheck:
        return conformance(component, name=name, why=why, examine=examine)

    checks = [
        check(ANSWERS, "what is no answer cannot be scored", partial(_answers, open_bouts)),
        check(
            "it asks its victim only through its view",
            "queries that are not counted make a costly attack look cheap",
            partial(_asks, open_bouts),
        ),
        _open_check(component, attack_of(use), open_bouts),
        check(
            "it finds nothing on a planted safe victim",
            "what is found where there is nothing to find is the attack's own leak or mistake",
            partial(_sits_at_chance, shut_bouts, "safe"),
        ),
    ]
    if attack_of(use).risk == "evasion":
        why = "a change that the threat model forbids proves nothing about the victim"
        checks.insert(1, check(BUDGETS, why, partial(_keeps_to_budgets, open_bouts)))
    return (polite[0], *checks, *polite[1:])


def _open_check(component: str, attack: Attack, bouts: Callable[[], list[Bout]]) -> ConformanceCheck:
    if attack.control:
        return conformance(
            component,
            name="it finds nothing on a planted vulnerable victim",
            why="a control that knows something of its victim hides what the attacks beside it find",
            examine=partial(_sits_at_chance, bouts, "vulnerable"),
        )
    return conformance(
        component,
        name="it beats chance on a planted vulnerable victim",
        why="an attack without power makes every defense look good",
        examine=partial(_has_power, bouts),
    )


def _bouts(use: Use, arena: Arena, plant: Plant, toys: Callable[[], Sequence[Toy]]) -> list[Bout]:
    attack = use.entry.load()
    return [
        _bout(use, attack, arena, plant, toy, norm, threat)
        for toy in toys()
        for norm, threat in arena.threats(toy).items()
    ]


def _bout(
    use: Use, attack: Callable[[Any, Any], Any], arena: Arena, plant: Plant, toy: Toy, name: str, threat: Params
) -> Bout:
    descriptor = attack_of(use)
    game = import_module(arena.game)
    models = max((request.models for request in descriptor.needs(use.params, toy.schema)), default=0)

    @cache
    def play(key: str, repetition: int) -> Play:  # noqa: ARG001 - the repetition makes the cache play again
        planted = arena.contest(toy, plant, models)
        contest = replace(planted, puts_in=descriptor.sensitive_in_x, reconstructs=descriptor.reconstructs)
        view = game.view(contest, threat, descriptor.access)
        rows = {"the pool": contest.pool, "the test rows": contest.test, "the adversary's rows": contest.aux}
        made = played(lambda: attack(view, use.params), victim=contest.model, view=view, key=key, rows=rows)
        return Play(**vars(made), contest=contest)

    label = f"{toy.label}, {name}" if name else toy.label
    refusals = (*NORMS, "norm") if name in NORMS else ()
    trial = Trial(label, lambda key, repetition: play(key, repetition).watched, may_refuse=refusals)
    return Bout(arena, threat, play, trial)


def _answered(bouts: Callable[[], list[Bout]]) -> list[Bout]:
    """Return the bouts that were not refused, all of them with a proper answer."""
    kept = usable(bouts)
    if any(_answer_problem(bout) for bout in kept):
        raise NotCheckedError(f'not checked, because "{ANSWERS}" fails')
    return kept


def _answer_problem(bout: Bout) -> str:
    play = bout.play("a key", 1)
    answer = play.watched.value
    if not isinstance(answer, bout.arena.answer):
        return type(answer).__name__
    return bout.arena.size_problem(play.view, answer)


def _answers(bouts: Callable[[], list[Bout]]) -> None:
    for bout in usable(bouts):
        problem = _answer_problem(bout)
        if problem:
            raise ConformanceError(
                found=f"on {bout.trial.label} it returned {problem}",
                expected=f"{bout.arena.answer.__name__} of the view's shape",
                fix=f"return {bout.arena.game}.{bout.arena.answer.__name__}, in the order of the view's rows",
            )


def _keeps_to_budgets(bouts: Callable[[], list[Bout]]) -> None:
    for bout in _answered(bouts):
        try:
            _result(bout)
        except ValueError as error:
            raise ConformanceError(
                found=f"on {bout.trial.label}: {cause_of(error)}",
                expected="changed rows within every budget of the view",
                fix="end with amulet_core.feasible.project, under the view's norm and each of its epsilons",
            ) from error


def _asks(bouts: Callable[[], list[Bout]]) -> None:
    for bout in _answered(bouts):
        play = bout.play("a key", 1)
        fix = "ask view.model only (labels, probabilities, log_probabilities)"
        if play.behind:
            raise ConformanceError(
                found=f"on {bout.trial.label} {play.behind} rows went through the victim itself",
                expected="0",
                fix=fix,
            )
        if not isinstance(play.view.model, WhiteBox) and play.asked != play.counted:
            raise ConformanceError(
                found=f"on {bout.trial.label} {play.asked} rows went through the model, and the view counted "
                f"{play.counted}",
                expected="equal numbers",
                fix=fix,
            )


def _has_power(bouts: Callable[[], list[Bout]]) -> str:
    notes = []
    for bout in _answered(bouts):
        arena, found, floor = bout.arena, _power(bout), _floor(bout)
        needed = floor + ADVANTAGE
        if found < needed:
            raise ConformanceError(
                found=f"on {bout.trial.label} its {arena.measured} is {found:.2f}, that of a blind answer {floor:.2f}",
                expected=f"at least {needed:.2f}, as the victim is wide open",
                fix=f"see that {arena.advice}, and that its default parameters give it time enough",
            )
        notes.append(f"{bout.trial.label} {found:.2f}")
    return f"{bouts()[0].arena.measured}: {'; '.join(notes)}"


def _sits_at_chance(bouts: Callable[[], list[Bout]], plant: Plant) -> None:
    for bout in _answered(bouts):
        arena, found = bout.arena, _power(bout)
        if abs(found - arena.chance) > arena.noise:
            raise ConformanceError(
                found=f"on {bout.trial.label} its {arena.measured} on the {plant} victim is {found:.2f}",
                expected=f"{arena.chance:g} within {arena.noise:g}, as "
                + ("nothing can be found there" if plant == "safe" else "a control knows nothing"),
                fix="see that nothing but the view's own values enters the answer, and that none of them is changed",
            )


def _power(bout: Bout) -> float:
    try:
        return bout.arena.power(_result(bout))
    except ValueError as error:
        because = f'"{BUDGETS}" fails' if bout.arena.bounded else f"it cannot be scored: {cause_of(error)}"
        raise NotCheckedError(f"not checked, because {because}") from error


def _result(bout: Bout) -> Any:
    play = bout.play("a key", 1)
    game = import_module(bout.arena.game)
    return game.judge(play.contest, play.watched.value, bout.threat)


def _floor(bout: Bout) -> float:
    play = bout.play("a key", 1)
    # A view of the attack's own contest, made anew: whatever the attack did to its view is not in it.
    game = import_module(bout.arena.game)
    view = game.view(play.contest, bout.threat, "none")
    with isolated("conformance", "blind"):
        answer = bout.arena.blind(view)
    return bout.arena.power(game.judge(play.contest, answer, bout.threat))
