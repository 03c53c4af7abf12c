"""Known-answer and power checks of the attacks: closed forms on linear victims, planted secrets, and safe victims."""

from functools import partial
from typing import Final

import torch
from amulet_core.checks import Check
from amulet_core.games.evasion import EvasionAnswer
from amulet_core.games.poisoning import PoisoningAnswer, PoisoningView
from amulet_core.games.theft import TheftView
from amulet_core.oracles import BudgetOracle
from amulet_core.settings import TrainingSettings
from amulet_core.streams import isolated
from amulet_core.victims import LabelOracle, ProbabilityOracle
from amulet_core.vocabulary import Norm
from torch import Tensor, nn

from amulet_plugin_art import evasion, membership, planted, poisoning, theft
from amulet_plugin_art.settings import (
    BoundaryDistanceParams,
    CleanLabelParams,
    CopycatParams,
    HopSkipJumpParams,
    ShadowClassifierParams,
    SimbaParams,
)

_POWER: Final = "an attack without power makes every defense look good"
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


def clean_label_checks() -> tuple[Check, ...]:
    """Return the checks of ``clean-label-backdoor``."""
    return (
        Check(
            "a network trained on its rows answers the target on marked images, one trained on clean rows does not",
            _POWER,
            partial(plants_a_backdoor, CleanLabelParams()),
        ),
        Check(
            "it replaces as many rows as it may, all of the target class, and keeps their labels",
            "a label that changes is another attack, and an unspent budget understates the risk",
            partial(keeps_labels, CleanLabelParams(steps=2, proxy_epochs=2)),
        ),
    )


def copycat_checks() -> tuple[Check, ...]:
    """Return the checks of ``copycat``."""
    return (
        Check(
            "the copy of a victim with habits of its own agrees with it, whatever the true labels",
            _POWER,
            partial(copies_habits, CopycatParams()),
        ),
        Check(
            "a victim without any rule cannot be copied",
            _SAFE,
            partial(learns_nothing_of_a_whim, CopycatParams()),
        ),
        Check(
            "it asks as often as the budget allows",
            "fewer queries understate the risk; more are no theft by the rules",
            partial(spends_its_budget, CopycatParams(epochs=1)),
        ),
    )


def shadow_classifier_checks() -> tuple[Check, ...]:
    """Return the checks of ``shadow-classifier``."""
    return (
        Check(
            "where log-odds of members are shifted by 2, its AUC comes near the best, Phi(2 / sqrt 2) = .921",
            _POWER,
            partial(comes_near_the_best_auc, ShadowClassifierParams()),
        ),
        Check(
            "where they are not shifted, its AUC is .5",
            _SAFE,
            partial(sits_at_chance, ShadowClassifierParams()),
        ),
    )


def boundary_distance_checks() -> tuple[Check, ...]:
    """Return the checks of ``boundary-distance``."""
    return (
        Check(
            "its scores are the distances to the plane of a linear victim, and 0 for rows on the wrong side",
            "a score that is no distance ranks candidates by chance",
            partial(measures_distances, BoundaryDistanceParams(steps=5, evaluations=50)),
        ),
        Check(
            "it tells members from others, all of which the victim classifies correctly",
            _POWER,
            partial(finds_members, BoundaryDistanceParams()),
        ),
        Check(
            "a victim that never changes its answer gives all candidates the same score",
            _SAFE,
            partial(scores_constant_victims_alike, BoundaryDistanceParams()),
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
    assert most <= _RATIO, f"the change is {most:.3f} times the smallest that fools (median), expected {_RATIO:g} or less"


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
    assert not wrong, f"{wrong} of {int(sure.sum())} rows differ from what the margin m - eps * sum(abs(w)) says, expected 0"


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


def _poisoned(params: CleanLabelParams, *, budget: int) -> tuple[PoisoningView, PoisoningAnswer]:
    x, y = planted.images(300, seed=5)
    test, _ = planted.images(150, seed=6)
    view = PoisoningView(x=x, y=y, budget=budget, target=0, test_x=test, data_schema=planted.IMAGES)
    with isolated("check"):
        return view, poisoning.clean_label_backdoor(view, params)


def plants_a_backdoor(params: CleanLabelParams) -> None:
    """Train on the poisoned and on the clean rows, and compare how often the target is answered on marked images."""
    view, answer = _poisoned(params, budget=60)
    x, y = view.x.clone(), view.y.clone()
    x[answer.rows], y[answer.rows] = answer.x, answer.y
    other = planted.images(150, seed=6)[1] != view.target
    rates = []
    for rows, labels in ((x, y), (view.x, view.y)):
        with isolated("check", "train"):
            model = planted.taught(rows, labels, classes=3)
        rates.append(float((model(answer.triggered).argmax(1) == view.target)[other].float().mean()))
    poisoned, clean = rates
    assert poisoned > clean + 0.3, f"the success rate is {poisoned:.2f}, on the clean model {clean:.2f}, expected .3 more"


def keeps_labels(params: CleanLabelParams) -> None:
    """Count the rows that are replaced, and compare their labels."""
    for budget, expected in ((60, 60), (200, 100), (0, 0)):
        view, answer = _poisoned(params, budget=budget)
        own = int((view.y[answer.rows] == view.target).sum())
        assert (len(answer.rows), own) == (expected, expected), (
            f"with a budget of {budget}, {len(answer.rows)} rows are replaced, {own} of them of the target class; "
            f"expected {expected} and {expected}"
        )
        changed = int((answer.y != view.y[answer.rows]).sum())
        assert not changed, f"{changed} labels changed, expected 0"


def _theft(victim: nn.Module, *, budget: int) -> TheftView:
    x, y = planted.images(300, seed=7)

    def architecture() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 3))

    return TheftView(
        model=BudgetOracle(victim, tells="labels", top_k=1, budget=budget),
        budget=budget,
        x=x,
        y=y,
        architecture=architecture,
        settings=TrainingSettings(epochs=20, batch_size=32, learning_rate=0.01),
        data_schema=planted.IMAGES,
    )


