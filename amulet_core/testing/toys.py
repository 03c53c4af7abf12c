"""Toy tasks: a small table with a sensitive attribute, small images, and a small network that trains on both."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor, nn
from torch.func import grad
from torch.nn.functional import cross_entropy

from amulet_core.components import Model, NoParams
from amulet_core.configuration.request import Use
from amulet_core.data import Data, bounds, make_data
from amulet_core.discovery.entries import Entry
from amulet_core.feasible import project, span
from amulet_core.modules import Classifier, Normalise
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_core.settings import TrainingSettings
from amulet_core.streams import generator
from amulet_core.training.values import Batch, Call, Draw, Training

NUMBERS: Final = 20
"""How many features of the table carry its class; the others are an integer, an immutable one and a one-hot group."""

_HIGH: Final = (*(1.0, 2.0, 5.0, 10.0) * (NUMBERS // 4), 20.0, 1.0, 1.0, 1.0, 1.0)

TABLE: Final = DataSchema(
    modality="tabular",
    shape=(NUMBERS + 5,),
    classes=("no", "yes"),
    sensitive=(Sensitive(name="group", categories=("a", "b", "c"), features=tuple(range(NUMBERS + 2, NUMBERS + 5))),),
    feasible=Feasible(
        low=tuple(-high if index < NUMBERS else 0.0 for index, high in enumerate(_HIGH)),
        high=_HIGH,
        immutable=(NUMBERS + 1,),
        one_hot=((NUMBERS + 2, NUMBERS + 3, NUMBERS + 4),),
        integer=(NUMBERS,),
    ),
)
IMAGES: Final = DataSchema(
    modality="image",
    shape=(1, 8, 8),
    classes=("black", "dark", "bright", "white"),
    feasible=Feasible(low=0.0, high=1.0),
)
SETTINGS: Final = TrainingSettings(epochs=2, batch_size=32, learning_rate=0.01)


@dataclass(frozen=True)
class Toy:
    """A toy task: what messages call it, its schema, and which of its features (flattened) carry the class."""

    label: str
    schema: DataSchema
    carriers: int
    """The first so many features carry the class, through their mean in units of their ranges."""
    levels: tuple[float, ...]
    """That mean in the middle of each class."""


TOYS: Final = (
    Toy("the toy table", TABLE, carriers=NUMBERS, levels=(0.3, 0.7)),
    Toy("the toy images", IMAGES, carriers=64, levels=(0.14, 0.38, 0.62, 0.86)),
)


def rows_at(toy: Toy, brightness: Tensor, *, y: Tensor, key: tuple[str | int, ...], first_id: int = 1000) -> Data:
    """Return one row for each ``brightness [n]``, the mean of its carriers; ids ascend by 3 from ``first_id``."""
    draws = generator("toy rows", toy.label, *key)
    n = len(brightness)
    unit = torch.rand(n, toy.schema.width, generator=draws)
    texture = (torch.rand(n, toy.carriers, generator=draws) - 0.5) / 5
    unit[:, : toy.carriers] = brightness[:, None] + texture - texture.mean(1, keepdim=True)
    low, high = (bound.flatten() for bound in bounds(toy.schema))
    x = low + unit.clamp(0, 1) * (high - low)
    for index in toy.schema.feasible.integer:
        x[:, index] = x[:, index].round()
    for group in toy.schema.feasible.one_hot:
        places = torch.tensor(group)
        x[:, places] = (x[:, places] == x[:, places].amax(1, keepdim=True)).float()
    groups = [x[:, list(held.features)].argmax(1) for held in toy.schema.sensitive]
    z = torch.stack(groups, 1) if groups else None
    ids = first_id + 3 * torch.arange(n)
    return make_data(x.reshape(n, *toy.schema.shape), y, toy.schema, z=z, ids=ids)


def task_rows(toy: Toy, *, rows: int, key: tuple[str | int, ...]) -> Data:
    """Return rows of a learnable task: their class is their level of brightness, with some overlap."""
    draws = generator("toy task", toy.label, *key)
    y = torch.randint(0, len(toy.levels), (rows,), generator=draws)
    level = torch.tensor(toy.levels)[y] + 0.1 * torch.randn(rows, generator=draws)
    return rows_at(toy, level.clamp(0.1, 0.9), y=y, key=key)


class Network(Classifier):
    """One hidden layer on flattened, normalised rows."""

    def __init__(self, schema: DataSchema) -> None:
        """Make the layers for rows of ``schema``."""
        super().__init__()
        self._axes = len(schema.shape)
        self.normalise = Normalise(schema)
        self.hidden = nn.Linear(schema.width, 16)
        self.head = nn.Linear(16, len(schema.classes))

    def features(self, x: Tensor) -> Tensor:
        """Return the hidden layer ``[..., 16]`` of rows ``[..., *schema.shape]``."""
        return torch.relu(self.hidden(self.normalise(x).flatten(-self._axes)))


def network(params: NoParams, schema: DataSchema) -> nn.Module:  # noqa: ARG001 - every architecture is built so
    """Make the toy network."""
    return Network(schema)


NETWORK: Final = Use(
    Entry(
        Model(
            name="toy-network",
            summary="One hidden layer of 16, for the conformance checks.",
            target="amulet_core.testing.toys:network",
            stackable=True,
            produces=("features",),
        ),
        plugin="testing",
        distribution="amulet-framework",
        version="0",
    ),
    NoParams(),
)


def doubled(training: Training, schema: DataSchema, seen: Callable[[], None]) -> Training:
    """Wrap training as TRADES does: the model is asked about two inputs of each row in one call, ``[2 * n, ...]``.

    ``seen()`` is called whenever the wrapped objective is.
    """
    reach = 0.02 * span(schema)

    def objective(call: Call, frozen: Call, batch: Batch) -> Tensor:
        seen()
        near = project(batch.x + reach * batch.draws[NUDGE.name], batch.x, schema, norm="linf", epsilon=0.05)
        apart: list[Tensor] = []

        def both(x: Tensor, part: str = "model") -> Tensor:
            if part != "model":
                return call(x, part)
            outputs = call(torch.cat([x, near]))
            first, other = outputs[: len(x)], outputs[len(x) :]
            apart[:] = [(first[: len(near)] - other).square().mean(-1)]
            return first

        losses = training.objective(both, frozen, batch)
        return losses + batch.w * apart[0]

    draws = training.draws if NUDGE in training.draws else (*training.draws, NUDGE)
    return replace(training, objective=objective, draws=draws)


NUDGE: Final = Draw("conformance nudge", "uniform")


def nudged(training: Training, schema: DataSchema, seen: Callable[[], None]) -> Training:
    """Wrap training as adversarial training does: the objective at a nearby row, found by a gradient of ``frozen``.

    ``seen()`` is called whenever the wrapped objective is.
    """
    reach = 0.02 * span(schema)

    def objective(call: Call, frozen: Call, batch: Batch) -> Tensor:
        seen()
        start = batch.x + reach * batch.draws[NUDGE.name]
        uphill = grad(lambda x: cross_entropy(frozen(x), batch.y, reduction="sum"))(start)
        x = project(start + reach * uphill.sign(), batch.x, schema, norm="linf", epsilon=0.05)
        return training.objective(call, frozen, batch._replace(x=x.detach()))

    draws = training.draws if NUDGE in training.draws else (*training.draws, NUDGE)
    return replace(training, objective=objective, draws=draws)
