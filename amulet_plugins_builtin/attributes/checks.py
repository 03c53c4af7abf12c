"""The checks of the built-in attribute inference components: known answers, and planted victims, telling and safe."""

import math
from collections.abc import Callable
from functools import cache

import torch
from scipy.stats import norm

from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.games.attribute import AttributeAnswer, AttributeResult, AttributeView
from amulet_core.scores import Value, Withheld
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


def metric() -> tuple[Check, ...]:
    """Return the checks of the metric."""
    return (
        Check(
            "A table counted by hand has the values counted by hand.",
            "Accuracy that is not balanced rewards whoever always guesses the frequent value.",
            _metric_meets_the_hand_count,
        ),
        Check(
            "What is told of members alone counts for members, and the gap is theirs less the others'.",
            "Parts that are mixed up turn what training leaked into its opposite.",
            _metric_parts_members,
        ),
        Check(
            "The interval of the advantage is that of matched pairs, in plain arithmetic.",
            "An interval without width makes a finding of every difference.",
            _metric_interval_is_the_formula,
        ),
        Check(
            "What the candidates cannot support is withheld.",
            "A value of three rows moves the mean more than a defense does; without a control there is no advantage.",
            _metric_withholds,
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
    return _values(game.judged(_answered(game, attack), _answered(game, _imputation)))


def _alone(game: Planted, attack: Attacking) -> dict[str, Value]:
    """Return the values of an attack that is set beside nothing."""
    return _values(game.judged(_answered(game, attack)))


def _answered(game: Planted, attack: Attacking) -> AttributeAnswer:
    with isolated("check", "attribute"):
        return attack(game.view)


def _values(result: AttributeResult) -> dict[str, Value]:
    return {value.name: value for value in measure(result, NoParams()).values if isinstance(value, Value)}


def _limits(value: Value) -> tuple[float, float]:
    if value.low is None or value.high is None:
        raise AssertionError(f"{value.name} has no interval")
    return value.low, value.high


def _surely_above(values: dict[str, Value], name: str, floor: float) -> None:
    low, _ = _limits(values[name])
    if low <= floor:
        raise AssertionError(f"{name} is {values[name].estimate:.4f}, from {low:.4f}; expected to be above {floor:g}")


def _holds(value: Value, expected: float) -> None:
    """Refuse a value whose 95 % interval, made twice as wide, does not hold what is expected."""
    low, high = _limits(value)
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
    _near(values["balanced_accuracy"].estimate, float(norm.cdf(2)), within=0.03)
    _near(values["advantage"].estimate, float(norm.cdf(2)) - 0.5, within=0.06)


def _imputation_meets_the_closed_form() -> None:
    # Two features, each moved by 2 for one of the values: 2 sqrt(2) between the values' means.
    values = _alone(planted(in_x=2.0), _imputation)
    _near(values["balanced_accuracy"].estimate, float(norm.cdf(math.sqrt(2))), within=0.03)


def _near(found: float, expected: float, *, within: float) -> None:
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


@cache
def _csmia_game() -> Planted:
    return planted(rows=20, aux=20, shares=(0.4, 0.3, 0.3))


def _counted(sizes: tuple[int, ...], found: tuple[int, ...]) -> AttributeResult:
    """Return guesses of which so many of each value are right, beside a control that always guesses the first value.

    Every second row is a member.
    """
    z = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    right = torch.cat([torch.arange(size) < count for size, count in zip(sizes, found, strict=True)])
    guess = torch.where(right, z, (z + 1) % len(sizes))
    return AttributeResult(
        score=torch.nn.functional.one_hot(guess, len(sizes)).double(),
        guess=guess,
        control=torch.zeros(1, len(z), dtype=torch.int64),
        z=z,
        member=torch.arange(len(z)) % 2 == 0,
        values=tuple("abcdef"[: len(sizes)]),
    )


def _metric_meets_the_hand_count() -> None:
    values = _values(_counted((80, 40), (60, 10)))
    _near(values["balanced_accuracy"].estimate, (0.75 + 0.25) / 2, within=1e-12)
    _near(values["advantage"].estimate, 0.5 - 0.5, within=1e-12)
    _near(values["auc"].estimate, 0.5, within=1e-12)
    values = _values(_counted((80, 40), (80, 10)))
    _near(values["advantage"].estimate, (1 + 0.25) / 2 - 0.5, within=1e-12)
    _near(values["auc"].estimate, (1 + 0.25) / 2, within=1e-12)


def _metric_parts_members() -> None:
    game = _counted((80, 40), (0, 0))
    values = _values(game.model_copy(update={"guess": torch.where(game.member, game.z, 1 - game.z)}))
    for name, expected in (("advantage_members", 0.5), ("advantage_non_members", -0.5), ("advantage_gap", 1.0)):
        _near(values[name].estimate, expected, within=1e-12)


def _metric_interval_is_the_formula() -> None:
    # Of 80 rows the control alone is right on 20, of 40 the attack alone on 10: Agresti and Min add 2 rows to each.
    centre = (-20 / 82 + 10 / 42) / 2
    variance = ((20 + 1 - 20**2 / 82) / 82**2 + (10 + 1 - 10**2 / 42) / 42**2) / 4
    reach = float(norm.ppf(0.975)) * math.sqrt(variance)
    for found, expected in zip(
        _limits(_values(_counted((80, 40), (60, 10)))["advantage"]), (centre - reach, centre + reach), strict=True
    ):
        _near(found, expected, within=1e-9)


def _metric_withholds() -> None:
    few = measure(_counted((80, 3), (80, 3)), NoParams())
    alone = measure(_counted((80, 40), (80, 40)).model_copy(update={"control": torch.zeros(0, 120).long()}), NoParams())
    shown = [value.name for value in few.values if not isinstance(value, Withheld)]
    shown += [value.name for value in alone.values if isinstance(value, Value) and value.name.startswith("advantage")]
    if shown:
        raise AssertionError(f"{', '.join(shown)} should have been withheld")
