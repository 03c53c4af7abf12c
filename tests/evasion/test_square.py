"""Random search by blocks: what a block is, how often it asks, and that it needs no gradients."""

import pytest
import torch
from torch import nn

from amulet_core.feasible import distance
from amulet_core.schema import DataSchema, Feasible
from amulet_core.streams import isolated
from amulet_core.victims import LabelOracle, ProbabilityOracle
from amulet_plugins_builtin.catalogue.evasion_attacks import SquareParams
from amulet_plugins_builtin.evasion import blocks, planted, square
from amulet_plugins_builtin.evasion.blocks import feature_blocks, proposed, share_at, square_blocks
from amulet_plugins_builtin.evasion.found import task_of, unchanged

IMAGES = DataSchema(modality="image", shape=(3, 12, 10), classes=("a", "b"), feasible=Feasible(low=0.0, high=1.0))


def drawing(seed=0):
    return torch.Generator().manual_seed(seed)


def attacked(view, params, seed=0):
    with isolated("test", seed):
        return square.attack(view, params)


@pytest.mark.parametrize(
    ("query", "share"),
    [(1, 0.8), (2, 0.4), (6, 0.2), (21, 0.1), (51, 0.05), (101, 0.025), (999, 0.8 / 2**9)],
)
def test_blocks_are_halved_at_the_places_of_the_paper(query, share):
    assert share_at(query, 1000, first=0.8) == pytest.approx(share)


def test_the_first_change_in_linf_is_a_stripe_for_each_column_and_channel():
    made = square_blocks(40, IMAGES.shape, norm="linf", epsilon=0.1, draws=drawing())
    change = made.start()
    assert change.shape == (40, 3, 12, 10)
    assert torch.equal(change, change[:, :, :1].expand_as(change))
    torch.testing.assert_close(change.abs(), torch.full_like(change, 0.1))
    assert 0.4 < (change > 0).float().mean() < 0.6


@pytest.mark.parametrize(("share", "side"), [(0.8, 10), (0.3, 6), (0.05, 2), (0.001, 1)])
def test_a_block_of_an_image_is_a_square_of_one_sign_in_each_channel(share, side):
    made = square_blocks(200, IMAGES.shape, norm="linf", epsilon=0.1, draws=drawing())
    draw = made.draw(share)
    mask = draw.first[:, 0]
    assert (mask.flatten(1).sum(1) == side**2).all()
    for extent in (mask.any(2).sum(1), mask.any(1).sum(1)):
        assert (extent == side).all()
    before = torch.zeros(200, *IMAGES.shape)
    after = proposed(before, draw, blocks=made, norm="linf", epsilon=0.1)
    inside = draw.first.expand_as(after)
    assert (after[~inside] == 0).all()
    by_channel = after.masked_fill(~inside, torch.nan)
    assert torch.equal(by_channel.nan_to_num(-9).amax((2, 3)).abs(), torch.full((200, 3), 0.1))
    assert torch.equal(by_channel.nan_to_num(9).amin((2, 3)), by_channel.nan_to_num(-9).amax((2, 3)))
    # Every place is drawn: with 200 squares no row and no column of the image is left out.
    assert mask.any(0).any(1).all()
    assert mask.any(0).any(0).all()


def test_the_peaks_of_an_l2_square_follow_their_formula():
    # Sums of inverse squares, by distance from the middle: 1 + 1/4 + 1/9, 1/4 + 1/9, 1/9.
    middle, next_to_it, border = 49 / 36, 13 / 36, 4 / 36
    torch.testing.assert_close(
        blocks._peak(5, 5),
        torch.tensor(
            [
                [border] * 5,
                [border, next_to_it, next_to_it, next_to_it, border],
                [border, next_to_it, middle, next_to_it, border],
                [border, next_to_it, next_to_it, next_to_it, border],
                [border] * 5,
            ]
        ),
    )
    both = blocks._two_peaks(5)
    assert both.norm().item() == pytest.approx(1)
    assert (both[:, :2] > 0).all()
    assert (both[:, 2:] < 0).all()


