"""Known-answer and power checks of the attacks on evasion beside projected gradient descent."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from amulet_core.checks import Check
from amulet_core.feasible import distance
from amulet_core.games.evasion import EvasionAnswer, EvasionView
from amulet_core.streams import isolated
from amulet_core.vocabulary import Norm
from amulet_plugins_builtin.catalogue.evasion_attacks import (
    ApgdParams,
    AutoAttackParams,
    CwL2Params,
    DeepFoolParams,
    FgsmParams,
    SquareParams,
)
from amulet_plugins_builtin.evasion import apgd, autoattack, cw_l2, deepfool, fgsm, planted, square
from amulet_plugins_builtin.evasion.checks import follows_the_margins, keeps_mistakes, reaches_worst_margin
from amulet_plugins_builtin.evasion.checks_of_many_classes import decoy_check, image_checks, shrinking_check

Attack = Callable[[EvasionView], EvasionAnswer]

_SHORT = "a search that stops short overstates robustness; here the worst case is m - eps * dual norm"
_BOTH_WAYS = "success must follow the planted vulnerability, in both directions"
_TRUE_LABEL = "an attack on the predicted label pushes such rows back to the truth and understates nothing but itself"
_NEAREST = "a change larger than the smallest that fools misses rows at small budgets"


def fgsm_checks() -> tuple[Check, ...]:
    """Return the checks of ``fgsm``."""
    return _gradient_checks(
        "fgsm",
        partial(fgsm.attack, params=FgsmParams(early_stop=False)),
        partial(fgsm.attack, params=FgsmParams()),
    )


def apgd_checks() -> tuple[Check, ...]:
    """Return the checks of ``apgd``."""
    losses: tuple[Literal["dlr", "targeted-dlr"], ...] = ("dlr", "targeted-dlr")
    by_loss = {loss: partial(apgd.attack, params=ApgdParams(loss=loss)) for loss in losses}
    return (
        *_gradient_checks(
            "apgd",
            partial(apgd.attack, params=ApgdParams(early_stop=False)),
            partial(apgd.attack, params=ApgdParams()),
        ),
        *(check for loss in losses for check in image_checks(f"apgd with {loss}", by_loss[loss])),
        decoy_check("apgd with targeted-dlr", by_loss["targeted-dlr"]),
        shrinking_check("apgd", partial(apgd.attack, params=ApgdParams())),
    )


def square_checks() -> tuple[Check, ...]:
    """Return the checks of ``square``."""
    attack = partial(square.attack, params=SquareParams())
    return (
        *_power_checks("square", partial(needs_no_gradients, attack)),
        *image_checks("square", attack, enough=0.5),
        Check(
            "square leaves a misclassified row misclassified",
            _TRUE_LABEL,
            partial(keeps_mistakes, attack),
        ),
    )


def autoattack_checks() -> tuple[Check, ...]:
    """Return the checks of ``autoattack``."""
    attack = partial(autoattack.attack, params=AutoAttackParams(queries=300))
    return (
        Check(
            "autoattack fools every row of a linear model whose margins lie within the budget, and none beyond it",
            _BOTH_WAYS,
            partial(follows_the_margins, attack),
        ),
        *_power_checks("autoattack", partial(needs_no_gradients, attack)),
        *image_checks("autoattack", partial(autoattack.attack, params=AutoAttackParams(queries=50))),
        decoy_check("autoattack", partial(autoattack.attack, params=AutoAttackParams(queries=1))),
        Check(
            "autoattack warns of a model whose gradients are masked, and not of one whose are not",
            "masked gradients read as robustness",
            partial(warns_of_masks, attack),
        ),
        Check("autoattack leaves a misclassified row misclassified", _TRUE_LABEL, partial(keeps_mistakes, attack)),
    )


def cw_l2_checks() -> tuple[Check, ...]:
    """Return the checks of ``cw-l2``."""
    attack = partial(cw_l2.attack, params=CwL2Params())
    return (
        Check(
            "cw-l2 changes a row at most 1.05 times as much as is needed to fool a linear model",
            _NEAREST,
            partial(needs_no_more, attack, norm="l2", ratio=1.05),
        ),
        Check(
            "cw-l2 leaves a misclassified row misclassified",
            _TRUE_LABEL,
            partial(keeps_mistakes, partial(in_l2, attack)),
        ),
    )


def deepfool_checks() -> tuple[Check, ...]:
    """Return the checks of ``deepfool``."""
    attack = partial(deepfool.attack, params=DeepFoolParams())
    norms: tuple[tuple[Norm, str], ...] = (("linf", "linf"), ("l2", "L2"))
    return (
        *(
            Check(
                f"deepfool changes a row by its overshoot more than is needed to fool a linear model in {shown}",
                _NEAREST,
                partial(needs_no_more, attack, norm=norm, ratio=1.0201),
            )
            for norm, shown in norms
        ),
        *image_checks("deepfool", attack),
        Check("deepfool leaves a misclassified row misclassified", _TRUE_LABEL, partial(keeps_mistakes, attack)),
    )


def needs_no_more(attack: Attack, *, norm: Norm, ratio: float) -> None:
    """Compare the change with the smallest that fools a linear model: the margin over the dual norm of its weights."""
    model, schema = planted.linear_victim(features=30, seed=6)
    x = planted.rows_near_the_middle(schema, rows=100, seed=6)
    y = model(x).argmax(1)
    needed = planted.margins(model, x, y) / planted.steepness(model, schema, norm=norm)
    # Rows on the boundary itself need next to nothing, and rounding decides the ratio.
    clear = needed > 1e-3
    changed = _run(attack, planted.view_of(model, x, y, schema, norm=norm, epsilons=(2.0,))).x[0]
    fooled = int((model(changed).argmax(1) != y).sum())
    assert fooled == 100, f"{fooled} of 100 rows are fooled by a budget that is no limit, expected all"
    ratios = (distance(changed, x, schema, norm=norm) / needed)[clear]
    least, most = float(ratios.min()), float(ratios.max())
    assert most <= ratio, f"the change is up to {most:.4f} times the smallest that fools, expected {ratio:g} or less"
    assert least >= 1 - 1e-4, f"the change is {least:.4f} times the smallest that fools, expected 1 or more"


def in_l2(attack: Attack, view: EvasionView) -> EvasionAnswer:
    """Play an attack that knows L2 only, whatever the norm of the view."""
    return attack(view.model_copy(update={"norm": "l2"}))


class Stepped(nn.Module):
    """A model that sees its input rounded to a grid, so that its gradient is zero everywhere."""

    def __init__(self, model: nn.Module, *, grid: Tensor) -> None:
        """Round each feature to multiples of ``grid [features]``."""
        super().__init__()
        self.model = model
        self.grid = nn.Parameter(grid, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, classes]``."""
        logits: Tensor = self.model((x / self.grid).round() * self.grid)
        return logits


