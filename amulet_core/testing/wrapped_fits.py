"""Conformance of training stages: what they do around the fit that they wrap."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from amulet_core.configuration.request import defense_of
from amulet_core.data import Data
from amulet_core.errors import cause_of
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
    calls: list[_Inner] = []

    def fit(training: Training, rows: Sequence[Data], val: Sequence[Data], streams: Sequence[Streams]) -> list[Fitted]:
        handed = [Fitted(network_on(one.toy), training.evidence) for _ in rows]
        calls.append(_Inner(training, _digests(rows, val, streams), handed, contents(handed)))
        return handed

    rows, val = ([task_rows(one.toy, rows=ROWS, key=(part,))] for part in ("train", "val"))
    streams, before = [Streams(("conformance", 0))], replace(training_on(one.toy), fit=fit)
    given = _digests(rows, val, streams)  # before the fit, which may change them in place
    try:
        with isolated("conformance", "wrapped fit"):
            training = one.function(before, one.use.params, context_on(one.use, one.toy))
            models = training.fit(training, rows, val, streams)
    except Exception as error:
        raise NotCheckedError(f"not checked: around a fit that trains nothing it raised {cause_of(error)}") from error
    return _beside_calling(training, given, calls, models)


class _Inner(NamedTuple):
    """A call of the fit that is wrapped: what it was called with, what it handed back, and what that held then."""

    training: Training
    given: Mapping[str, Mapping[str, str]]
    handed: list[Fitted]
    held: Mapping[str, str]


def _digests(rows: Sequence[Data], val: Sequence[Data], streams: Sequence[Streams]) -> Mapping[str, Mapping[str, str]]:
    parts = {"rows": rows, "validation rows": val, "streams": streams}
    return {name: contents(list(part)) for name, part in parts.items()}


def _beside_calling(
    training: Training, given: Mapping[str, Mapping[str, str]], calls: Sequence[_Inner], models: Sequence[Fitted]
) -> str:
    if len(calls) != 1:
        return f"calls the one that it wraps {len(calls)} times"
    (inner,) = calls
    if inner.training is not training:
        return "hands on another training"
    others = [name for name, digest in given.items() if differing(digest, inner.given[name])]
    if others:
        return f"hands on other {' and '.join(others)}"
    if [*map(id, models)] != [*map(id, inner.handed)]:
        return "hands back other models"
    return "changes the models that it hands back" if differing(inner.held, contents(inner.handed)) else ""
