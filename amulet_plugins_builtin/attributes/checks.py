"""The checks of the attribute inference attacks and their control: known answers, victims that tell and safe ones."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch
from scipy.stats import norm

from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.games.attribute import AttributeAnswer, AttributeResult, AttributeView
from amulet_core.scores import Value
from amulet_core.statistics.membership import balanced_accuracy_at, roc
from amulet_core.streams import isolated
from amulet_plugins_builtin.attributes import csmia as csmia_attack
from amulet_plugins_builtin.attributes import imputation as imputation_attack
from amulet_plugins_builtin.attributes import mlp as mlp_attack
from amulet_plugins_builtin.attributes.metric import measure
from amulet_plugins_builtin.attributes.planted import Planted, planted
from amulet_plugins_builtin.catalogue.attributes import LearnerParams

Attacking = Callable[[AttributeView], AttributeAnswer]

FEW = (0.6, 0.3, 0.08, 0.02)
"""The frequencies of four values, the last of which has few rows."""


def mlp() -> tuple[Check, ...]:
    """Return the checks of the attack on outputs."""
    return (
        Check(
            "Where only the outputs tell the attribute, nearly all is found that can be.",
            "An attack without power makes every defense look good.",
            _mlp_meets_the_closed_form,
        ),
        Check(
            "Of four values each is told from the others by the outputs.",
            "A threshold for two values alone, or for frequent ones, tells no others.",
            lambda: _surely_above(_played(planted(shares=FEW, in_outputs=4.0), _mlp), "advantage", 0.3),
        ),
        Check(
            "The threshold of a network that knows its own rows by heart is nearly the best in hindsight.",
            "One that is found on the rows it was trained on asks for more than it ever says of others.",
            _mlp_fixes_its_threshold_on_held_out_rows,
        ),
        Check(
            "Where x tells the attribute and the outputs do not, there is no advantage.",
            "An advantage that measures x would be there without any model.",
            lambda: _no_advantage(_played(planted(in_x=2.0), _mlp)),
        ),
        Check(
            "Where nothing tells the attribute, nothing is found.",
            "A leak of the truth into the scores would show here.",
            lambda: _chance(_alone(planted(), _mlp)),
        ),
        Check(
            "Where members' outputs alone tell the attribute, so do members' rows alone.",
            "What training leaked is the difference between members and others.",
            lambda: _surely_above(_played(planted(in_outputs=1.0, on_members=3.0), _mlp), "advantage_gap", 0.0),
        ),
    )


def csmia() -> tuple[Check, ...]:
    """Return the checks of the confidence score-based attack."""
    return (
        Check(
            "Its three cases give the values that they are known to give.",
            "A score that does not put the true label first confuses the surest error with the answer.",
            _csmia_knows_its_cases,
        ),
        Check(
            "Where the right value makes the victim right, it is found.",
            "An attack without power makes every defense look good.",
            lambda: _surely_above(_alone(planted(in_inputs=6.0), _csmia), "balanced_accuracy", 0.9),
        ),
        Check(
            "Where no value makes a difference, nothing is found.",
            "A leak of the truth into the scores would show here.",
            lambda: _chance(_alone(planted(), _csmia)),
        ),
        Check(
            "Where all values tie, each is guessed as often as the others.",
            "The first of equal values would be found for nothing.",
            _csmia_draws_lots,
        ),
    )


def imputation() -> tuple[Check, ...]:
    """Return the checks of the control."""
    return (
        Check(
            "The control finds nothing where the outputs alone tell the attribute.",
            "A control that saw the victim would hide what the attacks find.",
            lambda: _chance(_alone(planted(in_outputs=4.0), _imputation)),
        ),
        Check(
            "The control finds nearly all that x tells.",
            "A weak control makes every attack look like a leak.",
            _imputation_meets_the_closed_form,
        ),
    )


def _mlp(view: AttributeView) -> AttributeAnswer:
    return mlp_attack.attack(view, LearnerParams())


def _imputation(view: AttributeView) -> AttributeAnswer:
    return imputation_attack.attack(view, LearnerParams())


def _csmia(view: AttributeView) -> AttributeAnswer:
    return csmia_attack.attack(view, NoParams())


def _played(game: Planted, attack: Attacking) -> dict[str, Value]:
    """Return the values of an attack on a planted victim, set beside the control."""
    return measured(game.judged(_answered(game, attack), _answered(game, _imputation)))


def _alone(game: Planted, attack: Attacking) -> dict[str, Value]:
    """Return the values of an attack that is set beside nothing."""
    return measured(game.judged(_answered(game, attack)))


def _answered(game: Planted, attack: Attacking) -> AttributeAnswer:
    with isolated("check", "attribute"):
        return attack(game.view)


def measured(result: AttributeResult) -> dict[str, Value]:
    """Return the values that the metric gives of a result, by name, without those that it withholds."""
    return {value.name: value for value in measure(result, NoParams()).values if isinstance(value, Value)}


def limits(value: Value) -> tuple[float, float]:
    """Return a value's limits, or raise an AssertionError."""
    if value.low is None or value.high is None:
        raise AssertionError(f"{value.name} has no interval")
    return value.low, value.high


