"""A small plugin, quick to train, whose components can be told to fail; installed beside the built-in one."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import importlib_metadata
import pytest

from amulet_core.discovery.registry import Registry, discover

sys.path.append(str(Path(__file__).parent))

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
    if params.fault == "nothing to learn":
        x = torch.randn(params.rows, 4, generator=generator).clamp(-4, 4)
        y = torch.randint(2, (params.rows,), generator=generator)
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

    if params.fault == "three logits":
        return nn.Linear(schema.width, 3)

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
    if params.fault == "half a character":
        raise ValueError("no such file: a\\udcff")
    if params.fault in ("no models", "half the models", "nan evidence"):
        from dataclasses import replace

        fit = training.fit
        change = {
            "no models": lambda models: [None for _ in models],
            "half the models": lambda models: models[: len(models) // 2],
            "nan evidence": lambda models: [replace(model, evidence={"spent": float("nan")}) for model in models],
        }[params.fault]
        return replace(training, fit=lambda *given: change(fit(*given)))
    return None if params.fault == "nothing" else training


def flip(data, params):
    """Flip the labels of every second row, which is surely felt."""
    from dataclasses import replace

    return replace(data, y=data.y ^ (data.id % 2))


def thin(data, params):
    return data.take(data.id % 2 == 0)


def broken(params, setting):
    if not params.fault:
        raise RuntimeError("no workers")
    from contextlib import contextmanager
    from amulet_plugins_builtin.executors.inline import InlineSession

    @contextmanager
    def session():
        setting.warn("the workers are tired")
        SEEN.append("warned")
        yield InlineSession()
        raise OSError("cannot close the door")

    return session()


def halve(probabilities, params):
    """Say everything half as surely."""
    if params.fault == "raises":
        raise RuntimeError("the wrapper is out of order")
    if params.fault == "exits":
        raise SystemExit(3)
    if params.fault == "no probabilities":
        return probabilities * 2
    if params.fault == "noisy":
        import torch

        return torch.softmax(torch.randn_like(probabilities), 1)
    if params.fault == "certain":
        return (probabilities > 0.5).float()
    return probabilities / 2 + 0.5 / probabilities.shape[1]


def nudge(view, params):
    import torch
    from amulet_core.games.evasion import EvasionAnswer

    SEEN.append(tuple(view.x[0].tolist()))
    if params.fault == "raises":
        raise RuntimeError("the attack is out of order")
    if params.fault == "counts threads":
        from threadpoolctl import threadpool_info

        SEEN.append(("threads", tuple({pool["num_threads"] for pool in threadpool_info()})))
    if params.fault == "interrupted":
        raise KeyboardInterrupt
    if params.fault == "goes elsewhere":
        import os

        os.mkdir("elsewhere")
        os.chdir("elsewhere")
    if params.fault == "asks about nan":
        view.model.logits(view.x * float("nan"))
    SEEN.append(("logits", view.model.logits(view.x[:5]).detach()))
    changed = torch.stack([view.x] * len(view.epsilons))
    return EvasionAnswer(x=changed + (9.0 if params.fault == "cheats" else 0.0))


def curious(view, params):
    """Score by nothing, after asking for shadow models."""
    import torch
    from amulet_core.games.membership import MembershipAnswer

    SEEN.append(tuple(view.lab.candidates.shape))
    SEEN.append(("lab", view.lab.candidates.clone()))
    SEEN.append(("population", view.population_y.clone()))
    return MembershipAnswer(
        score=torch.zeros(len(view.y) - (params.fault == "short"), dtype=torch.float64),
        threshold=float("nan") if params.fault == "nan threshold" else None,
    )


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
        name="dice", summary="Answers at random each time", target=f"{HERE}:halve",
        stages={"inference": f"{HERE}:halve"}, risk="membership-inference", randomised=True, **PARAMS,
    )
    yield Defense(
        name="thin", summary="Drops every second of the rows", target=f"{HERE}:thin", stages={"data": f"{HERE}:thin"},
        risk="poisoning", **PARAMS,
    )
    yield Defense(
        name="lost", summary="Has a target that is not there", target=f"{HERE}:gone", stages={"training": f"{HERE}:gone"},
        risk="evasion", **PARAMS,
    )
    yield Attack(name="fussy", summary="Cannot say whether it applies", target=f"{HERE}:nudge", risk="evasion",
                 access="white-box", applicable=lambda params, schema: 1 / 0, **PARAMS)
    yield Attack(name="needless", summary="Cannot say what it needs", target=f"{HERE}:nudge", risk="evasion",
                 access="white-box", needs=lambda params, schema: 1 / 0, **PARAMS)
    yield Executor(name="broken", summary="An executor that cannot start", target=f"{HERE}:broken", **PARAMS)
    yield Defense(
        name="mute", summary="Releases labels and nothing else", target=f"{HERE}:halve", labels_only=True,
        stages={"inference": f"{HERE}:halve"}, risk="membership-inference", **PARAMS,
    )
    yield Defense(
        name="hush", summary="Releases labels and nothing else too", target=f"{HERE}:halve", labels_only=True,
        stages={"inference": f"{HERE}:halve"}, risk="membership-inference", **PARAMS,
    )
    yield Defense(
        name="giver", summary="Makes what another needs", target=f"{HERE}:keep", stages={"training": f"{HERE}:keep"},
        risk="evasion", produces=("trigger-set",), **PARAMS,
    )
    yield Defense(
        name="needy", summary="Needs what another makes", target=f"{HERE}:keep", stages={"training": f"{HERE}:keep"},
        risk="evasion", requires=("trigger-set",), **PARAMS,
    )
    yield Defense(
        name="second", summary="Will not stand alone", target=f"{HERE}:keep", stages={"training": f"{HERE}:keep"},
        risk="evasion", beside=lambda params, chain: [] if len(chain) > 1 else ["alone it does nothing"], **PARAMS,
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
