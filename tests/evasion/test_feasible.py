"""The feasible set: projections keep to budget, box and structure, and leave possible inputs alone."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import vmap

from amulet_core.feasible import distance, mutable, project, projection, span
from amulet_core.schema import DataSchema, Feasible

WIDE = DataSchema(
    modality="tabular",
    shape=(9,),
    classes=("no", "yes"),
    feasible=Feasible(
        low=(0.0, 0.0, -5.0, 17.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        high=(1.0, 99999.0, 5.0, 90.0, 10.0, 1.0, 1.0, 1.0, 1.0),
        immutable=(0,),
        integer=(1, 3),
        one_hot=((5, 6), (7, 8)),
    ),
)
IMAGE = DataSchema(modality="image", shape=(1, 4, 4), classes=("a", "b", "c"), feasible=Feasible(low=-1.0, high=1.0))
SCHEMAS = {"tabular": WIDE, "image": IMAGE}

norms = st.sampled_from(["linf", "l2"])
budgets = st.floats(0.001, 3.0)


def possible_rows(schema: DataSchema, n: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    low = torch.as_tensor(schema.feasible.low).expand(schema.width).reshape(schema.shape)
    x = low + torch.rand(n, *schema.shape, generator=generator) * span(schema)
    flat = x.reshape(n, -1)
    for i in schema.feasible.integer:
        flat[:, i] = flat[:, i].round()
    for group in schema.feasible.one_hot:
        flat[:, list(group)] = torch.eye(len(group))[torch.randint(len(group), (n,), generator=generator)]
    return x


def wild_rows(schema: DataSchema, origin: Tensor, scale: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed + 1)
    return origin + scale * span(schema) * torch.randn(origin.shape, generator=generator)


@pytest.mark.parametrize("name", SCHEMAS)
@settings(max_examples=60, deadline=None)
@given(norm=norms, epsilon=budgets, scale=st.floats(0.001, 5.0), seed=st.integers(0, 10**6))
def test_a_projection_keeps_budget_bounds_and_structure(name, norm, epsilon, scale, seed):
    schema = SCHEMAS[name]
    origin = possible_rows(schema, 20, seed)
    x = project(wild_rows(schema, origin, scale, seed), origin, schema, norm=norm, epsilon=epsilon)
    assert (distance(x, origin, schema, norm=norm) <= epsilon * (1 + 1e-5) + 1e-5).all()
    low = torch.as_tensor(schema.feasible.low).expand(schema.width).reshape(schema.shape)
    assert ((x >= low) & (x <= low + span(schema))).all()
    flat, start = x.reshape(20, -1), origin.reshape(20, -1)
    assert torch.equal(flat[:, list(schema.feasible.immutable)], start[:, list(schema.feasible.immutable)])
    whole = flat[:, list(schema.feasible.integer)]
    assert torch.equal(whole, whole.round())
    for group in schema.feasible.one_hot:
        members = flat[:, list(group)]
        assert ((members == 0) | (members == 1)).all()
        assert (members.sum(1) == 1).all()


@pytest.mark.parametrize("integers", [True, False])
@pytest.mark.parametrize("name", SCHEMAS)
@settings(max_examples=60, deadline=None)
@given(norm=norms, epsilon=budgets, scale=st.floats(0.001, 5.0), seed=st.integers(0, 10**6))
def test_projecting_a_second_time_changes_nothing(name, integers, norm, epsilon, scale, seed):
    schema = SCHEMAS[name]
    origin = possible_rows(schema, 20, seed)
    to = projection(schema, norm=norm, epsilon=epsilon, integers=integers)
    once = to(wild_rows(schema, origin, scale, seed), origin)
    assert torch.equal(to(once, origin), once)


@pytest.mark.parametrize("name", SCHEMAS)
@settings(max_examples=40, deadline=None)
@given(norm=norms, epsilon=budgets, larger=st.floats(1.0, 3.0), scale=st.floats(0.001, 5.0), seed=st.integers(0, 10**6))
def test_what_a_budget_reaches_a_larger_one_leaves_alone(name, norm, epsilon, larger, scale, seed):
    schema = SCHEMAS[name]
    origin = possible_rows(schema, 20, seed)
    once = project(wild_rows(schema, origin, scale, seed), origin, schema, norm=norm, epsilon=epsilon)
    again = project(once, origin, schema, norm=norm, epsilon=epsilon * larger)
    torch.testing.assert_close(again, once, rtol=0, atol=0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_origin_is_always_possible(norm):
    origin = possible_rows(WIDE, 50, 3)
    assert torch.equal(project(origin, origin, WIDE, norm=norm, epsilon=1e-3), origin)


def test_every_feature_has_its_own_range():
    schema = DataSchema(
        modality="tabular", shape=(2,), classes=("a", "b"), feasible=Feasible(low=(0.0, -10.0), high=(1.0, 90.0))
    )
    origin = torch.tensor([[0.5, 40.0]])
    moved = project(origin + 1000, origin, schema, norm="linf", epsilon=0.1)
    torch.testing.assert_close(moved, torch.tensor([[0.6, 50.0]]))
    torch.testing.assert_close(distance(moved, origin, schema, norm="linf"), torch.tensor([0.1]))
    torch.testing.assert_close(distance(moved, origin, schema, norm="l2"), torch.tensor([math.hypot(0.1, 0.1)]))


def test_an_l2_ball_keeps_the_direction_in_units_of_the_ranges():
    schema = DataSchema(
        modality="tabular", shape=(2,), classes=("a", "b"), feasible=Feasible(low=(0.0, -100.0), high=(1.0, 100.0))
    )
    origin = torch.tensor([[0.5, 0.0]])
    moved = project(origin + torch.tensor([[0.3, 80.0]]), origin, schema, norm="l2", epsilon=0.25)
    torch.testing.assert_close(moved - origin, torch.tensor([[0.15, 40.0]]))


def test_integers_are_rounded_towards_the_origin():
    schema = DataSchema(
        modality="tabular",
        shape=(1,),
        classes=("a", "b"),
        feasible=Feasible(low=0.0, high=100.0, integer=(0,)),
    )
    origin = torch.full((4, 1), 50.0)
    x = torch.tensor([[52.9], [47.1], [49.9], [99.0]])
    moved = project(x, origin, schema, norm="linf", epsilon=0.03)
    assert moved.flatten().tolist() == [52.0, 48.0, 50.0, 53.0]
    relaxed = project(x, origin, schema, norm="linf", epsilon=0.03, integers=False)
    torch.testing.assert_close(relaxed.flatten(), torch.tensor([52.9, 47.1, 49.9, 53.0]))


@pytest.mark.parametrize(
    ("norm", "epsilon", "changed"),
    [("linf", 0.99, 0), ("linf", 1.0, 2), ("l2", 1.41, 0), ("l2", math.sqrt(2), 1), ("l2", 1.9, 1), ("l2", 2.0, 2)],
)
def test_a_one_hot_group_changes_only_where_the_budget_pays_for_it(norm, epsilon, changed):
    origin = torch.tensor([[0.5, 100.0, 0.0, 40.0, 5.0, 1.0, 0.0, 1.0, 0.0]])
    wish = origin.clone()
    wish[0, 5:] = torch.tensor([0.0, 1.0, 0.3, 0.7])
    moved = project(wish, origin, WIDE, norm=norm, epsilon=epsilon)
    swapped = [moved[0, a] == 0 and moved[0, b] == 1 for a, b in ((5, 6), (7, 8))]
    assert sum(swapped) == changed
    if changed == 1:
        assert swapped[0], "the group that changed most is paid first"


def test_other_features_share_the_l2_budget_that_groups_leave():
    origin = torch.tensor([[0.5, 100.0, 0.0, 40.0, 5.0, 1.0, 0.0, 1.0, 0.0]])
    wish = origin.clone()
    wish[0, 5:7] = torch.tensor([0.0, 1.0])
    wish[0, 2] = 5.0
    moved = project(wish, origin, WIDE, norm="l2", epsilon=1.5)
    torch.testing.assert_close(moved[0, 2], torch.tensor(10 * math.sqrt(1.5**2 - 2)).clamp_max(5.0))
    torch.testing.assert_close(distance(moved, origin, WIDE, norm="l2"), torch.tensor([1.5]))


def test_an_immutable_feature_fixes_its_whole_group():
    schema = WIDE.model_copy(update={"feasible": WIDE.feasible.model_copy(update={"immutable": (0, 5)})})
    assert mutable(schema, norm="linf", epsilon=1.0).tolist() == [False] + [True] * 4 + [False] * 2 + [True] * 2


def test_only_a_budget_that_reaches_another_value_makes_a_group_mutable():
    fixed = [False] + [True] * 4 + [False] * 4
    assert mutable(WIDE).tolist() == fixed
    assert mutable(WIDE, norm="l2", epsilon=1.4).tolist() == fixed
    assert mutable(WIDE, norm="l2", epsilon=1.5).tolist() == [False] + [True] * 8


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("epsilon", [0.1, 2.5])
def test_a_stack_projects_as_its_models_do_alone(name, norm, epsilon):
    schema = SCHEMAS[name]
    origin = torch.stack([possible_rows(schema, 6, seed) for seed in range(3)])
    x = torch.stack([wild_rows(schema, part, 0.7, seed) for seed, part in enumerate(origin)])
    to = projection(schema, norm=norm, epsilon=epsilon)
    alone = torch.stack([to(part, start) for part, start in zip(x, origin, strict=True)])
    assert torch.equal(vmap(to)(x, origin), alone)
    assert torch.equal(to(x, origin), alone)


@pytest.mark.parametrize(("low", "high"), [(0.0, 100.0), (1900.0, 2000.0), (0.0, 100000.0)])
def test_a_budget_of_whole_numbers_reaches_them_despite_rounding(low, high):
    schema = DataSchema(
        modality="tabular", shape=(1,), classes=("a", "b"), feasible=Feasible(low=low, high=high, integer=(0,))
    )
    origin = torch.full((1, 1), low)
    reached = [
        float(project(origin + high, origin, schema, norm="linf", epsilon=percent / 100)) for percent in range(1, 100)
    ]
    assert reached == [low + percent * (high - low) / 100 for percent in range(1, 100)]
