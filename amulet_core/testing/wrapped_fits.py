"""Conformance of training stages: what they do around the fit that they wrap."""

from collections.abc import Sequence
from dataclasses import replace

from amulet_core.data import Data
from amulet_core.errors import cause_of
from amulet_core.request import defense_of
from amulet_core.streams import isolated
from amulet_core.testing.findings import ConformanceError, NotCheckedError
from amulet_core.testing.stages import ROWS, Staged, context_on, network_on, of_kind, training_on
from amulet_core.testing.toys import task_rows
from amulet_core.testing.watching import contents, differing
from amulet_core.training.values import Fitted, Streams, Training


def as_declared(stages: Sequence[Staged]) -> None:
    """Check that a training stage that does more around ``fit`` than look says so in its descriptor."""
    for one in stages:
        of_kind(one, Training, "its training stage returns a Training")
        found = "" if defense_of(one.use).wraps_fit else _around_fit(one)
        if found:
            raise ConformanceError(
                found=f"on {one.trial.label} its fit {found}",
                expected="the fit that it wraps, called once with what it is given, or wraps_fit=True",
                fix="set wraps_fit=True in the descriptor: attacks on gradients are then skipped with that reason",
            )


def _around_fit(one: Staged) -> str:
    """Say what a stage's fit does beside calling the one that it wraps; nothing if that is all."""
    calls: list[tuple[Training, dict[str, str], list[Fitted]]] = []

    def fit(
        training: Training,
        rows: Sequence[Data],
        _val: Sequence[Data],
        _streams: Sequence[Streams],
    ) -> list[Fitted]:
        calls.append((training, contents(list(rows)), [Fitted(network_on(one.toy), training.evidence) for _ in rows]))
        return calls[-1][2]

    rows, before = [task_rows(one.toy, rows=ROWS, key=("train",))], replace(training_on(one.toy), fit=fit)
    try:
        with isolated("conformance", "wrapped fit"):
            training = one.function(before, one.use.params, context_on(one.use, one.toy))
            models = training.fit(training, rows, rows, [Streams(("conformance", 0))])
    except Exception as error:
        raise NotCheckedError(f"not checked: around a fit that trains nothing it raised {cause_of(error)}") from error
    if len(calls) != 1:
        return f"calls the one that it wraps {len(calls)} times"
    ((called, given, handed),) = calls
    if called is not training:
        return "hands on another training"
    if differing(given, contents(rows)):
        return "hands on other rows"
    return "" if [*map(id, models)] == [*map(id, handed)] else "hands back other models"
