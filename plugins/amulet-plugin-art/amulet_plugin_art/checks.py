"""Known-answer and power checks of the attacks on evasion: closed forms on a linear victim, and a safe one."""

from functools import partial
from typing import Final

import torch
from amulet_core.checks import Check
from amulet_core.games.evasion import EvasionAnswer
from amulet_core.streams import isolated
from amulet_core.victims import LabelOracle, ProbabilityOracle
from amulet_core.vocabulary import Norm

from amulet_plugin_art import evasion, planted
from amulet_plugin_art.settings import HopSkipJumpParams, SimbaParams

_SAFE: Final = "what is found where there is nothing to find is the attack's own mistake"
_NORMS: Final[tuple[Norm, ...]] = ("linf", "l2")
_RATIO: Final = 1.25
"""By how much a walk of five steps may end farther away than the nearest point of a plane."""


def hop_skip_jump_checks() -> tuple[Check, ...]:
    """Return the checks of ``hop-skip-jump``."""
    return (
        *(
            Check(
                f"it changes rows at most {_RATIO:g} times as much in {norm} as is needed to fool a linear model",
                "a change larger than the smallest that fools misses rows at small budgets",
                partial(walks_to_the_plane, HopSkipJumpParams(), norm=norm),
            )
            for norm in _NORMS
        ),
        Check(
            "a victim that never changes its answer is left alone",
            _SAFE,
            partial(leaves_constant_victims_alone, "hop-skip-jump"),
        ),
    )


def simba_checks() -> tuple[Check, ...]:
    """Return the checks of ``simba``."""
    return (
        Check(
            "of a linear model it fools exactly the rows that a budget in linf can fool",
            "moving each feature by the whole budget reaches the worst margin, m - eps * sum(abs(w)), and no other",
            partial(fools_exactly, SimbaParams()),
        ),
        Check(
            "a victim that never changes its answer is left alone",
            _SAFE,
            partial(leaves_constant_victims_alone, "simba"),
        ),
    )


def walks_to_the_plane(params: HopSkipJumpParams, *, norm: Norm) -> None:
    """Compare the changes with the smallest there are: the distance to the plane."""
    model, x = planted.Linear(), planted.rows(20)
    # What is found within a budget that is no limit is not projected.
    view = planted.evasion_view(model, x, norm=norm, epsilons=(4.0,), kind=LabelOracle)
    with isolated("check"):
        changed = evasion.hop_skip_jump(view, params).x[0]
    fooled = int((model(changed).argmax(1) != view.y).sum())
    assert fooled == len(x), f"{fooled} of {len(x)} rows are fooled by a budget that is no limit, expected all"
    moved = (changed - x) / (torch.tensor(planted.TABLE.feasible.high) * 2)
    used = torch.linalg.vector_norm(moved, ord=torch.inf if norm == "linf" else 2, dim=1)
    most = float((used / model.needed(x, norm)).median())
    assert most <= _RATIO, (
        f"the change is {most:.3f} times the smallest that fools (median), expected {_RATIO:g} or less"
    )


def fools_exactly(params: SimbaParams) -> None:
    """Compare the rows that are fooled with those that a budget can fool."""
    model, x = planted.Linear(), planted.rows(60)
    needed = model.needed(x, "linf")
    epsilon = float(needed.median())
    view = planted.evasion_view(model, x, norm="linf", epsilons=(epsilon,), kind=ProbabilityOracle)
    with isolated("check"):
        fooled = model(evasion.simba(view, params).x[0]).argmax(1) != view.y
    # Where rounding decides, either is right.
    sure = (needed / epsilon - 1).abs() > 1e-4
    wrong = int((fooled != (needed < epsilon))[sure].sum())
    assert not wrong, (
        f"{wrong} of {int(sure.sum())} rows differ from what the margin m - eps * sum(abs(w)) says, expected 0"
    )


def leaves_constant_victims_alone(name: str) -> None:
    """Attack a victim that nothing can fool; no row may change."""
    x = planted.rows(5)
    view = planted.evasion_view(planted.Constant(), x, norm="linf", epsilons=(0.1,), kind=ProbabilityOracle)
    with isolated("check"):
        answer: EvasionAnswer = (
            evasion.simba(view, SimbaParams()) if name == "simba" else evasion.hop_skip_jump(view, HopSkipJumpParams())
        )
    changed = int((answer.x[0] != x).any(1).sum())
    assert not changed, f"{changed} of {len(x)} rows changed, expected 0"
