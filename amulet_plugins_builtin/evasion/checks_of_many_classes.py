"""Known-answer and power checks of attacks on images of six classes, on a decoy, and where steps must shrink."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from amulet_core.checks import Check
from amulet_core.games.evasion import EvasionAnswer, EvasionView
from amulet_core.schema import DataSchema, Feasible
from amulet_core.streams import isolated
from amulet_core.vocabulary import Norm
from amulet_plugins_builtin.evasion import planted

Attack = Callable[[EvasionView], EvasionAnswer]

_TABLE = DataSchema(modality="tabular", shape=(30,), classes=tuple("abcdef"), feasible=Feasible(low=-1.0, high=1.0))
_EPSILON = 0.1


def image_checks(name: str, attack: Attack, *, enough: float = 0.97) -> tuple[Check, ...]:
    """Return the checks, in both norms, of an attack that fools every row which ``enough`` of its budget can fool."""
    norms: tuple[tuple[Norm, str], ...] = (("linf", "linf"), ("l2", "L2"))
    return tuple(
        Check(
            f"{name} fools every image that a linear model of six classes allows within {enough:g} of its budget in "
            f"{shown}, and none beyond it",
            "with many classes an attack must aim at the one whose boundary is nearest",
            partial(finds_the_nearest_class, attack, norm=norm, enough=enough),
        )
        for norm, shown in norms
    )


def decoy_check(name: str, attack: Attack) -> Check:
    """Return the check of an attack that aims at one class after the other."""
    return Check(
        f"{name} reaches a class that lies behind a likelier one which cannot be reached",
        "the cross-entropy climbs towards the likeliest class alone",
        partial(passes_the_decoy, attack),
    )


def shrinking_check(name: str, attack: Attack) -> Check:
    """Return the check of an attack whose steps get shorter."""
    return Check(
        f"{name} finds a small region within the ball, which long steps leap over",
        "steps that never shrink see corners of the budget alone",
        partial(finds_a_small_region, attack),
    )


def finds_the_nearest_class(attack: Attack, *, norm: Norm, enough: float) -> None:
    """Compare which images an attack fools with the closed form: the least margin over its dual norm."""
    model, schema = planted.image_victim(seed=8)
    with isolated("six classes"):
        x = torch.randn(60, *schema.shape)
    y = model(x).argmax(1)
    needed = planted.needed(model, x, y, schema, norm=norm)
    epsilon = float(needed.median())
    fooled = _fooled(attack, planted.view_of(model, x, y, schema, norm=norm, epsilons=(epsilon,)))
    weak, strong = needed < enough * epsilon, needed > 1.001 * epsilon
    missed, beyond = int((weak & ~fooled).sum()), int((strong & fooled).sum())
    assert missed == 0, f"{missed} of {int(weak.sum())} images that can be fooled are not, expected 0"
    assert beyond == 0, f"{beyond} images are fooled that no input within the budget fools, expected 0"


class Decoy(nn.Module):
    """A model of six classes: the likeliest wrong ones lead nowhere, another wins at the far end of one direction.

    With ``u`` and ``v`` the shares of the longest ways along two directions within the budget, the logits are 0,
    -10 - v, -110 + 120 u and -20, three times.
    """

    def __init__(self, directions: Tensor) -> None:
        """Take two directions, ``[2, features]``."""
        super().__init__()
        longest = 2 * _EPSILON * directions.abs().sum(1, keepdim=True)
        self.directions = nn.Parameter(directions / longest, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``[n, 6]``."""
        u, v = (x @ self.directions.T).unbind(1)
        rest = torch.full_like(u, -20.0)
        return torch.stack([0 * u, -10 - v, -110 + 120 * u, rest, rest, rest], 1)


def passes_the_decoy(attack: Attack) -> None:
    """Attack rows in the middle, from where every slope leads nowhere but that of the class that can win."""
    with isolated("decoy"):
        model, x = Decoy(torch.randn(2, 30)), 0.001 * torch.randn(50, 30)
    fooled = int(_fooled(attack, _of_class_a(model, x, norm="linf")).sum())
    assert fooled == 50, f"{fooled} of 50 rows reach the class behind the decoy, expected all"


class Bump(nn.Module):
    """A model that answers another class within ``radius`` of ``centre [features]`` alone."""

    def __init__(self, centre: Tensor, *, radius: float) -> None:
        """Place the region, in the units of the inputs."""
        super().__init__()
        self.centre = nn.Parameter(centre, requires_grad=False)
        self.radius = radius

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``[n, 6]``."""
        inside = self.radius - torch.linalg.vector_norm(x - self.centre, dim=1)
        rest = torch.full_like(inside, -100.0)
        return torch.stack([torch.zeros_like(inside), inside, rest, rest, rest, rest], 1)


def finds_a_small_region(attack: Attack) -> None:
    """Attack rows whose ball holds, off its centre, a region of a tenth of its radius."""
    schema = _TABLE.model_copy(update={"shape": (4,)})
    model = Bump(torch.tensor([0.03, -0.02, 0.05, 0.01]), radius=0.02)
    for norm in ("linf", "l2"):
        view = _of_class_a(model, torch.zeros(40, 4), norm=norm).model_copy(update={"data_schema": schema})
        fooled = int(_fooled(attack, view).sum())
        assert fooled == 40, f"{fooled} of 40 rows reach the small region in {norm}, expected all"


def _of_class_a(model: nn.Module, x: Tensor, *, norm: Norm) -> EvasionView:
    return planted.view_of(model, x, torch.zeros(len(x), dtype=torch.int64), _TABLE, norm=norm, epsilons=(_EPSILON,))


def _fooled(attack: Attack, view: EvasionView) -> Tensor:
    assert view.model is not None
    with isolated("check"):
        changed = attack(view).x[0]
    return view.model.labels(changed) != view.y
