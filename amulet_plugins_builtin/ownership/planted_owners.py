"""Owners and suspects whose kinship is known, for the checks of the ownership defenses."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from amulet_core.data import Data, make_data
from amulet_core.games.verification import VerificationAnswer, VerificationView
from amulet_core.modules import Classifier, Normalise
from amulet_core.performing.recipes import evidence_json
from amulet_core.schema import DataSchema, Feasible
from amulet_core.settings import TrainingSettings
from amulet_core.streams import generator, isolated
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Fitted, Streams, Training, TrainingContext
from amulet_core.victims import LabelOracle, ProbabilityOracle, WhiteBox

SCHEMA: Final = DataSchema(
    modality="image", shape=(1, 6, 6), classes=tuple("abcd"), feasible=Feasible(low=0.0, high=16.0)
)
ROWS: Final = 120


class Small(Classifier):
    """One hidden layer on flattened, normalised rows."""

    def __init__(self, schema: DataSchema = SCHEMA, hidden: int = 128) -> None:
        """Make the layers."""
        super().__init__()
        self._axes = len(schema.shape)
        self.normalise = Normalise(schema)
        self.hidden = nn.Linear(schema.width, hidden)
        self.head = nn.Linear(hidden, len(schema.classes))

    def features(self, x: Tensor) -> Tensor:
        """Return the hidden layer ``[..., hidden]``."""
        return torch.relu(self.hidden(self.normalise(x).flatten(-self._axes)))


class Nearest(nn.Module):
    """A model that knows the labels of some rows by heart, and answers with that of the nearest."""

    def __init__(self, x: Tensor, y: Tensor, classes: int) -> None:
        """Take the rows ``[k, ...]`` and their labels ``[k]``."""
        super().__init__()
        self.register_buffer("known", x.flatten(1))
        self.register_buffer("answer", 10 * nn.functional.one_hot(y, classes).float())
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, classes]``: 10 for the label, 0 for the others."""
        near = torch.cdist(x.flatten(1), self.get_buffer("known")).argmin(1)
        return self.get_buffer("answer")[near]


def rows(*key: str | int, n: int = ROWS, noise: float = 0.0) -> Data:
    """Return rows whose class is where they are bright; a share ``noise`` of the labels is drawn anew."""
    draws = generator("planted owners", *key)
    y = torch.randint(4, (n,), generator=draws)
    x = 12 * torch.rand(n, 4, 9, generator=draws)
    x[torch.arange(n), y] += 4
    drawn = torch.randint(4, (n,), generator=draws)
    label = torch.where(torch.rand(n, generator=draws) < noise, drawn, y)
    return make_data(x.reshape(n, 1, 6, 6), label, SCHEMA)


def training(epochs: int = 40) -> Training:
    """Return the undefended training of a small network."""
    return plain_training(Small, TrainingSettings(epochs=epochs, batch_size=40, learning_rate=5e-3), stackable=True)


def context() -> TrainingContext:
    """Return what a training-stage defense is told."""
    return TrainingContext(rows=ROWS, schema=SCHEMA, settings=training().settings)


def fitted(how: Training, parts: Sequence[Data], *key: str | int) -> list[Fitted]:
    """Train one model on each of the parts, each by streams of its own."""
    held = [rows("val", *key, n=40)] * len(parts)
    with isolated("planted owners"):
        return how.fit(how, list(parts), held, [Streams((*key, index)) for index in range(len(parts))])


def view(
    owner: Fitted,
    suspects: Sequence[nn.Module],
    data: Data,
    val: Data,
    *,
    kind: type[LabelOracle | ProbabilityOracle | WhiteBox],
) -> VerificationView:
    """Return what the owner sees of these suspects."""
    evidence: Mapping[str, Any] = evidence_json(owner.evidence)
    return VerificationView(
        suspects=tuple(kind(model) for model in suspects),
        evidence=evidence,
        proof=owner.proof,
        model=WhiteBox(owner.model),
        x=data.x,
        y=data.y,
        val_x=val.x,
        val_y=val.y,
        data_schema=data.schema,
    )


def p_of(answer: VerificationAnswer) -> Tensor:
    """Return the p-values ``[k]`` of an answer that has some."""
    assert answer.p is not None, "there are no p-values, expected one for each suspect"
    return answer.p
