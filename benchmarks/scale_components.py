"""The plugin of the benchmark of scale: components that take next to no time."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from amulet_core.components import Attack, Component, Dataset, Defense, LabRequest, Model, NoParams, Params
from amulet_core.hooks import hookimpl

if TYPE_CHECKING:
    from torch import nn

    from amulet_core.data import Data
    from amulet_core.games.evasion import EvasionAnswer, EvasionView
    from amulet_core.games.membership import MembershipAnswer, MembershipView
    from amulet_core.schema import DataSchema
    from amulet_core.training.values import Fitted, Streams, Training, TrainingContext

HERE = __name__
SHADOW_MODELS = 4


class LazyParams(Params):
    """The settings of a defense that is there many times."""

    number: int = Field(0, ge=0, description="which one it is")


def blobs(_params: NoParams) -> "Data":
    """Return two clouds of points."""
    import torch

    from amulet_core.data import make_data
    from amulet_core.schema import DataSchema, Feasible, Sensitive

    generator = torch.Generator().manual_seed(0)
    y = torch.randint(2, (400,), generator=generator)
    z = torch.randint(2, (400, 1), generator=generator)
    x = torch.randn(400, 4, generator=generator).clamp(-4, 4) * 0.2 + y[:, None]
    schema = DataSchema(
        modality="tabular",
        shape=(4,),
        classes=("no", "yes"),
        feasible=Feasible(low=-4.0, high=4.0),
        sensitive=(Sensitive(name="group", categories=("a", "b")),),
    )
    return make_data(x.clamp(-4, 4), y, schema, z=z)


def linear(_params: NoParams, schema: "DataSchema") -> "nn.Module":
    """Return a linear classifier."""
    from torch import nn

    return nn.Linear(schema.width, len(schema.classes))


def lazy(training: "Training", _params: LazyParams, _context: "TrainingContext") -> "Training":
    """Return models that nobody trained, each slightly different, and good enough not to be degenerate."""
    from dataclasses import replace

    import torch

    from amulet_core.training.values import Fitted

    def fit(
        training: "Training", rows: Sequence["Data"], _val: Sequence["Data"], streams: Sequence["Streams"]
    ) -> list["Fitted"]:
        fitted = []
        for _, own in zip(rows, streams, strict=True):
            model = training.parts["model"]()
            weight = torch.rand(2, 4, generator=own.generator("lazy")) * torch.tensor([[-1.0], [1.0]])
            model.load_state_dict({"weight": weight, "bias": torch.tensor([1.0, -1.0])})
            fitted.append(Fitted(model.eval()))
        return fitted

    return replace(training, fit=fit)


def copy(view: "EvasionView", _params: NoParams) -> "EvasionAnswer":
    """Leave every row as it is."""
    import torch

    from amulet_core.games.evasion import EvasionAnswer

    return EvasionAnswer(x=torch.stack([view.x] * len(view.epsilons)))


def guess(view: "MembershipView", _params: NoParams) -> "MembershipAnswer":
    """Score every candidate by its place."""
    import torch

    from amulet_core.games.membership import MembershipAnswer

    return MembershipAnswer(score=torch.arange(len(view.y), dtype=torch.float64))


def shadow_models(_params: Any, _schema: "DataSchema") -> tuple[LabRequest, ...]:
    """Ask for shadow models."""
    return (LabRequest(models=SHADOW_MODELS),)


@hookimpl
def amulet_components() -> Iterator[Component]:
    """Yield them all."""
    yield Dataset(name="blobs", summary="Two clouds of points", target=f"{HERE}:blobs", licence="none")
    yield Model(name="linear", summary="A linear classifier", target=f"{HERE}:linear", stackable=True)
    yield Defense(
        name="lazy",
        summary="Trains nothing at all",
        target=f"{HERE}:lazy",
        risk="evasion",
        stages={"training": f"{HERE}:lazy"},
        params=LazyParams,
    )
    for name in ("copy", "again"):
        yield Attack(name=name, summary="Changes nothing", target=f"{HERE}:copy", risk="evasion", access="white-box")
    yield Attack(
        name="guess",
        summary="Knows nothing",
        target=f"{HERE}:guess",
        risk="membership-inference",
        access="probabilities",
        needs=shadow_models,
    )
