"""Dataset inference: distances by brute force and closed form, one row of features a row, and Welch's test."""

import numpy as np
import pytest
import torch
from scipy.stats import ttest_ind

from amulet_core.schema import DataSchema, Feasible
from amulet_core.streams import isolated
from amulet_core.training.values import Fitted
from amulet_core.victims import LabelOracle, WhiteBox
from amulet_plugins_builtin.catalogue.ownership_defenses import BlindWalkParams, GradientWalkParams
from amulet_plugins_builtin.ownership import planted_owners
from amulet_plugins_builtin.ownership.dataset_inference import verified, verify_by_gradients, verify_by_walks, welch
from amulet_plugins_builtin.ownership.distances import blind_walk, gradient_walk

PLANE = DataSchema(modality="tabular", shape=(2,), classes=("no", "yes"), feasible=Feasible(low=-2.0, high=(2.0)))
LINE = DataSchema(modality="tabular", shape=(1,), classes=("no", "yes"), feasible=Feasible(low=0.0, high=10.0))


def walk(labels, x, y, schema, *, steps=100, walks=1, seed=1):
    return blind_walk(labels, x, y, schema, walks=walks, step=0.01, steps=steps, seed=seed)


def test_on_a_line_every_walk_ends_at_one_of_two_known_places():
    x, y = torch.tensor([[2.0], [4.5], [7.0]]), torch.tensor([0, 0, 1])
    found = walk(lambda rows: (rows[:, 0] > 5).long(), x, y, LINE, walks=20)
    # Towards the boundary it is one step beyond it; away from it, the walk ends at the bound.
    expected = torch.tensor([[0.31, 0.2], [0.06, 0.45], [0.2, 0.3]])
    apart = (found[:, :, None] - expected[:, None]).abs().amin(2)
    assert apart.max() < 0.0101
    assert found.shape == (3, 60)
    for row, (towards, away) in zip(found, expected, strict=True):
        assert (row - towards).abs().min() < 0.0101
        assert (row - away).abs().min() < 0.0101


def test_each_row_of_features_belongs_to_its_row():
    x = torch.tensor([[4.99], [0.5], [4.9], [2.0]])
    found = walk(lambda rows: (rows[:, 0] > 5).long(), x, torch.zeros(4).long(), LINE, walks=30)
    alone = [walk(lambda rows: (rows[:, 0] > 5).long(), row[None], torch.zeros(1).long(), LINE, walks=30) for row in x]
    nearest = torch.tensor([found[at].amin() for at in range(4)])
    assert torch.allclose(nearest, torch.tensor([one.amin() for one in alone]), atol=1e-6)
    assert nearest.tolist() == pytest.approx([0.01, 0.05, 0.01, 0.2], abs=0.011)


def test_walks_of_one_kind_ascend():
    found = walk(lambda rows: (rows.sum(1) > 0).long(), torch.full((6, 2), -0.5), torch.zeros(6).long(), PLANE, walks=7)
    kinds = found.reshape(6, 3, 7)
    assert torch.equal(kinds, kinds.sort(2).values)
    assert (kinds[:, :, 0] < kinds[:, :, -1]).all()


def test_a_row_of_the_wrong_label_is_at_distance_0_and_a_walk_without_an_end_as_long_as_it_is():
    x = torch.zeros(3, 2)
    assert walk(lambda rows: torch.ones(len(rows)).long(), x, torch.zeros(3).long(), PLANE).abs().max() == 0
    endless = walk(lambda rows: torch.zeros(len(rows)).long(), x, torch.zeros(3).long(), PLANE, steps=10)
    assert torch.allclose(endless, torch.full((3, 3), 0.1), atol=1e-6)


def test_no_walk_leaves_the_bounds_and_only_walks_that_go_on_are_asked_about():
    asked = []

    def labels(rows):
        asked.append(rows.clone())
        return (rows[:, 0].abs() > 1.5).long()

    walk(labels, torch.zeros(10, 2), torch.zeros(10).long(), PLANE, steps=150)
    assert torch.cat(asked).abs().max() <= 2
    sizes = [len(rows) for rows in asked[:151]]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[1]


