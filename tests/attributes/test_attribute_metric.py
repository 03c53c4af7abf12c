"""The metric and its intervals: counted by hand, against other implementations, and covering what they claim."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from amulet_core.components import NoParams
from amulet_core.games.attribute import AttributeResult
from amulet_core.scores import Value, Withheld
from amulet_core.statistics.balanced import balanced_accuracy, balanced_gain, difference
from amulet_core.statistics.interval import Interval
from amulet_core.statistics.proportions import clopper_pearson, wilson
from amulet_plugins_builtin.attributes.metric import measure

PARTS = ("", "_members", "_non_members")


def result(
    *, sizes: tuple[int, ...] = (120, 60, 40), controls: int = 1, seed: int = 0, member: int = 2
) -> AttributeResult:
    """Random scores, guesses and guesses of controls; every ``member``-th row is a member."""
    draws = torch.Generator().manual_seed(seed)
    n, k = sum(sizes), len(sizes)
    score = torch.rand(n, k, generator=draws, dtype=torch.float64)
    return AttributeResult(
        score=score,
        guess=score.argmax(1),
        control=torch.randint(0, k, (controls, n), generator=draws),
        z=torch.repeat_interleave(torch.arange(k), torch.tensor(sizes)),
        member=torch.arange(n) % member == 0,
        values=tuple("abcdef"[:k]),
    )


def shown(given: AttributeResult) -> dict[str, Value]:
    return {value.name: value for value in measure(given, NoParams()).values if isinstance(value, Value)}


def withheld(given: AttributeResult) -> dict[str, str]:
    return {value.name: value.reason for value in measure(given, NoParams()).values if isinstance(value, Withheld)}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("sizes", [(120, 60), (120, 60, 40)])
def test_the_values_are_those_of_scikit_learn(sizes: tuple[int, ...], part: str) -> None:
    given = result(sizes=sizes)
    rows = {"": given.member | True, "_members": given.member, "_non_members": ~given.member}[part].numpy()
    z, guess, control = given.z.numpy()[rows], given.guess.numpy()[rows], given.control[0].numpy()[rows]
    score = given.score.numpy()[rows]
    values = shown(given)
    accuracy = balanced_accuracy_score(z, guess)
    assert values[f"balanced_accuracy{part}"].estimate == pytest.approx(accuracy)
    assert values[f"advantage{part}"].estimate == pytest.approx(accuracy - balanced_accuracy_score(z, control))
    area = (
        roc_auc_score(z, score[:, 1] - score[:, 0])
        if len(sizes) == 2
        else np.mean([roc_auc_score(z == value, score[:, value]) for value in range(3)])
    )
    assert values[f"auc{part}"].estimate == pytest.approx(area)
    assert {values[f"{name}{part}"].n for name in ("advantage", "balanced_accuracy", "auc")} == {rows.sum()}


def test_the_advantage_is_over_the_best_of_the_controls() -> None:
    given = result(sizes=(80, 80))
    controls = torch.stack([torch.zeros(160).long(), given.z.clone(), 1 - given.z])
    values = shown(given.model_copy(update={"control": controls}))
    assert values["advantage"].estimate == pytest.approx(values["balanced_accuracy"].estimate - 1)


def test_the_gap_is_the_advantage_on_members_less_that_on_others() -> None:
    values = shown(result())
    gap = values["advantage_members"].estimate - values["advantage_non_members"].estimate
    assert values["advantage_gap"].estimate == pytest.approx(gap)
    assert values["advantage_gap"].n == 220


def test_a_value_of_fewer_than_30_candidates_does_not_count_and_is_said_so() -> None:
    given = result(sizes=(100, 100, 29))
    few, without = shown(given), given.z < 2
    recalls = [float((given.guess == value)[given.z == value].double().mean()) for value in (0, 1)]
    assert few["balanced_accuracy"].estimate == pytest.approx(sum(recalls) / 2)
    assert few["balanced_accuracy"].n == int(without.sum())
    lines = measure(given, NoParams()).details["by_value"]
    assert isinstance(lines, list)
    assert [line["counts"] for line in lines if isinstance(line, dict)] == ["yes", "yes", "no"]
    assert shown(result(sizes=(100, 100, 30)))["balanced_accuracy"].n == 230


def test_the_details_say_how_many_of_each_value_were_found_and_by_whom() -> None:
    given = result(sizes=(40, 30, 1), controls=2).model_copy(update={"values": ("a", "b", "c")})
    lines = measure(given, NoParams()).details["by_value"]
    assert isinstance(lines, list)
    for value, line in enumerate(lines):
        rows = given.z == value
        assert line == {
            "value": "abc"[value],
            "n": int(rows.sum()),
            "counts": "yes" if value < 2 else "no",
            "found": float((given.guess[rows] == value).double().mean()),
            "found by the control 1": float((given.control[0][rows] == value).double().mean()),
            "found by the control 2": float((given.control[1][rows] == value).double().mean()),
        }


def test_a_value_that_no_candidate_has_is_told_in_the_details_without_a_share() -> None:
    given = result(sizes=(40, 30)).model_copy(update={"values": ("a", "b", "c"), "score": torch.zeros(70, 3).double()})
    lines = measure(given, NoParams()).details["by_value"]
    assert isinstance(lines, list)
    assert lines[2] == {"value": "c", "n": 0, "counts": "no", "found": None, "found by the control": None}


def test_without_a_control_every_advantage_is_withheld() -> None:
    reason = "No control stands beside it: it is one itself, or none could be played."
    names = ("advantage", "advantage_members", "advantage_non_members", "advantage_gap")
    assert withheld(result(controls=0)) == dict.fromkeys(names, reason)


def test_with_a_single_value_all_is_withheld() -> None:
    reason = "Fewer than two values have 30 candidates: there is nothing to tell apart."
    found = withheld(result(sizes=(100, 29)))
    assert len(found) == 10
    assert set(found.values()) == {reason}


def test_a_part_that_lacks_a_value_is_withheld_alone() -> None:
    given = result(sizes=(40, 40))
    found = withheld(given.model_copy(update={"member": given.z == 0}))
    assert found == {
        **{
            f"{name}_members": "Fewer than two of these rows are b."
            for name in ("advantage", "balanced_accuracy", "auc")
        },
        **{
            f"{name}_non_members": "Fewer than two of these rows are a."
            for name in ("advantage", "balanced_accuracy", "auc")
        },
        "advantage_gap": "Fewer than two of these rows are b.",
    }


def test_of_one_group_balanced_accuracy_is_a_proportion() -> None:
    right = np.arange(50) < 37
    found, expected = balanced_accuracy(right, np.zeros(50, int)), clopper_pearson(37, 50)
    assert (found.estimate, found.low, found.high) == pytest.approx((expected.estimate, expected.low, expected.high))


def test_the_gain_of_one_group_has_the_limits_of_agresti_and_min() -> None:
    # Each of the four counts gets half a row: of 100, 12 won and 5 lost. By hand: 7/102 -+ z sqrt(18/102 - (7/102)^2)/...
    right, other = np.zeros(100, bool), np.zeros(100, bool)
    right[:12], other[12:17] = True, True
    found = balanced_gain(right, other, np.zeros(100, int))
    centre, n = 7 / 102, 102
    reach = 1.959964 * np.sqrt((12.5 + 5.5) - (12.5 - 5.5) ** 2 / n) / n
    assert found.estimate == pytest.approx(0.07)
    assert (found.low, found.high) == pytest.approx((centre - reach, centre + reach))


def test_the_gain_over_equal_guesses_is_nothing_with_a_width() -> None:
    right = np.arange(60) % 3 == 0
    found = balanced_gain(right, right, np.arange(60) % 2)
    assert found.estimate == 0
    assert found.low < 0 < found.high


def test_a_gain_of_everything_is_within_its_interval() -> None:
    for groups in range(1, 9):
        labels = np.arange(30 * groups) % groups
        found = balanced_gain(labels >= 0, labels < 0, labels)
        assert (found.estimate, found.high) == (1.0, 1.0)
        assert 0.8 < found.low < 1


def test_a_smaller_share_of_errors_is_a_narrower_interval() -> None:
    widths = [
        (found := balanced_accuracy(np.arange(4 * n) % 4 > 0, np.arange(4 * n) // 2 % 2)).high - found.low
        for n in (10, 40, 160, 640)
    ]
    assert all(one > 1.7 * other for one, other in pairwise(widths))


def test_the_intervals_cover_what_they_claim() -> None:
    """Two groups of unequal size, guesses that agree often: the true gain and accuracy are known."""
    draws, runs, group = np.random.default_rng(0), 1500, np.repeat([0, 1], [300, 60])
    hits = np.zeros(3)
    for _ in range(runs):
        base, flip = draws.random(360), draws.random(360)
        other = base < np.where(group == 0, 0.7, 0.5)
        right = np.where(flip < 0.2, draws.random(360) < 0.8, other)
        accuracy, gain = balanced_accuracy(right, group), balanced_gain(right, other, group)
        other_gain = balanced_gain(*(draws.random((2, 360)) < 0.6), group)
        true = 0.8 * np.array([0.7, 0.5]) + 0.2 * 0.8
        hits += [
            accuracy.low <= true.mean() <= accuracy.high,
            gain.low <= true.mean() - 0.6 <= gain.high,
            (both := difference(gain, other_gain)).low <= true.mean() - 0.6 <= both.high,
        ]
    assert all(0.935 < share < 0.99 for share in hits / runs)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        # Zou & Donner 2008 by hand: .09 and .12 downwards make .15, .04 and .03 upwards make .05.
        (Interval(0.8, 0.71, 0.84, 0.95, "x"), Interval(0.5, 0.47, 0.62, 0.95, "x"), 0.15, 0.35),
        # Of two Wilson intervals it is Newcombe's: 56/70 - 48/80 of 1998, Statistics in Medicine 17:873, table II.
        (wilson(56, 70), wilson(48, 80), 0.0524, 0.3339),
    ],
)
def test_the_limits_of_a_difference_are_those_of_the_formula(
    first: Interval, second: Interval, low: float, high: float
) -> None:
    found = difference(first, second)
    assert found.estimate == pytest.approx(first.estimate - second.estimate)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_estimates_of_different_levels_have_no_difference() -> None:
    with pytest.raises(ValueError, match=r"^difference: levels differ: 0\.9 and 0\.95\.$"):
        difference(Interval(0.5, 0.4, 0.6, 0.9, "x"), Interval(0.5, 0.4, 0.6, 0.95, "x"))


@pytest.mark.parametrize(
    ("right", "group", "message"),
    [
        ([], [], r"^balanced accuracy: one flag and one group per row are needed, .* not shapes \(0,\), \(0,\)"),
        ([True], [0, 1], r"^balanced accuracy: .* not shapes \(1,\), \(2,\)\.$"),
        ([1, 0], [0, 1], r"^balanced accuracy: flags must be boolean, not int64\.$"),
        ([True, False], [0.0, 1.0], r"^balanced accuracy: group must hold integer labels, not float64\.$"),
    ],
)
def test_flags_and_groups_of_the_wrong_form_are_refused(right: list[bool], group: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        balanced_accuracy(np.array(right), np.array(group))
