"""The poisoning game: the adversary replaces some training rows, and hands back test inputs with its trigger in them.

It sees the training rows and unlabelled test inputs, never a model. The same recipe then trains on the rows that it
changed, and the core compares that model with the one trained on the clean rows. A trigger is whatever the adversary
did to the test inputs; how many inputs it changed at all is reported.
"""

import math
from typing import Annotated, Final

import torch
from torch import Tensor

from amulet_core.data import Data, bounds, checked
from amulet_core.feasible import project, span
from amulet_core.games.artifacts import Artifact, shaped
from amulet_core.games.threats import PoisoningThreat
from amulet_core.schema import DataSchema
from amulet_core.streams import generator

_SLACK: Final = 1e-5
"""How far from a possible input a rounded one may lie, as a fraction of each feature's range."""


class PoisoningView(Artifact):
    """What the adversary gets: the training rows, how many of them it may replace, its target, inputs to trigger."""

    x: Annotated[Tensor, shaped(torch.float32, "n", ...)]
    y: Annotated[Tensor, shaped(torch.int64, "n")]
    budget: int
    target: int
    test_x: Annotated[Tensor, shaped(torch.float32, "m", ...)]
    data_schema: DataSchema


class PoisoningAnswer(Artifact):
    """What it hands back: which rows it replaces, by what, and the test inputs with its trigger.

    ``rows`` are positions in the view's rows, each once, at most ``budget``; what replaces them is any possible input
    of any class. ``triggered`` are the test inputs as the adversary would hand them in: possible ones, which keep the
    values of immutable features. An attack without a trigger hands back none of them (``view.test_x[:0]``). One that is
    not ``targeted`` wants errors of any kind: how often the target is answered says nothing of its success. One with a
    ``source`` wants the target for rows of that class alone: its success is counted on these.
    """

    rows: Annotated[Tensor, shaped(torch.int64, "k")]
    x: Annotated[Tensor, shaped(torch.float32, "k", ...)]
    y: Annotated[Tensor, shaped(torch.int64, "k")]
    triggered: Annotated[Tensor, shaped(torch.float32, "m", ...)]
    targeted: bool = True
    source: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def has_trigger(self) -> bool:
        """Say whether the attack has a trigger at all."""
        return len(self.triggered) > 0


class PoisoningResult(Artifact):
    """The answer joined with the truth: predictions of the poisoned and of the clean model, with and without trigger.

    ``changed``: which test inputs the trigger changed at all. ``poisoned``: how many training rows were replaced.
    Without a trigger (``has_trigger``) the predictions under it are the plain ones. ``targeted``: the attack wants the
    target, and not errors of any kind. ``source``: the class whose rows it wants to get the target (None: all others).
    """

    y: Annotated[Tensor, shaped(torch.int64, "m")]
    target: int
    plain: Annotated[Tensor, shaped(torch.int64, "m")]
    triggered: Annotated[Tensor, shaped(torch.int64, "m")]
    clean_plain: Annotated[Tensor, shaped(torch.int64, "m")]
    clean_triggered: Annotated[Tensor, shaped(torch.int64, "m")]
    changed: Annotated[Tensor, shaped(torch.bool, "m")]
    poisoned: int
    rows: int
    classes: tuple[str, ...]
    has_trigger: bool = True
    targeted: bool = True
    source: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def aimed_at(self) -> Tensor:
        """Return on which rows success is counted, bool ``[m]``: of the source class, or of all but the target."""
        return self.y != self.target if self.source is None else self.y == self.source


def view(train: Data, test: Data, threat: PoisoningThreat, draws: tuple[str | int, ...]) -> PoisoningView:
    """Return the adversary's view of a victim's training rows and of the test rows that this seed asks about."""
    return PoisoningView(
        x=train.x,
        y=train.y,
        budget=budget(len(train), threat),
        target=target_index(train.schema, threat.target),
        test_x=asked(test, threat, draws).x,
        data_schema=train.schema,
    )


def budget(rows: int, threat: PoisoningThreat) -> int:
    """Return how many of so many rows the adversary may replace: the rate of them, rounded down."""
    # .29 * 100 is 28.999999999999996.
    return math.floor(threat.rate * rows + 1e-9)


