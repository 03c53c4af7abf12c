"""What a model does on the test rows: the result that utility and discriminatory behavior are measured on."""

from typing import Annotated

import torch
from torch import Tensor

from amulet_core.games.artifacts import Artifact, shaped
from amulet_core.games.contest import Contest
from amulet_core.schema import DataSchema
from amulet_core.victims import logits_of


class BehaviorResult(Artifact):
    """Probabilities of the deployed model on the test rows, with the truth and the sensitive attributes.

    ``attribute`` is the column of ``z`` (and of ``schema.sensitive``) that forms the groups; None where there is none.
    """

    probabilities: Annotated[Tensor, shaped(torch.float32, "n", "classes")]
    y: Annotated[Tensor, shaped(torch.int64, "n")]
    z: Annotated[Tensor, shaped(torch.int64, "n", "attributes")]
    attribute: int | None
    data_schema: DataSchema

    @property
    def predictions(self) -> Tensor:
        """Return the predicted class of each row, int64 ``[n]``."""
        return self.probabilities.argmax(1)


def observe(contest: Contest, attribute: int | None) -> BehaviorResult:
    """Return the victim's behaviour on the test rows."""
    test = contest.test
    return BehaviorResult(
        probabilities=torch.softmax(logits_of(contest.model, test.x), 1),
        y=test.y,
        z=test.z,
        attribute=attribute,
        data_schema=test.schema,
    )
