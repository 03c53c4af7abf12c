"""Planted contests of reconstruction: victims that give their rows, classes and gradients away, or nothing of them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor, nn

from amulet_core.components import Defense, NoParams, Params
from amulet_core.configuration.request import Use
from amulet_core.discovery.entries import Entry
from amulet_core.games.contest import Bank, Contest
from amulet_core.games.reconstruction import (
    ReconstructionAnswer,
    ReconstructionResult,
    ReconstructionView,
    class_means,
)
from amulet_core.games.threats import ReconstructionThreat
from amulet_core.modules import Normalise
from amulet_core.planning.jobs import Recipe
from amulet_core.streams import generator
from amulet_core.testing.toys import NETWORK, SETTINGS, Toy, rows_at
from amulet_core.training.values import Batch, Problem, Step, Streams, Training, TrainingContext

_POOL: Final = 200
_AUX: Final = 600


class Levels(nn.Module):
    """A model that tells how near the brightness of a toy's row is to the level of each class, and no other input."""

    def __init__(self, toy: Toy, *, tells: bool) -> None:
        """Make the model, in eval mode; without ``tells`` it says the same of every row."""
        super().__init__()
        self._carriers = toy.carriers
        self.normalise = Normalise(toy.schema)
        self.levels = nn.Parameter(torch.tensor(toy.levels), requires_grad=False)
        self.sharpness = 60.0 if tells else 0.0
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, classes]``."""
        brightness = self.normalise(x).flatten(1)[:, : self._carriers].mean(1)
        near = torch.exp(-self.sharpness * (brightness[:, None] - self.levels).square())
        # Without the constant the likeliest input of a class would be an extreme one: differences would be linear.
        return torch.log(near + 0.01)


class _Drowned:
    """A gradient rule that releases noise alone."""

    stackable = False

    def start(self, problem: Problem) -> Step:
        """Return the step."""

        def step(_batch: Batch) -> dict[str, Tensor]:
            (noise,) = problem.noise
            return {name: torch.randn(value.shape, generator=noise) for name, value in problem.params.items()}

        return step


def drown(training: Training, params: NoParams, context: TrainingContext) -> Training:  # noqa: ARG001 - a stage
    """Return training whose gradients tell nothing."""
    return replace(training, gradient=_Drowned())


_TARGET: Final = f"{__name__}:drown"
_DROWN: Final = Use(
    Entry(
        Defense(
            name="drown",
            summary="Releases noise in the place of gradients.",
            target=_TARGET,
            stages={"training": _TARGET},
            risk="data-reconstruction",
        ),
        plugin="testing",
        distribution="amulet-framework",
        version="0",
    ),
    NoParams(),
)


def contest(toy: Toy, *, vulnerable: bool) -> Contest:
    """Return rows at the level of their class; the adversary's own are of any brightness: their means mislead."""
    draws = generator("planted reconstruction", toy.label)
    classes, n = len(toy.levels), _POOL + _AUX
    y = torch.randint(0, classes, (n,), generator=draws)
    brightness = 0.1 + 0.8 * torch.rand(n, generator=draws)
    brightness[:_POOL] = torch.tensor(toy.levels)[y[:_POOL]]
    rows = rows_at(toy, brightness, y=y, key=("reconstruction",))
    pool, aux = rows.take(torch.arange(_POOL)), rows.take(torch.arange(_POOL, n))
    model, nothing = Levels(toy, tells=vulnerable), torch.zeros(0, 0, classes)
    return Contest(
        model=model,
        beneath=model,
        pool=pool,
        member=torch.randperm(_POOL, generator=draws) < _POOL // 2,
        test=aux,
        aux=aux,
        bank=Bank(nothing, torch.zeros(0, 0, dtype=torch.bool), nothing, adaptive=True),
        draws=("conformance", "draws"),
        recipe=Recipe(NETWORK, () if vulnerable else (_DROWN,), SETTINGS),
        streams=Streams(("conformance", "streams")),
    )


def threats(toy: Toy) -> Mapping[str, Params]:  # noqa: ARG001 - the same for every toy
    """Return the threat model."""
    return {"": ReconstructionThreat(rows=_POOL, gradients=16)}


def power(result: ReconstructionResult) -> float:
    """Return by how much the error on training rows is below that of the class mean, as a share of it; at least 0."""
    inside = result.member
    low, high = (result.data_schema.feasible.low, result.data_schema.feasible.high)
    scale = (torch.as_tensor(high) - torch.as_tensor(low)).expand(result.data_schema.width)
    error, floor = (
        ((answer[result.of] - result.truth)[inside].flatten(1) / scale).square().mean()
        for answer in (result.x, result.class_mean)
    )
    return max(0.0, 1 - float(error / floor))


def size_problem(view: ReconstructionView, answer: ReconstructionAnswer) -> str:
    """Tell how an answer has the wrong shape."""
    found, expected = list(answer.x.shape), [view.size, *view.data_schema.shape]
    return "" if found == expected else f"x {found}, not [size, ...] = {expected}"


def blind(view: ReconstructionView) -> ReconstructionAnswer:
    """Answer with the class means of the adversary's own rows."""
    means = class_means(view.aux_x, view.aux_y, len(view.data_schema.classes))
    return ReconstructionAnswer(x=means[view.y])
