"""The distribution inference game: what share had a value of a sensitive attribute among a model's training rows?

There are two hypotheses. Victims of both come unnamed and shuffled; the adversary scores each, higher meaning the
second hypothesis. It has models of its own, of both hypotheses, and rows of both kinds to ask about; nobody's models
were trained on these rows, nor the adversary's on any row of a victim's.
"""

from typing import Annotated

import torch
from pydantic import FiniteFloat
from torch import Tensor

from amulet_core.games.artifacts import Artifact, shaped
from amulet_core.schema import DataSchema
from amulet_core.victims import LabelOracle, ProbabilityOracle, WhiteBox

Seen = WhiteBox | ProbabilityOracle | LabelOracle | None


class DistributionView(Artifact):
    """What the adversary gets; a control sees no models, but as many Nones.

    ``models`` are its own, ``second`` says which of them were trained under the second hypothesis. ``x[h], y[h],
    z[h]`` are rows with the share that hypothesis ``h`` claims. Each victim is to be scored for itself: how many there
    are, and which, tells nothing.
    """

    victims: tuple[Seen, ...]
    models: tuple[Seen, ...]
    second: Annotated[Tensor, shaped(torch.bool, "models")]
    x: Annotated[Tensor, shaped(torch.float32, 2, "n", ...)]
    y: Annotated[Tensor, shaped(torch.int64, 2, "n")]
    z: Annotated[Tensor, shaped(torch.int64, 2, "n", "attributes")]
    ratios: tuple[float, float]
    attribute: int
    value: int
    data_schema: DataSchema


class DistributionAnswer(Artifact):
    """What it hands back: a score a victim, higher for the second hypothesis.

    A threshold that it fixed beforehand, on models of its own, is where it calls: the second hypothesis at or above it.
    """

    score: Annotated[Tensor, shaped(torch.float64, "v")]
    threshold: FiniteFloat | None = None
    warnings: tuple[str, ...] = ()


class DistributionResult(Artifact):
    """The answer joined with the truth; ``ratios`` are the shares as they are among ``rows`` training rows.

    ``balanced`` is each victim's balanced accuracy, as deployed, on all rows that the adversary asks about; None where
    not every class is among them.
    """

    score: Annotated[Tensor, shaped(torch.float64, "v")]
    second: Annotated[Tensor, shaped(torch.bool, "v")]
    ratios: tuple[float, float]
    rows: int
    balanced: Annotated[Tensor, shaped(torch.float64, "v")] | None = None
    threshold: float | None = None
    warnings: tuple[str, ...] = ()


def accept(view: DistributionView, answer: DistributionAnswer) -> DistributionAnswer:
    """Return an answer with a score for each victim.

    Raises:
        ValueError: if there is not one a victim.
    """
    if len(answer.score) != len(view.victims):
        raise ValueError(f"the answer has {len(answer.score)} scores for {len(view.victims)} victims")
    return answer
