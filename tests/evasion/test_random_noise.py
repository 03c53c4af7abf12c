"""The control of evasion: uniform in the ball, possible, and blind."""

import pytest
import torch
from scipy import stats

from amulet_core.components import NoParams
from amulet_core.feasible import distance
from amulet_core.schema import DataSchema, Feasible
from amulet_core.streams import isolated
from amulet_plugins_builtin.evasion import planted, random_noise
from amulet_plugins_builtin.evasion.ascent import uniform_in_ball


@pytest.mark.parametrize(("norm", "power"), [("linf", 4), ("l2", 4)])
def test_points_are_uniform_in_the_ball_of_the_mutable_features(norm, power):
    schema = DataSchema(
        modality="tabular",
        shape=(5,),
        classes=("a", "b"),
        feasible=Feasible(low=(-9.0,) * 5, high=(9.0, 9.0, 9.0, 90.0, 900.0), immutable=(1,)),
    )
    origin = torch.zeros(4000, 5)
    with isolated("ball"):
        draws = torch.rand(4000, 5) * 2 - 1
    points = uniform_in_ball(draws, origin, schema, norm=norm, epsilon=0.25)
    assert (points[:, 1] == 0).all()
    radius = distance(points, origin, schema, norm=norm) / 0.25
    assert radius.max() <= 1 + 1e-5
    assert stats.kstest(radius.numpy() ** power, "uniform").pvalue > 1e-3
    assert torch.equal(points[:, [0, 2, 3, 4]] > 0, draws[:, [0, 2, 3, 4]] > 0)


def test_the_edge_of_the_draws_is_no_infinite_deviate():
    schema = DataSchema(modality="tabular", shape=(2,), classes=("a", "b"), feasible=Feasible(low=0.0, high=1.0))
    points = uniform_in_ball(torch.tensor([[-1.0, 0.0]]), torch.zeros(1, 2), schema, norm="l2", epsilon=0.5)
    torch.testing.assert_close(points, torch.tensor([[-0.5, 0.0]]), atol=1e-4, rtol=0)


def test_many_features_make_finite_points_near_the_surface():
    schema = DataSchema(modality="image", shape=(3, 32, 32), classes=("a", "b"), feasible=Feasible(low=0.0, high=1.0))
    with isolated("image"):
        draws = torch.rand(50, 3, 32, 32) * 2 - 1
    points = uniform_in_ball(draws, torch.zeros(50, 3, 32, 32), schema, norm="l2", epsilon=0.5)
    radius = distance(points, torch.zeros_like(points), schema, norm="l2")
    assert ((radius > 0.495) & (radius <= 0.5 + 1e-5)).all()


def test_noise_is_one_direction_scaled_to_each_budget():
    _, schema = planted.linear_victim(features=6, seed=1)
    x = planted.rows_near_the_middle(schema, rows=20, seed=1)
    view = planted.view_of(None, x, torch.zeros(20, dtype=torch.int64), schema, norm="linf", epsilons=(0.1, 0.2))
    with isolated("noise"):
        near, far = random_noise.attack(view, NoParams()).x - x
    torch.testing.assert_close(far, 2 * near, atol=1e-5, rtol=1e-4)
