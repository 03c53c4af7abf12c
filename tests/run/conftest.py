"""A small plugin, quick to train, whose components can be told to fail; installed beside the built-in one."""

from collections.abc import Callable
from typing import Any

import importlib_metadata
import pytest

from amulet_core.registry import Registry, discover

TOY = '''
from pydantic import Field

from amulet_core.components import Attack, Dataset, Defense, Executor, LabRequest, Measure, Metric, Model, Params, Reporter
from amulet_core.hooks import hookimpl

HERE = __name__
SEEN = []


class BlobsParams(Params):
    rows: int = Field(1500, ge=2, description="how many rows")
    fault: str = Field("", description="what to get wrong")


class FaultParams(Params):
    fault: str = Field("", description="what to get wrong")


def blobs(params):
    import torch
    from amulet_core.data import Data, make_data
    from amulet_core.schema import DataSchema, Feasible, Sensitive

    if params.fault == "missing":
        raise FileNotFoundError("blobs.npz is not in the folder AMULET_DATA")
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(2, (params.rows,), generator=generator)
    z = (torch.rand(params.rows, generator=generator) < 0.3 + 0.4 * y).long()[:, None]
    x = torch.randn(params.rows, 4, generator=generator).clamp(-4, 4) * 0.2 + (y * 0.5)[:, None] + 0.1 * z
    x = x.clamp(-4, 4)
    if params.fault == "nan":
        x[3, 1] = float("nan")
    if params.fault == "one class":
        y = torch.zeros_like(y)
    sensitive = () if params.fault == "no groups" else (Sensitive(name="sex", categories=("f", "m", "x")),)
    schema = DataSchema(
        modality="tabular", shape=(4,), classes=("no", "yes"), sensitive=sensitive, feasible=Feasible(low=-4.0, high=4.0)
    )
    return make_data(x, y, schema, z=z if sensitive else None)


def linear(params, schema):
    from torch import nn

    SEEN.append("built")
    if params.fault == "raises":
        raise RuntimeError("the architecture is out of order")

    class Linear(nn.Linear):
        def forward(self, x):
            out = super().forward(x)
            return out * float("nan") if params.fault == "nan" and not self.training else out

    return Linear(schema.width, len(schema.classes))


def keep(training, params, context):
    if params.fault == "raises":
        raise RuntimeError("the defense is out of order")
    if params.fault == "exits":
        raise SystemExit(3)
    return None if params.fault == "nothing" else training


def flip(data, params):
    """Flip the labels of every second row, which is surely felt."""
    from dataclasses import replace

    return replace(data, y=data.y ^ (data.id % 2))


def halve(probabilities, params):
    """Say everything half as surely."""
    return probabilities / 2 + 0.5 / probabilities.shape[1]


def nudge(view, params):
    import torch
    from amulet_core.games.evasion import EvasionAnswer

    SEEN.append(tuple(view.x[0].tolist()))
    if params.fault == "raises":
        raise RuntimeError("the attack is out of order")
    if params.fault == "interrupted":
        raise KeyboardInterrupt
    changed = torch.stack([view.x] * len(view.epsilons))
    return EvasionAnswer(x=changed + (9.0 if params.fault == "cheats" else 0.0))


def curious(view, params):
    """Score by nothing, after asking for shadow models."""
    import torch
    from amulet_core.games.membership import MembershipAnswer

    SEEN.append(tuple(view.lab.candidates.shape))
    return MembershipAnswer(score=torch.zeros(len(view.y) - (params.fault == "short"), dtype=torch.float64))


def count(result, params):
    from amulet_core.scores import Scores, Value

    name = "other" if params.fault == "undeclared" else "rows"
    return Scores(values=(Value(name=name, estimate=len(result.y), method="count", n=len(result.y)),))


def note(results, folder, params):
    if params.fault == "raises":
        raise RuntimeError("the reporter is out of order")
    (folder / "note.txt").write_text(results.name)


PARAMS = {"params": FaultParams, "references": ()}


@hookimpl
def amulet_components():
    yield Dataset(name="blobs", summary="Two clouds of points", target=f"{HERE}:blobs", params=BlobsParams, licence="none")
    yield Model(name="linear", summary="A linear classifier", target=f"{HERE}:linear", stackable=True, **PARAMS)
    yield Model(
        name="opaque", summary="A model without gradients", target=f"{HERE}:linear", differentiable=False, **PARAMS
    )
    yield Defense(
        name="keep", summary="Leaves training as it is", target=f"{HERE}:keep", stages={"training": f"{HERE}:keep"},
        risk="evasion", **PARAMS,
    )
    yield Defense(
        name="flip", summary="Flips half of the labels", target=f"{HERE}:flip", stages={"data": f"{HERE}:flip"},
        risk="poisoning", reads_private_rows=True, **PARAMS,
    )
    yield Defense(
        name="halve", summary="Releases less sure probabilities", target=f"{HERE}:halve",
        stages={"inference": f"{HERE}:halve"}, risk="membership-inference", **PARAMS,
    )
    yield Defense(
        name="mute", summary="Releases labels and nothing else", target=f"{HERE}:halve", labels_only=True,
        stages={"inference": f"{HERE}:halve"}, risk="membership-inference", **PARAMS,
    )
    yield Defense(
        name="needy", summary="Needs what nobody makes here", target=f"{HERE}:keep", stages={"training": f"{HERE}:keep"},
        risk="evasion", requires=("trigger-set",), **PARAMS,
    )
    yield Attack(name="nudge", summary="Changes nothing at all", target=f"{HERE}:nudge", risk="evasion",
                 access="white-box", **PARAMS)
    yield Attack(name="pixels", summary="Works on images alone", target=f"{HERE}:nudge", risk="evasion",
                 access="white-box", modality=("image",), **PARAMS)
    yield Attack(name="curious", summary="Asks for shadow models", target=f"{HERE}:curious", risk="membership-inference",
                 access="probabilities", needs=lambda params, schema: (LabRequest(models=4),), **PARAMS)
    yield Reporter(name="note", summary="Writes the name of the run into a file", target=f"{HERE}:note", **PARAMS)
    yield Metric(name="count", summary="Counts the rows", target=f"{HERE}:count", risk="evasion",
                 measures=(Measure(name="rows", summary="how many rows", better="higher"),), **PARAMS)


@hookimpl
def amulet_cell_started(cell):
    SEEN.append(("started", cell["row"], cell["risk"], cell["attack"], cell["seed"]))


@hookimpl
def amulet_cell_finished(cell):
    SEEN.append((cell["row"], cell["risk"], cell["status"]))
'''

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def registry(packages: Any) -> Registry:
    """Return the built-in components and those of the toy plugin."""
    packages.add("toy", TOY, module="toy_components")
    own = importlib_metadata.entry_points(group="amulet.v1", name="builtin")
    found = discover(entry_points=[*packages.entry_points(), *own])
    assert found.warnings == ()
    return found


@pytest.fixture
def seen(registry: Registry) -> list[Any]:
    """Return the list into which the toy plugin notes what it sees."""
    import toy_components

    noted: list[Any] = toy_components.SEEN
    return noted


@pytest.fixture
def config() -> Make:
    """Return a function that makes a small, quick configuration, with changes."""

    def make(**changes: Any) -> dict[str, Any]:
        return {
            "dataset": "blobs",
            "model": "toy/linear",
            "training": {"epochs": 2, "batch_size": 50, "learning_rate": 0.05},
            "data": {"train": 50, "val": 20, "test": 200, "aux": 50},
            "defenses": [],
            "risks": {"evasion": {"attacks": ["nudge"]}},
            "seeds": 2,
        } | changes

    return make