def _agreement(params: CopycatParams, victim: nn.Module) -> tuple[float, float]:
    """Return how often a stolen model agrees with its victim on fresh rows, and how often their commonest answer comes."""
    with isolated("check"):
        stolen = theft.copycat(_theft(victim, budget=300), params).model
    x, _ = planted.images(600, seed=8)
    answers = victim(x).argmax(1)
    return float((stolen(x).argmax(1) == answers).float().mean()), float(answers.bincount().max() / len(x))


class Contrary(nn.Module):
    """A victim that labels each image one class further than the truth."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, 3]``."""
        level = ((x.mean((1, 2, 3)) - 4) / 3).round().long().clamp(0, 2)
        return 4 * nn.functional.one_hot((level + 1) % 3, 3).float()


class Whim(nn.Module):
    """A victim that answers each image by a hash of its pixels."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, 3]``."""
        place = (torch.sin(9173.0 * x.double().flatten(1).sum(1)) * 43758.5453).frac().abs()
        return 4 * nn.functional.one_hot((3 * place).long().clamp(0, 2), 3).float()


def copies_habits(params: CopycatParams) -> None:
    """Steal a victim whose answers are never the true labels."""
    found, _ = _agreement(params, Contrary())
    assert found > 0.8, f"the stolen model agrees on {found:.2f} of the rows, expected more than .8"


def learns_nothing_of_a_whim(params: CopycatParams) -> None:
    """Steal a victim that follows no rule."""
    found, commonest = _agreement(params, Whim())
    assert found < commonest + 0.1, f"the stolen model agrees on {found:.2f} of the rows, chance is {commonest:.2f}"


def spends_its_budget(params: CopycatParams) -> None:
    """Count the queries for a small budget, and for one that is more than the thief has rows."""
    for budget, expected in ((40, 40), (1000, 300)):
        view = _theft(Contrary(), budget=budget)
        with isolated("check"):
            theft.copycat(view, params)
        assert view.model is not None
        found = view.model.queries
        assert found == expected, f"{found} queries of a budget of {budget} were asked, expected {expected}"


def comes_near_the_best_auc(params: ShadowClassifierParams) -> None:
    """Compare with the AUC of the likelihood ratio."""
    found = _shadowed(params, shift=2.0)
    assert 0.85 < found < 0.95, f"the AUC is {found:.3f}, expected .85 to .95"


def sits_at_chance(params: ShadowClassifierParams) -> None:
    """Attack a victim whose members are like all others."""
    found = _shadowed(params, shift=0.0)
    # Four standard errors of an AUC of 500 members and 500 others.
    assert abs(found - 0.5) < 0.075, f"the AUC is {found:.3f}, expected .5 within .075"


def _shadowed(params: ShadowClassifierParams, *, shift: float) -> float:
    view, member = planted.shadowed_view(shift=shift)
    with isolated("check"):
        return planted.auc(membership.shadow_classifier(view, params).score, member)


def measures_distances(params: BoundaryDistanceParams) -> None:
    """Compare scores with the distance of each row to the plane, in units of the ranges."""
    model, x = planted.Linear(), planted.rows(30)
    y = model(x).argmax(1)
    y[:10] = 1 - y[:10]
    with isolated("check"):
        score = membership.boundary_distance(planted.membership_view(model, x, y), params).score
    wrong = int((score[:10] != 0).sum())
    assert not wrong, f"{wrong} of 10 misclassified rows have another score than 0, expected 0"
    ratio = score[10:] / model.needed(x[10:], "l2")
    least, middle = float(ratio.min()), float(ratio.median())
    assert least > 0.999, f"a score is {least:.3f} of the distance to the plane, expected 1 or more"
    assert middle < _RATIO, f"the scores are {middle:.3f} times the distance (median), expected below {_RATIO:g}"


def finds_members(params: BoundaryDistanceParams) -> None:
    """Attack a victim whose members lie six times as far from its boundary as others, on the same side."""
    model, x, member = planted.islands()
    view = planted.membership_view(model, x, torch.ones(len(x), dtype=torch.int64))
    with isolated("check"):
        found = planted.auc(membership.boundary_distance(view, params).score, member)
    assert found > 0.9, f"the AUC is {found:.3f}, expected above .9"


def scores_constant_victims_alike(params: BoundaryDistanceParams) -> None:
    """Attack a victim without any boundary."""
    x = planted.rows(10)
    view = planted.membership_view(planted.Constant(), x, torch.zeros(len(x), dtype=torch.int64))
    with isolated("check"):
        score = membership.boundary_distance(view, params).score
    assert len(score.unique()) == 1, f"there are {len(score.unique())} scores, expected one"
