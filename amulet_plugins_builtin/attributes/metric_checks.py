"""The checks of the metric of attribute inference: values counted by hand, intervals in plain arithmetic."""

import math

import torch
from scipy.stats import norm

from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.games.attribute import AttributeResult
from amulet_core.scores import Value, Withheld
from amulet_plugins_builtin.attributes.checks import limits, measured, near
from amulet_plugins_builtin.attributes.metric import measure
from amulet_plugins_builtin.membership.expectations import Limits, delong, quadrature, same_limits


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
            "The other intervals are those of their formulas, in plain arithmetic.",
            "Balanced accuracy, area and gap are findings, too, by what their intervals leave out.",
            _metric_intervals_are_the_formulas,
        ),
        Check(
            "What the candidates cannot support is withheld.",
            "A value of three rows moves the mean more than a defense does; without a control there is no advantage.",
            _metric_withholds,
        ),
    )


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
    found = measured(_counted((80, 40), (60, 10)))
    near(found["balanced_accuracy"].estimate, (0.75 + 0.25) / 2, within=1e-12)
    near(found["advantage"].estimate, 0.5 - 0.5, within=1e-12)
    near(found["auc"].estimate, 0.5, within=1e-12)
    found = measured(_counted((80, 40), (80, 10)))
    near(found["advantage"].estimate, (1 + 0.25) / 2 - 0.5, within=1e-12)
    near(found["auc"].estimate, (1 + 0.25) / 2, within=1e-12)


def _metric_parts_members() -> None:
    game = _counted((80, 40), (0, 0))
    found = measured(game.model_copy(update={"guess": torch.where(game.member, game.z, 1 - game.z)}))
    for name, expected in (("advantage_members", 0.5), ("advantage_non_members", -0.5), ("advantage_gap", 1.0)):
        near(found[name].estimate, expected, within=1e-12)


def _metric_interval_is_the_formula() -> None:
    # Of 80 rows the control alone is right on 20, of 40 the attack alone on 10.
    found = limits(measured(_counted((80, 40), (60, 10)))["advantage"])
    same_limits("the advantage", found, _matched((-20, 80), (10, 40)))


def _metric_intervals_are_the_formulas() -> None:
    found = measured(_counted((80, 40), (60, 10)))
    # Of two values, 10 rows of 40 with the second and 20 of 80 with the first are taken for the second.
    area = delong([1.0] * 10 + [-1.0] * 30, [-1.0] * 60 + [1.0] * 20)
    # Half of each kind of rows are members, and as many are right among them as among the others.
    low, high = _matched((-10, 40), (5, 20))
    for name, expected in {
        "balanced_accuracy": quadrature((60, 80), (10, 40)),
        "balanced_accuracy_members": quadrature((30, 40), (5, 20)),
        "auc": area,
        "advantage_members": (low, high),
        "advantage_gap": (-math.hypot(low, high), math.hypot(low, high)),
    }.items():
        same_limits(name, limits(found[name]), expected)


def _matched(*counts: tuple[int, int]) -> Limits:
    """Return the limits of a mean difference of shares of matched rows, ``(difference, rows)`` each: Agresti and Min's.

    Only one of both is right where they differ. Half a row is added to each of the four counts of a share.
    """
    centre = sum(won / (n + 2) for won, n in counts) / len(counts)
    variance = sum((abs(won) + 1 - won**2 / (n + 2)) / (n + 2) ** 2 for won, n in counts)
    reach = float(norm.ppf(0.975)) * math.sqrt(variance) / len(counts)
    return centre - reach, centre + reach


def _metric_withholds() -> None:
    few = measure(_counted((80, 3), (80, 3)), NoParams())
    alone = measure(_counted((80, 40), (80, 40)).model_copy(update={"control": torch.zeros(0, 120).long()}), NoParams())
    shown = [value.name for value in few.values if not isinstance(value, Withheld)]
    shown += [value.name for value in alone.values if isinstance(value, Value) and value.name.startswith("advantage")]
    if shown:
        raise AssertionError(f"{', '.join(shown)} should have been withheld")