def test_the_same_seed_walks_the_same_ways():
    def labels(rows):
        return (rows[:, 0] > 1).long()

    one, again, other = (walk(labels, torch.zeros(5, 2), torch.zeros(5).long(), PLANE, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def bent(rows):
    """Three classes: the largest of three linear functions."""
    x, y = rows[:, 0], rows[:, 1]
    return torch.stack([x, y, -x - y], 1)


THREE = PLANE.model_copy(update={"classes": ("a", "b", "c")})


def test_descents_reach_each_class_at_its_closed_distance():
    x = torch.tensor([[1.0, 0.2], [0.1, 0.9]])
    found = gradient_walk(bent, x, torch.tensor([0, 0]), THREE, step=0.002, steps=400).reshape(2, 3, 3)
    # Row 0 is right. Class b: x - y <= 0; class c: 2x + y <= 0 and x + 2y <= 0.
    rms, largest = found[:, 1], found[:, 2]
    assert rms[0, 0] == largest[0, 0] == 0
    assert float(largest[0, 1]) == pytest.approx(0.8 / 2 / 4, abs=0.003)
    assert float(rms[0, 1]) == pytest.approx(0.8 / 2**0.5 / 4 / 2**0.5, abs=0.003)
    # Row 1 is of class b and labelled a: its own class is at a distance, and the nearest other at none.
    assert float(largest[1, 0]) == pytest.approx(0.8 / 2 / 4, abs=0.003)
    assert float(largest[1, 1]) == 0
    assert (found[:, :, 1] <= found[:, :, 2]).all()


def test_a_step_in_the_mean_norm_moves_few_features():
    schema = PLANE.model_copy(update={"shape": (40,)})
    weight = torch.arange(40) / 40

    def logits(rows):
        return torch.stack([rows @ weight, 1 - rows @ weight], 1)

    found = gradient_walk(logits, torch.full((1, 40), 0.6), torch.tensor([0]), schema, step=0.01, steps=2)
    # Two steps of .01 by two of 40 features; in the other norms, by all of them.
    assert found[0, [1, 3, 5]].tolist() == pytest.approx([0.02 * 2 / 40, 0.02, 0.02], abs=1e-5)


def test_welch_is_scipys():
    draws = np.random.default_rng(0)
    one, other = draws.normal(0.3, 1, 40), draws.normal(0, 2, 55)
    expected = ttest_ind(one, other, equal_var=False, alternative="greater")
    assert welch(one, other) == pytest.approx((expected.statistic, expected.pvalue))


def test_welch_of_values_that_do_not_vary_is_a_number():
    assert welch(np.ones(5), np.ones(6)) == (0.0, 0.5)
    statistic, p = welch(np.ones(5), np.zeros(6))
    assert np.isfinite(statistic)
    assert 0 <= p < 1e-12


VERIFICATIONS = [
    pytest.param(verify_by_walks, BlindWalkParams(steps=20, step=0.05), LabelOracle, id="walks"),
    pytest.param(verify_by_gradients, GradientWalkParams(steps=20, step=0.02), WhiteBox, id="gradients"),
]


def answer(verify, params, kind, *, val=120):
    own, held = planted_owners.rows("own"), planted_owners.rows("held", n=val)
    heart = planted_owners.Nearest(own.x, own.y, 4) if kind is LabelOracle else planted_owners.Small().eval()
    constant = planted_owners.Small().eval().requires_grad_(False)
    constant.head.weight.zero_()
    with isolated("verify"):
        return verify(planted_owners.view(Fitted(heart), [heart, constant], own, held, kind=kind), params)


@pytest.mark.parametrize(("verify", "params", "kind"), VERIFICATIONS)
def test_a_model_that_does_not_know_the_rows_is_told_so(verify, params, kind):
    found = answer(verify, params, kind)
    assert float(found.p[1]) > 0.01
    if kind is LabelOracle:
        assert found.warnings == ()
        assert float(found.p[0]) < 1e-3
    else:
        (text,) = found.warnings
        assert text == (
            "training and validation rows are not told apart on the owner's own model either "
            f"(p = {float(found.p[0]):.2g})"
        )


def test_too_few_validation_rows_are_refused():
    with pytest.raises(ValueError) as refusal:
        answer(verify_by_walks, BlindWalkParams(), LabelOracle, val=12)
    assert str(refusal.value) == (
        "dataset inference compares training rows with validation rows, and has 12 of each to go by: 20 are needed; "
        "set data.val higher"
    )


def test_descent_needs_models_with_gradients():
    def logits(rows):
        return bent(rows).detach()

    with pytest.raises(ValueError) as refusal:
        gradient_walk(logits, torch.zeros(2, 2), torch.zeros(2).long(), THREE, step=0.1, steps=2)
    assert str(refusal.value) == "a model gives no gradients, which distances by descent need: use random walks"


def test_descent_needs_suspects_whole():
    own = planted_owners.rows("own")
    heart = planted_owners.Small().eval()
    with pytest.raises(TypeError) as refusal:
        verify_by_gradients(
            planted_owners.view(Fitted(heart), [heart], own, own, kind=LabelOracle), GradientWalkParams(steps=1)
        )
    assert str(refusal.value) == "dataset-inference-mingd needs suspects whole, and one is a LabelOracle"


def test_rows_are_learnt_from_or_tested_on_and_never_both():
    own, held = planted_owners.rows("own"), planted_owners.rows("held", n=90)
    seen = []

    def features(model, x, y):
        seen.append(x)
        return x.flatten(1)[:, :3]

    model = planted_owners.Small().eval()
    with isolated("verify"):
        verified(planted_owners.view(Fitted(model), [model], own, held, kind=LabelOracle), features, rows=1000)
    pixels = [one[:, 0, 0, 0] for one in seen]
    learnt, tested = torch.cat(pixels[:2]), torch.cat(pixels[2:4])
    assert [len(one) for one in seen] == [45] * 6
    assert not torch.isin(learnt, tested).any()
    assert torch.isin(torch.cat(pixels[::2]), own.x[:, 0, 0, 0]).all()
    assert torch.isin(torch.cat(pixels[1::2]), held.x[:, 0, 0, 0]).all()
    assert all(torch.equal(*pair) for pair in zip(seen[2:4], seen[4:6], strict=True))
