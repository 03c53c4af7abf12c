"""The adapter: one function that plays any attack of torchattacks at every budget of a view."""

from typing import Any, NamedTuple

import torch
import torchattacks
from amulet_core.feasible import project
from amulet_core.games.evasion import EvasionAnswer, EvasionView
from amulet_core.victims import ProbabilityOracle
from torch import Tensor

from amulet_plugin_torchattacks.presentation import Presented
from amulet_plugin_torchattacks.use import Settings, Use

# Bounds the memory of attacks that ask about many copies of each row.
_ROWS = 256


class Found(NamedTuple):
    """What a search gave for some rows: inputs ``[n, ...]``, and how many of the rows it spoilt and were put back."""

    x: Tensor
    spoilt: int


def attack(view: EvasionView, params: Settings) -> EvasionAnswer:
    """Attack, at every budget, the rows that are classified correctly and withstood all smaller budgets.

    Rows that are misclassified as they stand stay as they are, and what fooled at one budget is kept for the larger
    ones. What torchattacks finds is projected onto the possible inputs within the budget.

    Raises:
        ValueError: if the attack does not measure in the view's norm.
        TypeError: if the view's model offers less than the attack needs.
    """
    use = params.use
    _check(view, use)
    seed = int(torch.randint(2**31 - 1, ()))
    found, left = view.x, _correct(view, view.x, use)
    answers, spoilt = [], {}
    for epsilon in view.epsilons:
        rows = left.nonzero()[:, 0]
        searched = search(view, params, rows, epsilon=epsilon, seed=seed)
        found = found.index_copy(0, rows, searched.x)
        left = left & _correct(view, found, use)
        answers.append(found)
        if searched.spoilt:
            spoilt[epsilon] = f"{searched.spoilt} of {len(rows)} rows at budget {epsilon:g}"
    return EvasionAnswer(x=torch.stack(answers), warnings=_warnings(use, list(spoilt.values())))


def search(view: EvasionView, params: Settings, rows: Tensor, *, epsilon: float, seed: int) -> Found:
    """Return what torchattacks finds for some ``rows`` (indices) within ``epsilon``, made possible."""
    origin, y = view.x[rows], view.y[rows]
    victim = Presented(view, params.use, epsilon=epsilon)
    if not len(rows) or not victim.free.any():
        return Found(origin, 0)
    method = getattr(torchattacks, params.use.name)(victim, **arguments(view, params, epsilon=epsilon, seed=seed))
    units = victim.units(origin)
    with torch.enable_grad():
        parts = [method(part, labels) for part, labels in zip(units.split(_ROWS), y.split(_ROWS), strict=True)]
    # Adding the change, not going back from units, leaves what did not change exactly as it was.
    moved = origin + victim.rows(torch.cat(parts).detach() - units) * victim.span
    finite = torch.isfinite(moved).flatten(1).all(1)
    kept = torch.where(finite.reshape(-1, *[1] * (moved.ndim - 1)), moved, origin)
    possible = project(kept, origin, view.data_schema, norm=view.norm, epsilon=epsilon)
    return Found(possible, int((~finite).sum()))


def arguments(view: EvasionView, params: Settings, *, epsilon: float, seed: int) -> dict[str, Any]:
    """Return torchattacks' constructor's arguments: the settings, the budget, and what it must be told."""
    use, fields = params.use, type(params).model_fields
    given = {
        fields[name].serialization_alias or name: value * epsilon if name.startswith("relative_") else value
        for name, value in params.model_dump().items()
    }
    if given.get("noise_type") == "gaussian":
        given["noise_type"] = "guassian"  # so spelt there
    if use.budget:
        given[use.budget] = epsilon
    if use.takes_norm:
        given["norm"] = {"linf": "Linf", "l2": "L2"}[view.norm]
    if use.takes_seed:
        given["seed"] = seed
    if use.takes_classes:
        given["n_classes"] = len(view.data_schema.classes)
    return given


def _check(view: EvasionView, use: Use) -> None:
    if view.norm not in use.norms:
        (only,) = use.norms
        raise ValueError(
            f"torchattacks/{use.name.lower()} keeps to budgets in {only}, the threat model's norm is {view.norm}: "
            f"set risks.evasion.threat.norm to {only}, or leave this attack out"
        )


def _correct(view: EvasionView, x: Tensor, use: Use) -> Tensor:
    """Return which rows are classified correctly at ``x``, as far as the attack can know (all, if it sees no model)."""
    if use.access == "none" or not isinstance(view.model, ProbabilityOracle):
        return torch.ones(len(x), dtype=torch.bool)
    correct: Tensor = view.model.log_probabilities(x).argmax(1) == view.y
    return correct


def _warnings(use: Use, spoilt: list[str]) -> tuple[str, ...]:
    if not spoilt:
        return ()
    text = (
        f"torchattacks/{use.name.lower()} gave values that are not finite for {', '.join(spoilt)}: these rows are left "
        "as they were, so the robust accuracy may be too high (the usual cause is a gradient of exactly zero)"
    )
    return (text,)
