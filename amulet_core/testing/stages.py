"""Conformance of a defense's stages: what each gives back for what it is given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from amulet_core.configuration.request import Use, defense_of
from amulet_core.data import Data, checked
from amulet_core.streams import isolated
from amulet_core.testing.findings import ConformanceError, NotCheckedError
from amulet_core.testing.manners import Trial, trial
from amulet_core.testing.toys import NETWORK, NUDGE, SETTINGS, Toy, doubled, nudged, task_rows
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Fitted, Prepared, Streams, Training, TrainingContext
from amulet_core.victims import logits_of
from amulet_core.vocabulary import Stage

ROWS = 120
V = TypeVar("V")


@dataclass(frozen=True)
class Staged:
    """One stage of a defense on one toy."""

    use: Use
    toy: Toy
    stage: Stage
    trial: Trial

    @property
    def function(self) -> Callable[..., Any]:
        """Return the stage's target."""
        return _function(self.use, self.stage)


def staged(use: Use, toy: Toy, stage: Stage) -> Staged:
    """Return a stage on a toy, to be tried."""
    return Staged(use, toy, stage, trial(f"{toy.label}, {stage} stage", lambda: _prepared(use, toy, stage)))


def returns(one: Staged, kind: type[V]) -> V:
    """Return what the stage gave back.

    Raises:
        ConformanceError: if it is no ``kind``.
    """
    value = _given(one, kind)
    if isinstance(value, kind):
        return value
    raise ConformanceError(
        found=f"on {one.trial.label} it returned {type(value).__name__}",
        expected=kind.__name__,
        fix=f"return the {kind.__name__} that it is given, changed by dataclasses.replace or the like",
    )


def valid_rows(stages: Sequence[Staged]) -> None:
    """Check that a data stage returns rows that obey the rules, under the schema they came with."""
    for one in stages:
        rows = returns(one, Data)
        try:
            checked(rows, whose="the rows it returned")
        except ValueError as error:
            raise ConformanceError(
                found=f"on {one.trial.label}: {error}",
                expected="rows that obey the rules of amulet_core.data.Data",
                fix="see that every row has a label, a weight and an id of its own, within the declared bounds",
            ) from error
        if rows.schema != one.toy.schema:
            raise ConformanceError(
                found=f"on {one.trial.label} the schema of the rows changed",
                expected="the schema that was given, which victims, attacks and metrics share",
                fix="keep it: dataclasses.replace(data, x=..., w=...)",
            )


def ids_are_kept(stages: Sequence[Staged]) -> None:
    """Check that a data stage leaves every id on its row; new ids are for added rows only, and negative."""
    for one in stages:
        before, after = (
            task_rows(one.toy, rows=ROWS, key=("train",)),
            of_kind(one, Data, "its data stage returns valid rows"),
        )
        known = dict(zip(before.id.tolist(), before.z.tolist(), strict=True))
        given = dict(zip(after.id.tolist(), after.z.tolist(), strict=True))
        strange = [name for name in given if name not in known]
        moved = [name for name, z in given.items() if name in known and known[name] != z]
        expected, fix = (
            "every id on its own row",
            "choose rows with data.take(positions), which keeps each row together",
        )
        if strange and len(after) <= len(before):
            found = f"{len(strange)} ids are new (first: {strange[0]}), though no row was added"
            raise ConformanceError(found=f"on {one.trial.label} {found}", expected=expected, fix=fix)
        taken = [name for name in strange if name >= 0]
        if taken:
            found = f"{len(taken)} added rows have ids that are not negative (first: {taken[0]})"
            raise ConformanceError(
                found=f"on {one.trial.label} {found}",
                expected="negative ids of their own, which no row of the data set has",
                fix="number added rows downwards from min(0, data.id.min()) - 1",
            )
        if moved:
            found = f"{len(moved)} ids carry another row's sensitive attributes (first: {moved[0]})"
            raise ConformanceError(found=f"on {one.trial.label} {found}", expected=expected, fix=fix)


def a_training(stages: Sequence[Staged]) -> None:
    """Check that a training stage returns a ``Training``."""
    for one in stages:
        returns(one, Training)


def composes(stages: Sequence[Staged]) -> None:
    """Check that a training stage neither drops another defense's part of the training nor is broken by it."""
    for one in stages:
        of_kind(one, Training, "its training stage returns a Training")
        for order in _ORDERS:
            calls: list[None] = []
            training = _composed(one, order, calls)
            calls.clear()
            _fit_composed(training, one, order)
            if not calls or NUDGE not in training.draws:
                raise ConformanceError(
                    found=f"on {one.trial.label} another defense, standing {order}, had no part in the training",
                    expected="that its objective is called and its draws are made",
                    fix="wrap training.objective and extend draws, parts and evidence instead of replacing them",
                )


def a_fitted(stages: Sequence[Staged]) -> None:
    """Check that a model stage returns a ``Fitted`` whose model still has one logit a class."""
    for one in stages:
        model = returns(one, Fitted).model
        found = list(logits_of(model, task_rows(one.toy, rows=ROWS, key=("train",)).x).shape)
        expected = [ROWS, len(one.toy.schema.classes)]
        if found != expected:
            raise ConformanceError(
                found=f"on {one.trial.label} the logits of its model are {found}",
                expected=f"{expected}",
                fix="keep the model's last layer as wide as there are classes",
            )


def probabilities(stages: Sequence[Staged]) -> None:
    """Check that an inference stage gives probabilities for probabilities."""
    for one in stages:
        problem = _no_probabilities(returns(one, Tensor), released(one.toy))
        if problem:
            raise ConformanceError(
                found=f"on {one.trial.label} {problem}",
                expected="for every row as many finite values, none negative, that sum to 1",
                fix="normalise what it returns: p / p.sum(1, keepdim=True)",
            )