def _surely_above(values: dict[str, Value], name: str, floor: float) -> None:
    low, _ = limits(values[name])
    if low <= floor:
        raise AssertionError(f"{name} is {values[name].estimate:.4f}, from {low:.4f}; expected to be above {floor:g}")


def _holds(value: Value, expected: float) -> None:
    """Refuse a value whose 95 % interval, made twice as wide, does not hold what is expected."""
    low, high = limits(value)
    if not 2 * low - value.estimate <= expected <= 2 * high - value.estimate:
        raise AssertionError(f"{value.name} is {value.estimate:.4f} ({low:.4f} to {high:.4f}), expected {expected:.4f}")


def _no_advantage(values: dict[str, Value]) -> None:
    if values["balanced_accuracy"].estimate < 0.7:
        raise AssertionError(f"balanced accuracy is {values['balanced_accuracy'].estimate:.4f}, expected .7 or more")
    for name in ("advantage", "advantage_members", "advantage_non_members", "advantage_gap"):
        _holds(values[name], 0.0)


def _chance(values: dict[str, Value]) -> None:
    for name in ("balanced_accuracy", "auc"):
        _holds(values[name], 0.5)


def _mlp_meets_the_closed_form() -> None:
    # Log-odds of N(0, 1) and N(4, 1), the label's 2 known: the best threshold is midway, right for Phi(2) of both.
    values = _played(planted(in_outputs=4.0), _mlp)
    near(values["balanced_accuracy"].estimate, float(norm.cdf(2)), within=0.03)
    near(values["advantage"].estimate, float(norm.cdf(2)) - 0.5, within=0.06)


def _mlp_fixes_its_threshold_on_held_out_rows() -> None:
    game = planted(aux=200, shares=(0.9, 0.1), in_outputs=3.0, seed=3)
    answer = _answered(
        game, lambda view: mlp_attack.attack(view, LearnerParams(hidden=256, epochs=400, weight_decay=0.0))
    )
    if answer.threshold is None:
        raise AssertionError("no threshold was handed back")
    score, positive = answer.score[:, 1], game.z == 1
    found = balanced_accuracy_at(score.numpy(), positive.numpy(), answer.threshold).estimate
    fpr, tpr, _ = roc(score.numpy(), positive.numpy())
    best = (1 + float((tpr - fpr).max())) / 2
    if found < best - 0.05:
        raise AssertionError(f"balanced accuracy is {found:.4f} at its threshold, the best in hindsight is {best:.4f}")


def _imputation_meets_the_closed_form() -> None:
    # Two features, each moved by 2 for one of the values: 2 sqrt(2) between the values' means.
    values = _alone(planted(in_x=2.0), _imputation)
    near(values["balanced_accuracy"].estimate, float(norm.cdf(math.sqrt(2))), within=0.03)


def near(found: float, expected: float, *, within: float) -> None:
    """Raise an AssertionError unless what was found is as expected within a tolerance."""
    if abs(found - expected) > within:
        raise AssertionError(f"found {found:.4f}, expected {expected:.4f} within {within:g}")


def _csmia_knows_its_cases() -> None:
    # The probability of class 1, the true label, with each of three values put in: one value right, two, none.
    said = torch.tensor([[0.4, 0.7, 0.3], [0.9, 0.1, 0.6], [0.1, 0.4, 0.3]])
    game = _csmia_game()
    asked = torch.stack([(1 - said).log(), said.log()], 2).transpose(0, 1).contiguous()
    view = game.view.model_copy(
        update={"x": game.view.x[:3], "y": torch.ones(3, dtype=torch.int64), "observed": asked[0], "asked": asked}
    )
    found = _csmia(view).score.argmax(1).tolist()
    if found != [1, 0, 1]:
        raise AssertionError(f"it guesses the values {found}, expected [1, 0, 1]")


def _csmia_draws_lots() -> None:
    game = planted(rows=1600, aux=20, shares=(0.4, 0.3, 0.3))
    same = game.view.asked[:1].expand_as(game.view.asked).contiguous()
    guessed = _answered(replace(game, view=game.view.model_copy(update={"asked": same})), _csmia).score.argmax(1)
    for share in (guessed.bincount(minlength=3) / len(guessed)).tolist():
        # Four standard errors of a third of 1,600 rows.
        near(share, 1 / 3, within=0.047)


@cache
def _csmia_game() -> Planted:
    return planted(rows=20, aux=20, shares=(0.4, 0.3, 0.3))