def target_index(schema: DataSchema, name: str) -> int:
    """Return the class that the adversary wants (empty: the first).

    Raises:
        ValueError: if the data set has no such class; it lists those it has.
    """
    if name and name not in schema.classes:
        raise ValueError(f"the data set has no class {name!r}; it has {', '.join(schema.classes)}")
    return schema.classes.index(name) if name else 0


def asked(test: Data, threat: PoisoningThreat, draws: tuple[str | int, ...]) -> Data:
    """Return the test rows that a seed asks about, the same for every defense and attack."""
    order = torch.randperm(len(test), generator=generator(*draws, "poisoning"))
    return test.take(order[: threat.rows])


def accept(train: Data, seen: PoisoningView, answer: PoisoningAnswer) -> PoisoningAnswer:
    """Return an answer that keeps to the rules.

    Raises:
        ValueError: naming every rule that it breaks.
    """
    problems = _problems(seen, answer)
    if not problems:
        try:
            checked(replaced(train, answer), whose="the rows it replaced")
        except ValueError as error:
            problems.append(str(error))
        else:
            problems += _impossible_rows(seen, answer)
        problems += _impossible_inputs(seen, answer)
    if problems:
        raise ValueError("the answer breaks the rules of the game: " + "; ".join(problems))
    return answer


def replaced(train: Data, answer: PoisoningAnswer) -> Data:
    """Return the training rows after poisoning; ids, groups and weights stay those of the rows replaced."""
    x, y = train.x.clone(), train.y.clone()
    x[answer.rows], y[answer.rows] = answer.x, answer.y
    return Data(x=x, y=y, z=train.z, w=train.w, id=train.id, schema=train.schema)


def _problems(seen: PoisoningView, answer: PoisoningAnswer) -> list[str]:
    problems = []
    count, rows = len(seen.y), answer.rows
    if len(rows) > seen.budget:
        problems.append(f"{len(rows)} rows are replaced, the budget is {seen.budget}")
    if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= count):
        problems.append(f"rows must lie in 0 .. {count - 1}, found {int(rows.min())} .. {int(rows.max())}")
    if len(rows.unique()) != len(rows):
        problems.append("a row is replaced twice")
    for name, given, like in (("x", answer.x, seen.x), ("triggered", answer.triggered, seen.test_x)):
        if given.shape[1:] != like.shape[1:]:
            problems.append(f"{name} has rows of the shape {list(given.shape[1:])}, expected {list(like.shape[1:])}")
    if len(answer.triggered) not in (0, len(seen.test_x)):
        problems.append(f"{len(answer.triggered)} triggered inputs came back for {len(seen.test_x)}")
    return problems + _source_problems(seen, answer)


def _source_problems(seen: PoisoningView, answer: PoisoningAnswer) -> list[str]:
    if answer.source is None:
        return []
    if not answer.targeted:
        return ["it has a source class, and aims at no target"]
    last = len(seen.data_schema.classes) - 1
    if not 0 <= answer.source <= last:
        return [f"source must be a class in 0 .. {last}, found {answer.source}"]
    if answer.source == seen.target:
        return [f"source is the target class, {seen.target}: its rows have it already"]
    return []


def _impossible_rows(seen: PoisoningView, answer: PoisoningAnswer) -> list[str]:
    schema = seen.data_schema
    free = schema.model_copy(update={"feasible": schema.feasible.model_copy(update={"immutable": ()})})
    wrong = _impossible(answer.x, seen.x[answer.rows], free)
    return [f"{wrong} replaced rows have impossible values in one-hot groups or integer features"] if wrong else []


def _impossible_inputs(seen: PoisoningView, answer: PoisoningAnswer) -> list[str]:
    low, high = bounds(seen.data_schema)
    outside = int(((answer.triggered < low) | (answer.triggered > high)).flatten(1).any(1).sum())
    if outside:
        return [f"{outside} triggered inputs leave the data's bounds"]
    wrong = _impossible(answer.triggered, seen.test_x[: len(answer.triggered)], seen.data_schema)
    return [f"{wrong} triggered inputs change features they must not, or to impossible values"] if wrong else []


def _impossible(x: Tensor, origin: Tensor, schema: DataSchema) -> int:
    """Count the rows that the data's own limits, whatever the distance, would not leave as they are."""
    settled = project(x, origin, schema, norm="linf", epsilon=1.0)
    return int(((settled - x).abs() > _SLACK * span(schema)).flatten(1).any(1).sum())
