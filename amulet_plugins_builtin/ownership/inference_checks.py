"""Checks of dataset inference: distances of known length; the own model is claimed, models of others are not."""

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor

from amulet_core.checks import Check
from amulet_core.games.verification import VerificationAnswer, VerificationView
from amulet_core.streams import generator, isolated
from amulet_core.training.values import Fitted
from amulet_core.victims import LabelOracle, WhiteBox
from amulet_plugins_builtin.catalogue.ownership_defenses import BlindWalkParams, GradientWalkParams
from amulet_plugins_builtin.ownership import dataset_inference, distances, planted_owners

Verify = Callable[[VerificationView], VerificationAnswer]

STRANGERS = 20
_WHY_SAFE = "an owner who claims models of others convicts the innocent"
_WHY_POWER = "an owner who does not know its own model will know no thief's"


def blind_walk_checks() -> tuple[Check, ...]:
    """Return the checks of ``dataset-inference``."""
    verify = partial(dataset_inference.verify_by_walks, params=BlindWalkParams(steps=20, step=0.05))
    return (
        Check(
            "no walk is shorter than the known distance to a flat boundary, and rows of the wrong label are at 0",
            "a walk that ends early, or a row of distances that belongs to another row, measures something else",
            walks_end_at_the_boundary,
        ),
        Check(
            "on a line each walk ends within one step beyond the boundary, or at the bound on the other side",
            "a walk that goes on, or says only whether a row is right, measures no distance",
            walks_end_on_a_line,
        ),
        *_power(verify, LabelOracle),
    )


def gradient_walk_checks() -> tuple[Check, ...]:
    """Return the checks of ``dataset-inference-mingd``."""
    verify = partial(dataset_inference.verify_by_gradients, params=GradientWalkParams(steps=20, step=0.02))
    return (
        Check(
            "on a linear model the distances are those of the closed form, within one step",
            "a descent that is not steepest in its norm measures another distance",
            descents_are_shortest,
        ),
        *_power(verify, WhiteBox),
    )


def _power(verify: Verify, kind: type[LabelOracle]) -> tuple[Check, ...]:
    return (
        Check(
            "a model that has learnt its rows by heart is claimed: p below .001",
            _WHY_POWER,
            lambda: memoriser_is_claimed(verify, kind),
        ),
        Check(
            f"of {STRANGERS} models that learnt other rows by heart at most 4 have a p-value below .05, none a score "
            "like the owner's",
            _WHY_SAFE,
            lambda: strangers_are_not_claimed(verify, kind),
        ),
    )


def walks_end_at_the_boundary() -> None:
    """Walk towards the boundary of the mean brightness: in every norm, it is as far as the mean is from it."""
    schema = planted_owners.SCHEMA.model_copy(update={"classes": ("dark", "bright")})
    x = torch.full((5, 1, 6, 6), 8.0) + torch.linspace(0.5, 1.5, 5)[:, None, None, None]

    def labels(rows: Tensor) -> Tensor:
        return (rows.flatten(1).mean(1) > 8).long()

    found = distances.blind_walk(labels, x, torch.ones(5).long(), schema, walks=4, step=0.01, steps=60, seed=3)
    assert found.shape == (5, 12), f"distances have the shape {list(found.shape)}, expected [5, 12]: one a row"
    early = int((found < torch.linspace(0.5, 1.5, 5)[:, None] / 16).sum())
    assert early == 0, f"{early} of 60 walks ended before the boundary, expected none"
    wrong = distances.blind_walk(labels, x, torch.zeros(5).long(), schema, walks=4, step=0.01, steps=60, seed=3)
    assert float(wrong.abs().max()) == 0, "rows of the wrong label lie away from the boundary, expected distance 0"


def walks_end_on_a_line() -> None:
    """Walk on a line from 0 to 16 with the boundary at 10: towards it, or to 0."""
    schema = planted_owners.SCHEMA.model_copy(update={"modality": "tabular", "shape": (1,), "classes": ("low", "high")})
    x = torch.tensor([[9.0], [6.0], [8.0]])
    found = distances.blind_walk(
        lambda rows: (rows[:, 0] > 10).long(), x, torch.zeros(3).long(), schema, walks=8, step=0.01, steps=70, seed=3
    )
    over = found - (10 - x) / 16
    ends = (over >= 0) & (over <= 0.0101), (found - x / 16).abs() < 1e-5
    apart = int((~(ends[0] | ends[1])).sum())
    assert apart == 0, f"{apart} of {found.numel()} walks end neither there nor there, expected none"
    assert all(end.any(1).all() for end in ends), "of 24 walks from a row none goes one of the two ways"


def descents_are_shortest() -> None:
    """Descend on a linear model, whose distance in the largest change is the margin over the weights' sum."""
    schema = planted_owners.SCHEMA.model_copy(update={"classes": ("no", "yes")})
    weight = torch.randn(36, generator=generator("descent check"))
    x = 4 + 8 * torch.rand(10, 1, 6, 6, generator=generator("descent check rows"))
    margin = x.flatten(1) @ weight / 16
    bias = margin.mean()

    def logits(rows: Tensor) -> Tensor:
        side = rows.flatten(1) @ weight / 16 - bias
        return torch.stack([-side, side], 1)

    y = (margin > bias).long()
    found = distances.gradient_walk(logits, x, y, schema, step=0.005, steps=60)
    exact = {4: (margin - bias).abs() / weight.abs().sum(), 2: (margin - bias).abs() / weight.norm() / 6}
    for column, expected in exact.items():
        own, other = found[:, column], found[:, column + 1]
        off = float((other - expected).max()), float((other - expected).min())
        assert float(own.abs().max()) == 0, "the own class is away from rows that are right, expected distance 0"
        near = -1e-5 <= off[1] <= off[0] <= 0.0051
        assert near, f"distances are off by {off[1]:.4f} to {off[0]:.4f}, expected 0 to .005"


def memoriser_is_claimed(verify: Verify, kind: type[LabelOracle]) -> None:
    """Test a model that has learnt labels by heart, a third of them random."""
    p = float(planted_owners.p_of(_memorisers(verify, kind))[0])
    assert p < 1e-3, f"p is {p:.2g}, expected below .001"


def strangers_are_not_claimed(verify: Verify, kind: type[LabelOracle]) -> None:
    """Test models that have learnt other rows by heart."""
    answer = _memorisers(verify, kind)
    low = int((planted_owners.p_of(answer)[1:] < 0.05).sum())
    own, best = float(answer.score[0]), float(answer.score[1:].max())
    assert low <= 4, f"{low} of {STRANGERS} strangers have p below .05, expected one (at most 4)"
    assert best < own, f"a stranger scores {best:.2f}, the owner's model {own:.2f}"


def _memorisers(verify: Verify, kind: type[LabelOracle]) -> VerificationAnswer:
    """Return what the owner says of its own model, the first, and of strangers'."""
    own, val = planted_owners.rows("own", noise=0.3), planted_owners.rows("held", noise=0.3)
    models = list(_learnt_by_heart())
    with isolated("memorisers"):
        return verify(planted_owners.view(Fitted(models[0]), models, own, val, kind=kind))


@cache
def _learnt_by_heart() -> tuple[torch.nn.Module, ...]:
    parts = [planted_owners.rows("own", noise=0.3)]
    parts += [planted_owners.rows("other", index, noise=0.3) for index in range(STRANGERS)]
    return tuple(one.model for one in planted_owners.fitted(planted_owners.training(60), parts, "memorisers"))