def l2_blocks(name, n, epsilon):
    if name == "image":
        return square_blocks(n, IMAGES.shape, norm="l2", epsilon=epsilon, draws=drawing())
    return feature_blocks(n, torch.arange(30) != 3, norm="l2", epsilon=epsilon, draws=drawing())


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("name", ["image", "table"])
def test_l2_proposals_move_mass_and_use_the_whole_budget(name, share):
    made = l2_blocks(name, 50, 0.7)
    change = made.start()
    torch.testing.assert_close(change.flatten(1).norm(dim=1), torch.full((50,), 0.7))
    for unused in (1.0, 0.6):
        draw = made.draw(share)
        after = proposed(unused * change, draw, blocks=made, norm="l2", epsilon=0.7)
        inside = draw.first.expand_as(after)
        emptied = draw.second.expand_as(after) & ~inside
        assert (after[emptied] == 0).all()
        untouched = ~inside & ~emptied
        assert torch.equal(after[untouched], (unused * change)[untouched])
        torch.testing.assert_close(after.flatten(1).norm(dim=1), torch.full((50,), 0.7), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("share", "size"), [(0.8, 23), (0.1, 3), (0.001, 1)])
def test_a_block_of_a_table_is_a_random_subset_of_the_features_that_can_change(share, size):
    made = feature_blocks(400, torch.arange(30) != 3, norm="linf", epsilon=0.1, draws=drawing())
    draw = made.draw(share)
    assert (draw.first.sum(1) == size).all()
    assert not draw.first[:, 3].any()
    often = draw.first.float().mean(0)[torch.arange(30) != 3]
    assert often.mean().item() == pytest.approx(size / 29, abs=1e-6)
    assert (often > 0).all()
    after = proposed(torch.zeros(400, 30), draw, blocks=made, norm="linf", epsilon=0.1)
    assert torch.equal(after.abs() > 0, draw.first)
    assert 0.4 < (after[draw.first] > 0).float().mean() < 0.6


class Constant(nn.Module):
    """A network that ignores its input."""

    def forward(self, x):
        """Return the same logits for every row."""
        return torch.tensor([1.0, 0.0]).expand(len(x), 2)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("queries", [1, 7, 40])
def test_rows_that_withstand_cost_exactly_the_queries_they_may(norm, queries):
    x = torch.rand(20, *IMAGES.shape)
    view = planted.view_of(
        Constant(), x, torch.zeros(20, dtype=torch.int64), IMAGES, norm=norm, epsilons=(0.1, 0.2, 0.4)
    )
    attacked(view, SquareParams(queries=queries))
    assert view.model.queries == 20 + 3 * 20 * queries


def test_fooled_and_misclassified_rows_are_not_asked_about_again():
    x = torch.rand(20, *IMAGES.shape)
    y = torch.zeros(20, dtype=torch.int64)
    y[:12] = 1
    view = planted.view_of(Constant(), x, y, IMAGES, norm="linf", epsilons=(0.1, 0.2))
    answer = attacked(view, SquareParams(queries=10))
    assert view.model.queries == 20 + 2 * 8 * 10
    assert torch.equal(answer.x[:, :12], x[:12].expand(2, *x[:12].shape))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_proposal_is_kept_only_if_it_brings_the_other_class_closer(norm):
    model, schema = planted.linear_victim(features=30, seed=51)
    x = planted.rows_near_the_middle(schema, rows=30, seed=51)
    y = model(x).argmax(1)
    asked = []

    def ask(at):
        asked.append(at)
        return model(at)

    task = task_of(planted.view_of(model, x, y, schema, norm=norm, epsilons=(1e-6,)), epsilon=1e-6)
    before = unchanged(model, x, y)
    with isolated("kept"):
        found = square.square(ask, task, before, queries=30, share=0.8)
    leads = torch.stack([-planted.margins(model, at, y) for at in (x, *asked)])
    assert not found.fooled.any()
    torch.testing.assert_close(-planted.margins(model, found.x, y), leads.amax(0), rtol=0, atol=0)
    # A proposal differs from the best before it in its block only, so most features of the late ones are the best's.
    best = leads[:-1].argmax(0)
    last, kept_before = asked[-1], torch.stack([x, *asked])[best, torch.arange(30)]
    assert ((last - kept_before) == 0).float().mean() > 0.9


