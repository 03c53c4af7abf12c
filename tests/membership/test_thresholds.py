"""Thresholds of each class, and what stands in for those of a class that is hardly there."""

import pytest
import torch

from amulet_plugins_builtin.membership.shadows import most_accurate_threshold
from amulet_plugins_builtin.membership.thresholds import on_own_rows, on_shadow_models, upper_quantile


@pytest.mark.parametrize(("rate", "expected"), [(0.1, 9.0), (0.5, 5.0), (0.9, 1.0)])
def test_about_the_share_asked_for_reaches_the_upper_quantile(rate: float, expected: float) -> None:
    assert upper_quantile(torch.arange(11.0).double(), rate) == expected


def test_each_class_has_the_quantile_of_its_own_rows_and_an_absent_one_that_of_all() -> None:
    scores, y = torch.tensor([1.0, 2.0, 3.0, 10.0, 20.0, 30.0]).double(), torch.tensor([0, 0, 0, 2, 2, 2])
    assert on_own_rows(scores, y, classes=3, rate=0.5).tolist() == [2.0, 10.0, 20.0]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([True, True, False, False], 0.0),  # the other way round: to call everybody a member errs no more than nobody
        ([False, False, True, True], 2.0),
        ([False, True, False, True], 3.0),  # as good as 1, and higher
    ],
)
def test_the_most_accurate_threshold_is_finite_and_the_highest_of_equals(members: list[bool], expected: float) -> None:
    assert most_accurate_threshold(torch.arange(4.0).double(), torch.tensor(members)) == expected


def test_a_class_with_fewer_than_two_members_gets_the_threshold_of_all() -> None:
    scores = torch.tensor([[0.0, 5.0, 1.0, 9.0], [6.0, 1.0, 7.0, 3.0]]).double()
    members = torch.tensor([[False, True, False, True], [True, False, True, False]])
    found = on_shadow_models(scores, members, torch.tensor([0, 0, 0, 1]), classes=2)
    assert found.tolist() == [5.0, 5.0]


def test_scores_of_members_alone_fix_no_threshold() -> None:
    with pytest.raises(ValueError, match="threshold") as caught:
        on_shadow_models(
            torch.zeros(1, 4).double(), torch.ones(1, 4, dtype=torch.bool), torch.zeros(4, dtype=torch.int64), classes=1
        )
    assert str(caught.value) == ("a threshold needs rows that are members and rows that are none, at least two of each")
