"""Conformance of behaviour: which checks a component gets by its kind, and on which toy tasks."""

from collections.abc import Callable, Sequence
from functools import partial

from amulet_core.configuration.chains import data_problems
from amulet_core.configuration.request import Use
from amulet_core.discovery.entries import Entry
from amulet_core.testing.attacks import attack_checks
from amulet_core.testing.datasets import dataset_checks
from amulet_core.testing.defenses import defense_checks
from amulet_core.testing.findings import ConformanceCheck, ConformanceError, NotCheckedError
from amulet_core.testing.metrics import metric_checks
from amulet_core.testing.models import model_checks
from amulet_core.testing.parameters import default_params
from amulet_core.testing.toys import TOYS, Toy

Checks = Callable[[str, Use, Callable[[], Sequence[Toy]]], tuple[ConformanceCheck, ...]]

_BY_KIND: dict[str, Checks] = {
    "attack": attack_checks,
    "defense": defense_checks,
    "metric": metric_checks,
    "model": model_checks,
}


def behaviour_checks(component: str, entry: Entry) -> tuple[ConformanceCheck, ...]:
    """Return the checks that run a component with its default parameters (none, if these are not valid).

    Executors, reporters, and components of a risk that has no game, are not run.
    """
    try:
        use = Use(entry, default_params(entry))
    except NotCheckedError:
        return ()
    if entry.component.kind == "dataset":
        return dataset_checks(component, use)
    make = _BY_KIND.get(entry.component.kind)
    return make(component, use, partial(usable_toys, use)) if make else ()


def usable_toys(use: Use) -> list[Toy]:
    """Return the toy tasks that a component says it works on.

    Raises:
        ConformanceError: if there is none, with its reasons.
    """
    problems = {toy.label: data_problems(use, toy.schema, toy.label) for toy in TOYS}
    usable = [toy for toy in TOYS if not problems[toy.label]]
    if not usable:
        raise ConformanceError(
            found=f"it works on no toy task ({'; '.join(text for texts in problems.values() for text in texts)})",
            expected="that it works on one of them at least",
            fix="widen modality and applicable() to all data that the algorithm can work on",
        )
    return usable