class Bright(nn.Module):
    """A network of the mean brightness, seen in steps: it has no gradient."""

    def forward(self, x):
        """Return logits of which the second leads beyond .5."""
        return torch.stack([torch.zeros(len(x)), (x.flatten(1).mean(1) * 1000).round() - 500], 1)


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 0.2 * 360**0.5)])
def test_it_finds_what_a_network_without_gradients_hides(norm, epsilon):
    x = torch.rand(60, *IMAGES.shape, generator=drawing()) * 0.1 + 0.42
    view = planted.view_of(Bright(), x, torch.zeros(60, dtype=torch.int64), IMAGES, norm=norm, epsilons=(epsilon,))
    view = view.model_copy(update={"model": ProbabilityOracle(Bright())})
    changed = attacked(view, SquareParams(queries=400)).x[0]
    # The mean must rise by .03; the budget gives .1, and in L2, where squares are half up and half down, .2.
    assert (Bright()(changed).argmax(1) == 1).float().mean() > 0.9
    assert (distance(changed, x, IMAGES, norm=norm) <= epsilon * (1 + 1e-4)).all()


def test_what_cannot_change_does_not():
    feasible = Feasible(
        low=(0.0,) * 8, high=(1.0,) * 4 + (40.0,) + (1.0,) * 3, immutable=(0,), one_hot=((1, 2, 3),), integer=(4,)
    )
    schema = DataSchema(modality="tabular", shape=(8,), classes=("no", "yes"), feasible=feasible)
    x = torch.rand(60, 8, generator=drawing(1))
    x[:, 1:4] = torch.eye(3)[torch.arange(60) % 3]
    x[:, 4] = (x[:, 4] * 40).round()
    model = nn.Linear(8, 2)
    for norm in ("linf", "l2"):
        view = planted.view_of(model, x, model(x).argmax(1), schema, norm=norm, epsilons=(0.12,))
        changed = attacked(view, SquareParams(queries=100)).x[0]
        assert torch.equal(changed[:, :4], x[:, :4])
        assert torch.equal(changed[:, 4], changed[:, 4].round())
        assert (changed[:, 4] != x[:, 4]).any()
        assert (changed[:, 5:] != x[:, 5:]).any()
        assert (distance(changed, x, schema, norm=norm) <= 0.12 + 1e-5).all()


def test_a_budget_that_pays_for_another_category_is_used():
    schema = DataSchema(
        modality="tabular",
        shape=(3,),
        classes=("no", "yes"),
        feasible=Feasible(low=0.0, high=1.0, one_hot=((0, 1, 2),)),
    )
    model = nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 3.0]]))
        model.bias.zero_()
    x, y = torch.eye(3)[[0, 0]], torch.zeros(2, dtype=torch.int64)
    answer = attacked(planted.view_of(model, x, y, schema, norm="linf", epsilons=(0.9, 1.0)), SquareParams(queries=200))
    assert torch.equal(answer.x[0], x)
    assert torch.equal(answer.x[1], torch.eye(3)[[2, 2]])


def test_without_probabilities_it_says_what_it_needs():
    x = torch.rand(3, *IMAGES.shape)
    view = planted.view_of(None, x, torch.zeros(3, dtype=torch.int64), IMAGES, norm="linf", epsilons=(0.1,))
    view = view.model_copy(update={"model": LabelOracle(Constant())})
    text = r"^square compares probabilities: it needs a view of its victim that gives them$"
    with pytest.raises(TypeError, match=text):
        square.attack(view, SquareParams())
