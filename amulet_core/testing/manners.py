"""What every component owes its surroundings, whatever its kind: checks on watched calls, shared by all kinds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import ValidationError

from amulet_core.errors import RequestError, cause_of
from amulet_core.testing.findings import TARGETS, ConformanceCheck, ConformanceError, NotCheckedError, conformance
from amulet_core.testing.mending import mending, raised
from amulet_core.testing.watching import Watched, contents, differing, watch

Prepare = Callable[[], tuple[Callable[[], Any], Mapping[str, Any]]]
"""Makes fresh inputs; returns the call on them, and the things that the call must leave alone, by name."""

Maker = Callable[[str, str, Callable[[Sequence["Trial"]], None]], ConformanceCheck]
"""Makes a check of its name, why it matters, and what examines the trials."""

RUNS = "it runs on the toy tasks"


@dataclass(frozen=True)
class Trial:
    """One use of a component on a toy: ``run(key, repetition)`` is done once for each pair of arguments.

    A trial may be refused with a ValueError that says one of the words ``may_refuse``.
    """

    label: str
    run: Callable[[str, int], Watched]
    may_refuse: tuple[str, ...] = ()

    @property
    def first(self) -> Watched:
        """Return the first run."""
        return self.run("a key", 1)

    @property
    def refused(self) -> bool:
        """Tell whether the component refuses this use, and says so."""
        error = self.first.error
        if not isinstance(error, ValueError) or isinstance(error, ValidationError):
            return False
        return any(word in str(error).lower() for word in self.may_refuse)


Trials = Callable[[], Sequence[Trial]]
"""Makes the trials when the first check is run: importing the component's code is part of what may fail."""


def trial(label: str, prepare: Prepare, *, may_refuse: tuple[str, ...] = ()) -> Trial:
    """Make a trial; every run has inputs of its own, lest a change of one spoil the next."""

    @cache
    def run(key: str, repetition: int) -> Watched:  # noqa: ARG001 - the repetition makes the cache call again
        call, things = prepare()
        return watch(call, key=("conformance", key), things=things)

    return Trial(label, run, may_refuse)


def working(trials: Trials) -> list[Trial]:
    """Return the trials that the component did not refuse.

    Raises:
        NotCheckedError: if one of them failed, or there is none.
    """
    try:
        made = trials()
    except Exception as error:
        raise NotCheckedError(f'not checked, because "{RUNS}" fails') from error
    broken = [one for one in made if one.first.error is not None and not one.refused]
    usable = [one for one in made if not one.refused]
    if broken or not usable:
        raise NotCheckedError(f'not checked, because "{RUNS}" fails')
    return usable


def manners(component: str, trials: Trials, *, victim: str = "", inputs: bool = True) -> tuple[ConformanceCheck, ...]:
    """Return the checks on a component's manners; watched things named ``victim`` or parts of it are the victim's.

    Without ``inputs`` nothing is given to it that it could change.
    """

    def check(name: str, why: str, examine: Callable[[Sequence[Trial]], None]) -> ConformanceCheck:
        return conformance(component, name=name, why=why, examine=lambda: examine(working(trials)))

    return (
        conformance(
            component,
            name=RUNS,
            why="a component that does not run here will fail all its cells",
            examine=lambda: _runs(trials),
        ),
        *(_leaving_checks(check, victim) if inputs else ()),
        check(
            "it leaves global settings alone",
            "a changed default dtype or number of threads changes every later result of the process",
            _leaves_settings,
        ),
        check(
            "it never seeds the global generators",
            "the core seeds them from the job's key: with a fixed seed all repetitions would be the same draw",
            _never_seeds,
        ),
        check(
            "the same key gives the same bits",
            "a result that cannot be repeated cannot be checked, cached or resumed",
            _same_bits,
        ),
    )


def _leaving_checks(check: Maker, victim: str) -> list[ConformanceCheck]:
    def others(place: str) -> bool:
        return not (victim and victim in place)

    own = check(
        "it leaves its victim alone",
        "an attack that changes a model's weights, mode or gradients attacks another than the one it reports",
        lambda made: _leaves(
            made,
            lambda place: not others(place),
            "attack a copy (copy.deepcopy), and put back modes, requires_grad and grad",
        ),
    )
    given = check(
        "it leaves what it is given alone",
        "others use the same values after it",
        lambda made: _leaves(made, others, "work on a copy (clone, dataclasses.replace) of what is given"),
    )
    return [own, given] if victim else [given]


def _runs(trials: Trials) -> str:
    made = _made(trials)
    for one in made:
        error = one.first.error
        if error is not None and not one.refused:
            raise ConformanceError(
                found=f"on {one.label} it raised {raised(error).rstrip('.')}",
                expected="a result with the default parameters",
                fix=mending(error),
            ) from error
    refusals = [f"{one.label} ({cause_of(one.first.error)})" for one in made if one.first.error is not None]
    if len(refusals) == len(made):
        raise ConformanceError(
            found=f"it refused {'; '.join(refusals)}",
            expected="that it works with one of them at least",
            fix="refuse with a ValueError only what the algorithm cannot do",
        )
    return f"it refused {'; '.join(refusals)}" if refusals else ""


def _made(trials: Trials) -> Sequence[Trial]:
    try:
        return trials()
    except ConformanceError:
        raise
    except RequestError as error:
        raise NotCheckedError(f'not checked, because "{TARGETS}" fails') from error
    except Exception as error:
        raise ConformanceError(
            found=f"it could not be tried: {cause_of(error).rstrip('.')}",
            expected="that needs() and applicable() work on the toy tasks",
            fix="mend what is raised",
        ) from error


def _leaves(trials: Sequence[Trial], counts: Callable[[str], bool], fix: str) -> None:
    for one in trials:
        changed = [place for place in one.first.changed if counts(place)]
        if changed:
            raise ConformanceError(found=f"on {one.label} it changed {_some(changed)}", expected="no change", fix=fix)


def _leaves_settings(trials: Sequence[Trial]) -> None:
    for one in trials:
        if one.first.settings:
            raise ConformanceError(
                found=f"on {one.label} it changed {_some(one.first.settings)}",
                expected="no change",
                fix="pass dtype, device and the like to the calls that need them, or restore the setting in a finally",
            )


def _never_seeds(trials: Sequence[Trial]) -> None:
    one = trials[0]
    first, second = one.first.generators, one.run("another key", 1).generators
    seeded = [name for name in first if first[name] == second[name]]
    if seeded:
        raise ConformanceError(
            found=f"under two keys the generator of {' and '.join(seeded)} ended in the same state",
            expected="two states, as the keys differ",
            fix="do not seed; simply draw from the global generators, or make a generator of your own from a draw",
        )


def _same_bits(trials: Sequence[Trial]) -> None:
    for one in trials:
        again = one.run("a key", 2)
        different = differing(contents(one.first.value), contents(again.value))
        if different:
            raise ConformanceError(
                found=f"on {one.label} two runs under one key differ in {_some(different)}",
                expected="equal bits",
                fix="draw from the global generators of torch, numpy and random only, and keep nothing between calls",
            )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
