"""The poisoning game: the adversary replaces some training rows, and hands back test inputs with its trigger in them.

It sees the training rows and unlabelled test inputs, never a model. The same recipe then trains on the rows that it
changed, and the core compares that model with the one trained on the clean rows. A trigger is whatever the adversary
did to the test inputs; inputs that it left alone count as untriggered and are reported.
"""

from typing import Annotated

import torch
from torch import Tensor

from amulet_core.artifacts import Artifact, shaped
from amulet_core.data import Data, bounds, checked
from amulet_core.games.threats import PoisoningThreat
from amulet_core.schema import DataSchema
from amulet_core.streams import generator


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

    ``rows`` are positions in the view's rows, each once, at most ``budget``. An attack without a trigger hands back the
    test inputs as they are.
    """

    rows: Annotated[Tensor, shaped(torch.int64, "k")]
    x: Annotated[Tensor, shaped(torch.float32, "k", ...)]
    y: Annotated[Tensor, shaped(torch.int64, "k")]
    triggered: Annotated[Tensor, shaped(torch.float32, "m", ...)]
    warnings: tuple[str, ...] = ()


class PoisoningResult(Artifact):
    """The answer joined with the truth: predictions of the poisoned and of the clean model, with and without trigger.

    ``changed``: which test inputs the trigger changed at all. ``poisoned``: how many training rows were replaced.
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
    warnings: tuple[str, ...] = ()


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
    """Return how many of so many rows the adversary may replace."""
    return int(threat.rate * rows)


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
        problems += _outside(seen, answer)
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
    if len(answer.triggered) != len(seen.test_x):
        problems.append(f"{len(answer.triggered)} triggered inputs came back for {len(seen.test_x)}")
    return problems


def _outside(seen: PoisoningView, answer: PoisoningAnswer) -> list[str]:
    low, high = bounds(seen.data_schema)
    outside = int(((answer.triggered < low) | (answer.triggered > high)).flatten(1).any(1).sum())
    return [f"{outside} triggered inputs leave the data's bounds"] if outside else []