def as_declared(stages: Sequence[Staged]) -> None:
    """Check that an inference stage is random, or releases labels only, just where its descriptor says so."""
    for one in stages:
        first, other = of_kind(one, Tensor, PROBABILITIES), one.trial.run("another key", 1).value
        if _no_probabilities(first, released(one.toy)):
            raise NotCheckedError(f'not checked, because "{PROBABILITIES}" fails')
        descriptor = defense_of(one.use)
        random, labels = not torch.equal(first, other), bool(((first == 0) | (first == 1)).all())
        for word, declared, found in (
            ("randomised", descriptor.randomised, random),
            ("labels_only", descriptor.labels_only, labels),
        ):
            if declared != found:
                raise ConformanceError(
                    found=f"on {one.trial.label} its output {'is' if found else 'is not'} {word.replace('_', ' ')}",
                    expected=f"{word}={declared}, as the descriptor says",
                    fix=f"set {word}={found} in the descriptor, or mend the stage",
                )


PLAIN = "the trained model is finite and plain"
PROBABILITIES = "its inference stage maps probabilities to probabilities"


def build(toy: Toy) -> nn.Module:
    """Build the toy network for a toy, with weights from the global generator."""
    model: nn.Module = NETWORK.entry.load()(NETWORK.params, toy.schema)
    return model


def released(toy: Toy) -> Tensor:
    """Return probabilities ``[rows, classes]`` that a model might release."""
    return torch.softmax(4 * logits_of(network_on(toy), task_rows(toy, rows=ROWS, key=("train",)).x), 1)


def _function(use: Use, stage: Stage) -> Callable[..., Any]:
    function: Callable[..., Any] = use.entry.load(defense_of(use).stages[stage])
    return function


def _prepared(use: Use, toy: Toy, stage: Stage) -> tuple[Callable[[], Any], Mapping[str, Any]]:
    function, rows = _function(use, stage), task_rows(toy, rows=ROWS, key=("train",))
    match stage:
        case "data":
            return lambda: function(rows, use.params), {"the rows": rows}
        case "training":
            training, context = training_on(toy), context_on(use, toy)
            return lambda: function(training, use.params, context), {"the training": training}
        case "model":
            fitted = Fitted(network_on(toy))
            return lambda: function(fitted, rows, use.params), {"the fitted model": fitted, "the rows": rows}
        case _:
            given = released(toy)
            return lambda: function(given, use.params), {"the probabilities": given}


def network_on(toy: Toy) -> nn.Module:
    """Return an untrained toy network, the same at each call."""
    with isolated("conformance", "network"):
        return build(toy).eval().requires_grad_(False)


def training_on(toy: Toy) -> Training:
    """Return the undefended training of the toy network."""
    return plain_training(partial(build, toy), SETTINGS, stackable=True)


def context_on(use: Use, toy: Toy) -> TrainingContext:
    """Return what a training stage is told of a toy."""
    return TrainingContext(rows=ROWS, schema=toy.schema, settings=SETTINGS, chain=(use.id,))


def of_kind(one: Staged, kind: type[V], reported_by: str) -> V:
    """Return what the stage gave back.

    Raises:
        NotCheckedError: if it is no ``kind``, which the check ``reported_by`` says.
    """
    value = _given(one, kind)
    if not isinstance(value, kind):
        raise NotCheckedError(f'not checked, because "{reported_by}" fails')
    return value


def _given(one: Staged, kind: type[V]) -> Any:
    """Return what a stage gave back; of rows with something left behind, the rows."""
    value = one.trial.first.value
    return value.data if kind is Data and isinstance(value, Prepared) else value


_SEVERAL = "before it and asking about two inputs of each row"
_CONTRACT = (
    "keep to the contract of objectives (call each network once, search on the frozen one), and extend draws and parts "
    "instead of replacing them"
)
_ORDERS = {
    "after it": _CONTRACT,
    "before it": _CONTRACT,
    _SEVERAL: "take the mean over a row's inputs, which follow each other, [k * n], or stand on an axis of their own, "
    "[n, k], as of_each_row in the tutorial does",
}
"""Where another defense stands, and how to mend what breaks beside it."""


def _composed(one: Staged, order: str, calls: list[None]) -> Training:
    plain, context = training_on(one.toy), context_on(one.use, one.toy)
    other = doubled if order == _SEVERAL else nudged
    wrap = partial(other, schema=one.toy.schema, seen=lambda: calls.append(None))
    with isolated("conformance", "compose"):
        if order == "after it":
            return wrap(one.function(plain, one.use.params, context))
        composed: Training = one.function(wrap(plain), one.use.params, context)
        return composed


def _fit_composed(training: Training, one: Staged, order: str) -> None:
    rows = task_rows(one.toy, rows=ROWS, key=("train",))
    try:
        with isolated("conformance", "composed fit"):
            training.fit(training, [rows], [rows], [Streams(("conformance", 0))])
    except Exception as error:
        raise ConformanceError(
            found=f"on {one.trial.label}, another defense standing {order}, training raised "
            f"{type(error).__name__}: {error}",
            expected="a trained model",
            fix=_ORDERS[order],
        ) from error


def _no_probabilities(found: Tensor, given: Tensor) -> str:
    if found.shape != given.shape or found.dtype != given.dtype:
        return f"it returned {found.dtype} {list(found.shape)} for {given.dtype} {list(given.shape)}"
    wrong = ~torch.isfinite(found).all(1) | (found < 0).any(1) | ((found.sum(1) - 1).abs() > 1e-4)
    return f"{int(wrong.sum())} of {len(found)} rows are no probabilities" if wrong.any() else ""
