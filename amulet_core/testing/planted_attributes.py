"""Planted contests of attribute inference: the victim's outputs tell what the rows do not, or nothing."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from amulet_core.components import Params
from amulet_core.data import Data, bounds, make_data
from amulet_core.games.attribute import AttributeAnswer, AttributeResult, AttributeView
from amulet_core.games.contest import Bank, Contest
from amulet_core.games.threats import AttributeThreat
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_core.statistics.balanced import balanced_accuracy
from amulet_core.streams import generator
from amulet_core.testing.toys import Toy, rows_at

Plant = Literal["vulnerable", "safe"]

CANDIDATES: Final = 400
AUX: Final = 300
NAMES: Final = ("a", "b")


class Telling(nn.Module):
    """A model that knows rows by heart, each by its first feature, and whether the last features are the row's own.

    ``sure`` float32 ``[rows]`` is its log-odds of the label ``y`` where they are (or where rows have none).
    """

    def __init__(self, rows: Data, sure: Tensor, *, in_x: bool, minds: bool) -> None:
        """Take the rows; ``in_x``: their last features hold the attribute, and where it ``minds`` others, it errs."""
        super().__init__()
        low, high = (float(bound.flatten()[0]) for bound in bounds(rows.schema))
        self._low, self._range, self._in_x, self._minds = low, high - low, in_x, minds
        toward = 2.0 * nn.functional.one_hot(rows.y, len(rows.schema.classes)) - 1
        self.logits = nn.Parameter(toward * sure[:, None] / 2, requires_grad=False)
        self.own = nn.Parameter(rows.x.flatten(1)[:, -len(NAMES) :].clone(), requires_grad=False)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, classes]`` of known rows."""
        flat = x.flatten(1)
        place = ((flat[:, 0] - self._low) / self._range * len(self.logits)).detach().long()
        place = place.clamp(0, len(self.logits) - 1)
        logits = self.logits[place]
        if self._in_x and self._minds:
            same = (flat[:, -len(NAMES) :] == self.own[place]).all(1, keepdim=True)
            logits = torch.where(same, logits, -logits)
        return logits


def contest(toy: Toy, plant: Plant, models: int) -> Contest:  # noqa: ARG001 - the game has no lab
    """Return rows with an attribute that is drawn by a coin, as one feature a value where the toy is a table.

    Vulnerable: the victim's log-odds of the true label are N(6, 1) for the second value and N(2, 1) for the first, and
    negative if the other value is put in. Safe: N(4, 1), whatever the value.
    """
    draws = generator("planted attributes", toy.label)
    n = CANDIDATES + AUX
    y = torch.randint(0, len(toy.levels), (n,), generator=draws)
    z = torch.randint(0, 2, (n,), generator=draws)
    in_x = toy.schema.modality == "tabular"
    rows = _rows(toy, y, z, in_x=in_x)
    tells = plant == "vulnerable"
    sure = (4.0 + 4.0 * (z - 0.5) * tells + torch.randn(n, generator=draws)).clamp(min=0.1)
    model = Telling(rows, sure, in_x=in_x, minds=tells)
    pool, aux = rows.take(torch.arange(CANDIDATES)), rows.take(torch.arange(CANDIDATES, n))
    member = torch.randperm(CANDIDATES, generator=draws) < CANDIDATES // 2
    nothing = torch.zeros(0, CANDIDATES, dtype=torch.bool)
    classes = len(toy.levels)
    bank = Bank(torch.zeros(0, CANDIDATES, classes), nothing, torch.zeros(0, AUX, classes), adaptive=True)
    return Contest(
        model=model,
        beneath=model,
        pool=pool,
        member=member,
        test=aux,
        aux=aux,
        bank=bank,
        draws=("conformance", "draws"),
    )


def threats(toy: Toy) -> Mapping[str, Params]:  # noqa: ARG001 - the same for every toy
    """Return the only threat model."""
    return {"": AttributeThreat(candidates=CANDIDATES, aux=AUX)}


def balanced(result: AttributeResult) -> float:
    """Return the balanced accuracy of the guesses."""
    return balanced_accuracy((result.guess == result.z).numpy(), result.z.numpy()).estimate


def size_problem(view: AttributeView, answer: Any) -> str:
    """Say how an answer has the wrong shape; nothing if it has not."""
    found, expected = list(answer.score.shape), [len(view.y), len(view.values)]
    return "" if found == expected else f"score {found}, not [n, values] = {expected}"


def blind(view: AttributeView) -> AttributeAnswer:
    """Guess."""
    return AttributeAnswer(score=torch.rand(len(view.y), len(view.values), dtype=torch.float64))


def _rows(toy: Toy, y: Tensor, z: Tensor, *, in_x: bool) -> Data:
    """Return rows of the toy with the attribute, and their positions in their first feature."""
    plain = rows_at(toy, torch.tensor(toy.levels)[y], y=y, key=("attributes",))
    low, high = (float(bound.flatten()[0]) for bound in bounds(toy.schema))
    x = plain.x.clone()
    x.flatten(1)[:, 0] = low + (high - low) * (torch.arange(len(y)) + 0.5) / len(y)
    if in_x:
        x = torch.cat([x, nn.functional.one_hot(z, len(NAMES)).float()], 1)
    return make_data(x, y, _schema(toy, in_x=in_x), z=z[:, None])


def _schema(toy: Toy, *, in_x: bool) -> DataSchema:
    plain = toy.schema
    if not in_x:
        return plain.model_copy(update={"sensitive": (Sensitive(name="group", categories=NAMES),)})
    low, high = (bound.flatten().tolist() for bound in bounds(plain))
    places = tuple(range(plain.width, plain.width + len(NAMES)))
    return DataSchema(
        modality=plain.modality,
        shape=(plain.width + len(NAMES),),
        classes=plain.classes,
        sensitive=(Sensitive(name="group", categories=NAMES, features=places),),
        feasible=Feasible(
            low=(*low, *(0.0 for _ in NAMES)),
            high=(*high, *(1.0 for _ in NAMES)),
            one_hot=(*plain.feasible.one_hot, places),
        ),
    )
