"""Planted attribute games, whose truth is known: how much the row tells of the attribute, and how much the victim."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, one_hot

from amulet_core.games.attribute import AttributeAnswer, AttributeResult, AttributeView, beside, joined
from amulet_core.schema import DataSchema, Feasible, Sensitive

WIDTH = 6


@dataclass(frozen=True)
class Planted:
    """A view, and the truth behind it: the candidates' values, int64 ``[n]``, and which are members, bool ``[n]``."""

    view: AttributeView
    z: Tensor
    member: Tensor

    def judged(self, answer: AttributeAnswer, control: AttributeAnswer | None = None) -> AttributeResult:
        """Join an answer with the truth, and set it beside a control's."""
        result = self._joined(answer)
        return result if control is None else beside(result, [self._joined(control)])

    def _joined(self, answer: AttributeAnswer) -> AttributeResult:
        return joined(answer, self.z, self.member, self.view.values)


def planted(
    *,
    rows: int = 1600,
    aux: int = 600,
    shares: tuple[float, ...] = (0.5, 0.5),
    in_x: float = 0.0,
    in_outputs: float = 0.0,
    on_members: float = 0.0,
    in_inputs: float = 0.0,
    seed: int = 1,
) -> Planted:
    """Plant a victim of two classes; the attribute has a value for each of ``shares``, which are its frequencies.

    The feature of x at a value's place is N(``in_x``, 1) where the row has that value, else N(0, 1). The victim's
    log-odds of its second class are N(s z, 1) plus 2 for rows of that class, s being ``in_outputs``, and for members
    ``on_members`` more. Asked with the right value put in, its log-odds of the true label are higher by ``in_inputs``.
    With these three at 0 the victim is safe: given x and y, its outputs tell nothing of z. The first half of the
    candidates are members.
    """
    draws = torch.Generator().manual_seed(seed)
    n, values = rows + aux, len(shares)
    z = torch.multinomial(torch.tensor(shares), n, replacement=True, generator=draws)
    y = torch.randint(0, 2, (n,), generator=draws)
    x = torch.randn(n, WIDTH, generator=draws)
    x[:, :values] += in_x * one_hot(z, values)
    member = torch.arange(n) < rows // 2
    noise = torch.randn(n, generator=draws)
    observed = _said(noise + 2.0 * y + (in_outputs + on_members * member) * z)
    towards = torch.randn(n, generator=draws) + in_inputs * (one_hot(z, values).T - 0.5)
    asked = _said(torch.where(y == 1, towards, -towards))
    view = AttributeView(
        model=None,
        x=x[:rows],
        y=y[:rows],
        observed=observed[:rows],
        asked=asked[:, :rows],
        aux_x=x[rows:],
        aux_y=y[rows:],
        aux_z=z[rows:],
        observed_aux=observed[rows:],
        columns=tuple(range(WIDTH)),
        values=tuple(f"value {value}" for value in range(values)),
        data_schema=_schema(values),
    )
    return Planted(view, z[:rows], member[:rows])


def _said(odds: Tensor) -> Tensor:
    """Return the log-probabilities ``[..., n, 2]`` of these log-odds ``[..., n]`` of the second class."""
    return torch.stack([logsigmoid(-odds), logsigmoid(odds)], -1)


def _schema(values: int) -> DataSchema:
    places = tuple(range(WIDTH, WIDTH + values))
    return DataSchema(
        modality="tabular",
        shape=(WIDTH + values,),
        classes=("no", "yes"),
        sensitive=(Sensitive(name="group", categories=tuple(f"value {v}" for v in range(values)), features=places),),
        feasible=Feasible(low=-50.0, high=50.0, one_hot=(places,)),
    )
