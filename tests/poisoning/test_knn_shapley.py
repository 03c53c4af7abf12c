"""KNN-Shapley: equal to the definition, in slices as in one, and its ties in the rows' order."""

import numpy as np
import pytest
import torch

from amulet_plugins_builtin.catalogue.poisoning_defenses import OutlierRemovalParams
from amulet_plugins_builtin.poisoning import knn_shapley as module
from amulet_plugins_builtin.poisoning import planted
from amulet_plugins_builtin.poisoning.knn_shapley import knn_shapley
from amulet_plugins_builtin.poisoning.outlier_removal import lowest


def rows(n, *, classes=3, features=4):
    return torch.rand(n, features), torch.randint(0, classes, (n,))


@pytest.mark.parametrize("neighbours", [1, 3, 5, 8, 12])
@pytest.mark.parametrize("val", [1, 7])
def test_values_are_the_shapley_values_by_all_subsets(neighbours, val):
    (x, y), (val_x, val_y) = rows(8), rows(val)
    found = knn_shapley(x, y, val_x, val_y, neighbours=neighbours)
    expected = planted.shapley_by_subsets(x, y, val_x, val_y, neighbours=neighbours).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("neighbours", [1, 5, 30])
def test_values_sum_to_the_value_of_all_rows(neighbours):
    (x, y), (val_x, val_y) = rows(300), rows(40)
    near = torch.cdist(val_x.double(), x.double()).argsort(dim=1)[:, :neighbours]
    worth = float((y[near] == val_y[:, None]).double().mean())
    assert abs(knn_shapley(x, y, val_x, val_y, neighbours=neighbours).sum() - worth) < 1e-12


def test_a_single_row_is_worth_its_hits_over_k():
    x = torch.zeros(1, 2)
    found = knn_shapley(x, torch.tensor([1]), torch.rand(4, 2), torch.tensor([1, 1, 1, 0]), neighbours=5)
    assert found.tolist() == pytest.approx([0.75 / 5], abs=1e-15)


def test_slices_of_the_validation_rows_change_nothing(monkeypatch):
    (x, y), (val_x, val_y) = rows(100), rows(33)
    whole = knn_shapley(x, y, val_x, val_y, neighbours=3)
    monkeypatch.setattr(module, "_ELEMENTS", 500)
    np.testing.assert_allclose(knn_shapley(x, y, val_x, val_y, neighbours=3), whole, rtol=0, atol=1e-14)


def test_equally_near_rows_count_as_nearer_in_the_order_of_the_rows():
    x, y = torch.zeros(3, 2), torch.tensor([0, 1, 1])
    found = knn_shapley(x, y, torch.ones(1, 2), torch.tensor([1]), neighbours=1)
    # By hand: the third row is worth 1/3; s2 = s3; s1 = s2 + (0 - 1) / 1.
    assert found.tolist() == pytest.approx([1 / 3 - 1, 1 / 3, 1 / 3], abs=1e-15)


def test_values_far_from_the_origin_are_those_near_it():
    (x, y), (val_x, val_y) = rows(200), rows(20)
    near = knn_shapley((x * 64).round() / 64, y, (val_x * 64).round() / 64, val_y, neighbours=3)
    far = knn_shapley((x * 64).round() / 64 + 4096, y, (val_x * 64).round() / 64 + 4096, val_y, neighbours=3)
    np.testing.assert_allclose(far, near, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("train", "val"), [(0, 3), (3, 0)])
def test_values_without_rows_are_not_defined(train, val):
    (x, y), (val_x, val_y) = rows(train), rows(val)
    with pytest.raises(ValueError, match="not defined") as error:
        knn_shapley(x, y, val_x, val_y, neighbours=1)
    assert str(error.value) == (
        f"the values of {train} rows on {val} validation rows are not defined: give some of each"
    )


def test_flipped_rows_in_two_separate_clouds_rank_last():
    data, val = planted.images(rows=200, seed=1), planted.images(rows=100, seed=2)
    flipped = torch.randperm(200)[:20]
    data.y[flipped] = 1 - data.y[flipped]
    removed = lowest(data, val, params=OutlierRemovalParams(share=0.1))
    assert set(removed.tolist()) == set(flipped.tolist())


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.1, 5), (0.29, 14), (0.3, 15), (0.9, 45)])
def test_the_share_of_the_rows_is_rounded_down(share, count):
    data = planted.images(rows=50, seed=1)
    assert len(lowest(data, data, params=OutlierRemovalParams(share=share))) == count
