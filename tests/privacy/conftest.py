"""Small problems for the gradient rule: networks, rows and objectives as a chain of defenses would make them."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.func import grad, stack_module_state
from torch.nn.functional import cross_entropy

from amulet_core.data import Data, make_data
from amulet_core.modules import Normalise
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_core.streams import generator, isolated
from amulet_core.training.parts import weighted_cross_entropy
from amulet_core.training.values import Batch, Bundle, Problem
from amulet_plugins_builtin.fairness.adversarial_debiasing import debiased

SHAPES = {"mlp": (6,), "cnn": (1, 8, 8)}


def schema_of(kind):
    """Return the schema of rows for an architecture."""
    return DataSchema(
        modality="tabular" if kind == "mlp" else "image",
        shape=SHAPES[kind],
        classes=("a", "b", "c"),
        sensitive=(Sensitive(name="group", categories=("u", "v")),),
        feasible=Feasible(low=-4.0, high=4.0),
    )


def network(kind):
    """Build a small network, with the fixed normalisation that real ones have."""
    schema = schema_of(kind)
    if kind == "mlp":
        return nn.Sequential(Normalise(schema), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    return nn.Sequential(
        Normalise(schema), nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 8), nn.Linear(8, 3)
    )


def adversarial(objective, *, steps=2, epsilon=0.3):
    """Wrap an objective in adversarial training: the inner maximisation on ``frozen``, starts from the batch."""

    def wrapped(call, frozen, batch):
        x = batch.x + epsilon * batch.draws["start"]
        for _ in range(steps):
            gradient = grad(lambda at: cross_entropy(frozen(at), batch.y, reduction="sum"))(x)
            x = batch.x + (x + 0.2 * gradient.sign() - batch.x).clamp(-epsilon, epsilon)
        return objective(call, frozen, batch._replace(x=x.detach()))

    return wrapped


def with_adversary(objective, strength=1.5):
    """Wrap an objective in adversarial debiasing of the first attribute."""
    return debiased(objective, strength=strength, column=0, adversary="adversary")


OBJECTIVES = {
    "cross-entropy": lambda: weighted_cross_entropy,
    "debiasing": lambda: with_adversary(weighted_cross_entropy),
    "adversarial training": lambda: adversarial(weighted_cross_entropy),
    "adversarial training of debiasing": lambda: adversarial(with_adversary(weighted_cross_entropy)),
    "debiasing of adversarial training": lambda: with_adversary(adversarial(weighted_cross_entropy)),
}


@dataclass(frozen=True)
class Toys:
    """Makers of problems and batches."""

    problem: Callable[..., Problem]
    batch: Callable[..., Batch]
    rows: Callable[..., Data]
    network: Callable[..., nn.Module] = network
    adversarial: Callable[..., object] = adversarial
    schema: Callable[..., DataSchema] = schema_of


def _rows(kind, n, seed=0):
    draw = generator("privacy test", kind, seed)
    x = torch.randn(n, *SHAPES[kind], generator=draw).clamp(-4, 4)
    z = torch.randint(2, (n, 1), generator=draw)
    return make_data(x, (x.flatten(1)[:, 0] > 0).long() + z[:, 0], schema_of(kind), z=z)


def _batch(kind, n, *, weights="ones"):
    rows = _rows(kind, max(n, 1)).take(torch.arange(n))
    w = torch.ones(n) if weights == "ones" else torch.linspace(0, 5, n)
    start = torch.rand(rows.x.shape, generator=generator("start")) * 2 - 1
    return Batch(rows.x[None], rows.y[None], rows.z[None], w[None], {"start": start[None]})


def _problem(kind, objective="cross-entropy", *, models=1, noise_seed=0, dtype=torch.float32):
    parts = {"model": lambda: network(kind)}
    if "debiasing" in objective:
        parts["adversary"] = lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    with isolated("privacy test", "init", kind):
        bundles = [Bundle({name: build() for name, build in parts.items()}).to(dtype) for _ in range(models)]
    stacked, fixed = stack_module_state(bundles)
    return Problem(
        skeleton=bundles[0].to("meta"),
        params={name: value.detach().requires_grad_() for name, value in stacked.items()},
        fixed=fixed,
        objective=OBJECTIVES[objective](),
        noise=[torch.Generator().manual_seed(noise_seed + model) for model in range(models)],
    )


@pytest.fixture
def toys() -> Toys:
    """Give the makers."""
    return Toys(problem=_problem, batch=_batch, rows=_rows)
