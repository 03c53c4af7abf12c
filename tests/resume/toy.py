"""A plugin that trains in milliseconds, with a defense for each stage, and components that fail until a file is there.

Its parts live in modules of their own (``toy_keeping`` and so on), so that the code of one can be edited alone.
"""

KEEPING = '''
def keep(training, params, context):
    """Train as before, then scale the weights, which changes every model a little."""
    from dataclasses import replace

    def fit(*given):
        models = training.fit(*given)
        for one in models:
            for tensor in one.model.parameters():
                tensor.detach().mul_(params.strength)
        return [replace(one, evidence={"strength": params.strength}) for one in models]

    return replace(training, fit=fit)
'''

HALVING = '''
def halve(probabilities, params):
    """Say everything less surely."""
    return probabilities * params.strength + (1 - params.strength) / probabilities.shape[1]
'''

SWAPPING = '''
import torch
from torch import nn


class Shifted(nn.Linear):
    """A linear layer with something that is not among its tensors."""

    shift = 0.0

    def forward(self, x):
        return super().forward(x) + torch.tensor([self.shift, 0.0])


class Listed(nn.Linear):
    """A linear layer with a list that is no tensor."""

    def __init__(self, width, classes):
        super().__init__(width, classes)
        self.extra = [0.0]

    def forward(self, x):
        return super().forward(x) + torch.tensor([self.extra[0], 0.0])


class Noted(nn.Linear):
    """A linear layer that wants to keep more than tensors."""

    def get_extra_state(self):
        return {"note": "kept"}

    def set_extra_state(self, state):
        pass


def alike(model, kind):
    other = kind(model.in_features, model.out_features)
    other.load_state_dict(model.state_dict(), strict=False)
    return other


def swap(fitted, data, params):
    from dataclasses import replace

    if params.how == "nested":
        return replace(fitted, model=nn.Sequential(fitted.model))
    if params.how == "listed":
        fitted.model.extra = [0.5]
        return fitted
    if params.how == "hooked":
        fitted.model.register_full_backward_hook(lambda module, given, taken: (given[0] * 0,))
        return fitted
    if params.how == "noted":
        return replace(fitted, model=alike(fitted.model, Noted))
    shifted = alike(fitted.model, Shifted)
    shifted.shift = float("nan") if params.how == "nan" else 0.5
    return replace(fitted, model=shifted)
'''

ATTACKING = '''
import os
from pathlib import Path


def nudge(view, params):
    """Move every row by a step in a direction that depends on the model."""
    import torch
    from amulet_core.games.evasion import EvasionAnswer

    if params.until and not Path(params.until).exists():
        if params.how == "interrupts":
            raise KeyboardInterrupt
        raise RuntimeError("the file is not there yet")
    sign = view.model.logits(view.x).detach().sum(1, keepdim=True).sign()
    changed = [view.x + sign * params.step * epsilon for epsilon in view.epsilons]
    return EvasionAnswer(x=torch.stack(changed))
'''

COMPONENTS = """
from contextlib import contextmanager
from typing import Literal
import os

from pydantic import Field

from amulet_core.components import Attack, Dataset, Defense, Executor, Model, Params
from amulet_core.hooks import hookimpl

HERE = __name__


class BlobsParams(Params):
    rows: int = Field(600, ge=2, description="how many rows")
    seed: int = Field(0, ge=0, description="of the rows")


class StrengthParams(Params):
    strength: float = Field(0.9, ge=0, le=1, description="how strongly it acts")


class SwapParams(Params):
    how: Literal["nested", "shifted", "noted", "nan", "listed", "hooked"] = Field("nested", description="what it returns")


class NudgeParams(Params):
    step: float = Field(0.5, ge=0, le=1, description="the part of the budget it uses")
    until: str = Field("", description="the file without which it fails")
    how: Literal["raises", "interrupts"] = Field("raises", description="how it fails")


def blobs(params):
    import torch
    from amulet_core.data import make_data
    from amulet_core.schema import DataSchema, Feasible

    generator = torch.Generator().manual_seed(params.seed)
    y = torch.randint(2, (params.rows,), generator=generator)
    y = (y + int(os.environ.get("TOY_FLIP", "0"))) % 2
    x = (torch.randn(params.rows, 4, generator=generator) * 0.3 + (y * 0.4)[:, None]).clamp(-4, 4)
    feasible = Feasible(low=-4.0, high=4.0)
    return make_data(x, y, DataSchema(modality="tabular", shape=(4,), classes=("no", "yes"), feasible=feasible))


def linear(params, schema):
    from torch import nn

    return nn.Linear(schema.width, len(schema.classes))


class FragileParams(Params):
    jobs: int = Field(3, ge=0, description="after how many jobs it breaks")


class Fragile:
    def __init__(self, jobs):
        self.jobs, self.task = jobs, None

    @property
    def room(self):
        return int(self.task is None)

    def submit(self, task):
        self.task = task

    def next(self):
        if not self.jobs:
            raise ConnectionError("the cluster is gone")
        self.jobs -= 1
        task, self.task = self.task, None
        return task.key, task.work()


@contextmanager
def fragile(params, setting):
    yield Fragile(params.jobs)


def listing(params, schema):
    from toy_swapping import Listed

    return Listed(schema.width, len(schema.classes))


def noting(params, schema):
    from toy_swapping import Noted

    return Noted(schema.width, len(schema.classes))


@hookimpl
def amulet_components():
    yield Dataset(name="blobs", summary="Two clouds of points", target=f"{HERE}:blobs", params=BlobsParams, licence="none")
    yield Model(name="linear", summary="A linear classifier", target=f"{HERE}:linear", stackable=True)
    yield Model(name="listing", summary="A linear classifier with a list", target=f"{HERE}:listing")
    yield Model(name="noting", summary="A linear classifier with a note", target=f"{HERE}:noting")
    yield Executor(name="fragile", summary="Breaks down", target=f"{HERE}:fragile", params=FragileParams)
    yield Defense(
        name="keep", summary="Scales the weights", target="toy_keeping:keep", stages={"training": "toy_keeping:keep"},
        risk="evasion", params=StrengthParams,
    )
    yield Defense(
        name="halve", summary="Releases less sure probabilities", target="toy_halving:halve",
        stages={"inference": "toy_halving:halve"}, risk="membership-inference", params=StrengthParams,
    )
    yield Defense(
        name="swap", summary="Returns another module", target="toy_swapping:swap", stages={"model": "toy_swapping:swap"},
        risk="evasion", params=SwapParams,
    )
    for name in ("nudge", "shove"):
        yield Attack(
            name=name, summary="Moves every row a little", target="toy_attacking:nudge", risk="evasion",
            access="white-box", params=NudgeParams,
        )
"""

MODULES = {
    "toy_keeping": KEEPING,
    "toy_halving": HALVING,
    "toy_swapping": SWAPPING,
    "toy_attacking": ATTACKING,
    "toy_components": COMPONENTS,
}
