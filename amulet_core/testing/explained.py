"""Conformance of a defense's explanations: one finite number for each feature of each input, and nothing changed."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from amulet_core.configuration.request import Use, defense_of
from amulet_core.explanations import Question
from amulet_core.modules import Classifier, Normalise
from amulet_core.schema import DataSchema
from amulet_core.streams import isolated
from amulet_core.testing.findings import ConformanceCheck, ConformanceError, conformance
from amulet_core.testing.manners import Trial, Trials, trial, working
from amulet_core.testing.toys import Toy, task_rows

EXPLANATIONS: Final = "its explanations say something finite of every feature"
_ROWS: Final = 40


class Chain(Classifier):
    """One hidden layer whose parts are all modules: some explanations are made at modules, not at functions."""

    def __init__(self, schema: DataSchema) -> None:
        """Make the layers for rows of ``schema``."""
        super().__init__()
        self.hidden = nn.Sequential(Normalise(schema), nn.Flatten(), nn.Linear(schema.width, 16), nn.ReLU())
        self.head = nn.Linear(16, len(schema.classes))

    def features(self, x: Tensor) -> Tensor:
        """Return the hidden layer ``[n, 16]`` of rows ``[n, *schema.shape]``."""
        hidden: Tensor = self.hidden(x)
        return hidden


def explanations(use: Use, toys: Sequence[Toy]) -> list[Trial]:
    """Return the explanations of an untrained network on each toy, to be tried; none of a defense without any."""
    if defense_of(use).explain is None:
        return []
    return [trial(f"{toy.label}, explanations", partial(_prepared, use, toy)) for toy in toys]


def checks(
    component: str, use: Use, *, toys: Callable[[], Sequence[Toy]], trials: Trials, own: Trials
) -> tuple[ConformanceCheck, ...]:
    """Return the checks of the trials ``own``, one for each toy, once all ``trials`` work."""

    def examine() -> None:
        working(trials)
        finite_numbers(own(), toys())

    why = "attacks read them beside predictions, and a run stops where they are missing"
    made = conformance(component, name=EXPLANATIONS, why=why, examine=examine)
    return (made,) if defense_of(use).explain else ()


def finite_numbers(trials: Sequence[Trial], toys: Sequence[Toy]) -> None:
    """Check that explanations are shaped like what they explain, and finite."""
    for one, toy in zip(trials, toys, strict=True):
        problem = _problem(one.first.value, [_ROWS, *toy.schema.shape])
        if problem:
            raise ConformanceError(
                found=f"on {one.label} it returned {problem}",
                expected="for every input one finite number for each of its features",
                fix="return a tensor shaped like question.x, and mend what is not finite",
            )


def _problem(found: object, shape: list[int]) -> str:
    if not isinstance(found, Tensor):
        return type(found).__name__
    if list(found.shape) != shape:
        return f"a tensor {list(found.shape)} for inputs {shape}"
    wrong = int((~torch.isfinite(found)).flatten(1).any(1).sum())
    return f"what is not finite for {wrong} of {_ROWS} inputs" if wrong else ""


def _prepared(use: Use, toy: Toy) -> tuple[Callable[[], Any], Mapping[str, Any]]:
    explain = use.entry.load(defense_of(use).explain)
    with isolated("conformance", "explained network"):
        model = Chain(toy.schema).eval().requires_grad_(False)
    x = task_rows(toy, rows=_ROWS, key=("explained",)).x
    question = Question(model, x, model(x).argmax(1), toy.schema)
    return lambda: explain(question, use.params), {"the question": question}