def needs_no_gradients(attack: Attack, *, norm: Norm) -> None:
    """Expect rows of a model without gradients to be fooled where the model beneath is weak, and nowhere else."""
    view, needed = masked_view(norm=norm)
    assert view.model is not None
    changed = _run(attack, view).x[0]
    fooled = view.model.labels(changed) != view.y
    (epsilon,) = view.epsilons
    weak, strong = needed < epsilon / 3, needed > 1.3 * epsilon
    share = float(fooled[weak].double().mean())
    assert share > 0.9, f"{share:.2f} of the rows that a third of the budget can fool are, expected above .9"
    beyond = int(fooled[strong].sum())
    assert beyond == 0, f"{beyond} rows are fooled that no input within the budget fools, expected 0"


def warns_of_masks(attack: Attack) -> None:
    """Expect warnings on a model without gradients, and none on the model beneath."""
    view, _ = masked_view(norm="linf")
    masked = _run(attack, view).warnings
    signs = [text.partition(":")[0] for text in masked]
    assert signs == ["masked gradients"] * 2, f"the warnings are {signs}, expected of zero gradients and random search"
    model, schema = planted.linear_victim(features=30, seed=7)
    plain = planted.view_of(model, view.x, view.y, schema, norm="linf", epsilons=view.epsilons)
    signs = [text.partition(":")[0] for text in _run(attack, plain).warnings]
    assert not signs, f"the warnings of a model that hides nothing are {signs}, expected none"


def masked_view(*, norm: Norm) -> tuple[EvasionView, Tensor]:
    """Return a view of a linear model behind a fine grid, and the budget ``[n]`` that each row of it needs."""
    model, schema = planted.linear_victim(features=30, seed=7)
    x = planted.rows_near_the_middle(schema, rows=100, seed=7)
    grid = torch.tensor(schema.feasible.high) / 5000
    masked = Stepped(model, grid=grid)
    y = masked(x).argmax(1)
    needed = planted.margins(model, x, y) / planted.steepness(model, schema, norm=norm)
    return planted.view_of(masked, x, y, schema, norm=norm, epsilons=(float(needed.median()),)), needed


def _gradient_checks(name: str, to_the_end: Attack, attack: Attack) -> tuple[Check, ...]:
    norms: tuple[tuple[Norm, str], ...] = (("linf", "linf"), ("l2", "L2"))
    return (
        *(
            Check(
                f"{name} reaches the worst margin of a linear model in {shown}",
                _SHORT,
                partial(reaches_worst_margin, to_the_end, norm=norm),
            )
            for norm, shown in norms
        ),
        Check(
            f"{name} fools every row of a linear model whose margins lie within the budget, and none beyond it",
            _BOTH_WAYS,
            partial(follows_the_margins, attack),
        ),
        Check(f"{name} leaves a misclassified row misclassified", _TRUE_LABEL, partial(keeps_mistakes, attack)),
    )


def _power_checks(name: str, examine: Callable[..., None]) -> tuple[Check, ...]:
    norms: tuple[tuple[Norm, str], ...] = (("linf", "linf"), ("l2", "L2"))
    return tuple(
        Check(
            f"{name} fools what a third of its budget can fool in {shown} though gradients are masked, and nothing "
            "beyond its budget",
            "an attack that gradients alone guide takes a masked model for a robust one",
            partial(examine, norm=norm),
        )
        for norm, shown in norms
    )


def _run(attack: Attack, view: EvasionView) -> EvasionAnswer:
    with isolated("check"):
        return attack(view)
