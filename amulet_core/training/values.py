"""The values of training: what a recipe trains, with which parts, and what comes out.

A training-stage defense takes a ``Training`` and returns another, with parts replaced or wrapped; it never changes one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from amulet_core.data import Data
from amulet_core.schema import DataSchema
from amulet_core.settings import TrainingSettings
from amulet_core.streams import generator


class Batch(NamedTuple):
    """The rows of one step as an objective sees them, and the random draws it asked for, made outside of it.

    ``x [n, ...]``, ``y [n]``, ``z [n, attributes]``, ``w [n]``; every draw has the shape of ``x``. ``progress`` is the
    share of the training's steps that were taken before this one, 0 .. 1, for objectives that change on the way.
    """

    x: Tensor
    y: Tensor
    z: Tensor
    w: Tensor
    draws: dict[str, Tensor]
    progress: float = 1.0


class Draw(NamedTuple):
    """A random tensor like ``x`` that an objective wants in each batch: uniform on [-1, 1], or standard normal."""

    name: str
    kind: Literal["uniform", "normal"]


class Call(Protocol):
    """A network as a function of its input; ``part`` names which network of the bundle, or which view of one."""

    def __call__(self, x: Tensor, part: str = "model") -> Tensor:
        """Return the part's outputs on ``x``."""


View = Callable[[nn.Module, Tensor], Tensor]
"""``view(model, x) -> tensor``: another function of the model's weights than its outputs, such as bounds of them."""

Objective = Callable[[Call, Call, Batch], Tensor]
"""``objective(call, frozen, batch) -> losses [n]``, each row's own, times ``w``; the gradient is that of their mean.

``call`` is to be called once for each part and is what gradients reach; k inputs of each row follow each other there,
``[k * n, ...]``. ``frozen`` is the same networks as hook-free functions of detached parameters, for every inner
maximisation. It runs under ``torch.func.vmap``."""


class Bundle(nn.Module):
    """All networks that are trained together, as one module: ``model`` and whatever a defense adds.

    A view has a name of its own beside the parts, and no weights.
    """

    def __init__(self, parts: Mapping[str, nn.Module], views: Mapping[str, View] | None = None) -> None:
        """Join the parts, and the views of the model, under their names."""
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self._views = dict(views or {})

    def forward(self, x: Tensor, part: str = "model") -> Tensor:
        """Return the outputs of one part, or of one view of the model."""
        if part in self._views:
            return self._views[part](self.parts["model"], x)
        out: Tensor = self.parts[part](x)
        return out


@dataclass(frozen=True)
class Streams:
    """The random streams of one model: keyed by its place, never by its defenses, so that recipes share their draws."""

    key: tuple[str | int, ...]

    def generator(self, purpose: str) -> torch.Generator:
        """Return a fresh generator for one purpose."""
        return generator(*self.key, purpose)


class Sampler(Protocol):
    """Which rows make each batch."""

    def epoch(self, n: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield the row positions of every batch of one pass over ``n`` rows."""


@dataclass(frozen=True)
class Problem:
    """What a gradient rule works on: ``params`` are leaf tensors ``[models, ...]``, ``fixed`` the buffers likewise.

    ``skeleton`` is the bundle without values, for ``torch.func.functional_call``; ``noise``: one generator a model.
    """

    skeleton: Bundle
    params: Mapping[str, Tensor]
    fixed: Mapping[str, Tensor]
    objective: Objective
    noise: Sequence[torch.Generator]


Step = Callable[[Batch], dict[str, Tensor]]
"""Turns a batch ``[models, n, ...]`` into the gradients ``[models, ...]`` of every parameter."""


class GradientRule(Protocol):
    """How per-sample losses become the gradients that the optimiser applies."""

    @property
    def stackable(self) -> bool:
        """Say whether several models can be trained as one stack."""

    def start(self, problem: Problem) -> Step:
        """Prepare for one run of the loop."""


@dataclass(frozen=True)
class Prepared:
    """What a data stage returns that leaves something behind: rows, public evidence (JSON), and a proof (tensors)."""

    data: Data
    evidence: Mapping[str, Any] = field(default_factory=dict)
    proof: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Fitted:
    """A trained model, plain, and the evidence that its defenses left (privacy spent, certificates), as JSON.

    ``proof`` is what the owner keeps to itself, as tensors: a trigger set, say, with which it can later show that a
    model is its own. It is kept beside the model, and is in no result.
    """

    model: nn.Module
    evidence: Mapping[str, Any] = field(default_factory=dict)
    proof: Mapping[str, Tensor] = field(default_factory=dict)


Fit = Callable[["Training", Sequence[Data], Sequence[Data], Sequence[Streams]], list[Fitted]]
"""``fit(training, rows of each model, validation rows of each, streams of each) -> one Fitted a model``."""


@dataclass(frozen=True)
class Training:
    """How models are trained. ``parts`` build the networks (``model`` first); every ``Fitted`` gets ``evidence``.

    ``views`` are further functions of the model that an objective may call by name, as if they were parts.
    """

    parts: Mapping[str, Callable[[], nn.Module]]
    settings: TrainingSettings
    sampler: Sampler
    objective: Objective
    gradient: GradientRule
    fit: Fit
    draws: tuple[Draw, ...] = ()
    views: Mapping[str, View] = field(default_factory=dict)
    stackable: bool = False
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingContext:
    """What a training-stage defense may know when it builds a ``Training``: public facts only.

    ``rows`` is the number of training rows (after data stages), ``settings`` those of the run, ``chain`` the ids of all
    defenses of the row of the matrix, in the order in which they act.
    """

    rows: int
    schema: DataSchema
    settings: TrainingSettings
    chain: tuple[str, ...] = ()
