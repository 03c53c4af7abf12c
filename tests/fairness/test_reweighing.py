"""Reweighing against its definition, the paper's example, and independence of label and group under the weights."""

import pytest
import torch

from amulet_core.data import checked, make_data
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_plugins_builtin.catalogue.fairness import ReweighingParams
from amulet_plugins_builtin.fairness.reweighing import reweigh


def rows(*, groups=2, classes=2, n=400, seed=0):
    draw = torch.Generator().manual_seed(seed)
    schema = DataSchema(
        modality="tabular",
        shape=(1,),
        classes=tuple(f"class {k}" for k in range(classes)),
        sensitive=(
            Sensitive(name="other", categories=("u", "v")),
            Sensitive(name="group", categories=tuple(f"group {k}" for k in range(groups))),
        ),
        feasible=Feasible(low=0.0, high=1.0),
    )
    z = torch.stack([torch.randint(2, (n,), generator=draw), torch.randint(groups, (n,), generator=draw)], 1)
    # Labels lean on the group, so that there is something to weigh.
    fair, any_label = torch.rand(n, generator=draw) < 0.7, torch.randint(classes, (n,), generator=draw)
    return make_data(torch.rand(n, 1, generator=draw), torch.where(fair, any_label, z[:, 1] % classes), schema, z=z)


def shares(data, column=1):
    """Return P(y | s) under the weights, ``[groups, classes]``."""
    groups, classes = len(data.schema.sensitive[column].categories), len(data.schema.classes)
    table = torch.zeros(groups, classes, dtype=torch.float64)
    for s in range(groups):
        for y in range(classes):
            table[s, y] = data.w[(data.z[:, column] == s) & (data.y == y)].double().sum()
    return table / table.sum(1, keepdim=True)


@pytest.mark.parametrize(("groups", "classes"), [(2, 2), (5, 2), (2, 4), (3, 3)])
def test_each_weight_is_its_definition(groups, classes):
    data = rows(groups=groups, classes=classes)
    found = reweigh(data, ReweighingParams(attribute="group")).w
    for row in range(0, len(data), 17):
        same_s, same_y = data.z[:, 1] == data.z[row, 1], data.y == data.y[row]
        n_s, n_y, n_both = (float(mask.sum()) for mask in (same_s, same_y, same_s & same_y))
        assert float(found[row]) == pytest.approx(n_s * n_y / (len(data) * n_both), rel=1e-6)


@pytest.mark.parametrize(("groups", "classes"), [(2, 2), (5, 2), (3, 3)])
def test_labels_are_independent_of_groups_under_the_weights(groups, classes):
    data = rows(groups=groups, classes=classes)
    before, after = shares(data), shares(reweigh(data, ReweighingParams(attribute="group")))
    assert float((before - before[0]).abs().max()) > 0.1
    assert float((after - after[0]).abs().max()) < 1e-6


def test_weights_that_rows_already_carry_are_multiplied_and_their_sum_is_kept():
    plain = rows()
    draw = torch.rand(len(plain), generator=torch.Generator().manual_seed(1)) * 3
    data = type(plain)(**vars(plain) | {"w": draw})
    weighed = reweigh(data, ReweighingParams(attribute="group"))
    assert float(weighed.w.sum()) == pytest.approx(float(draw.sum()), rel=1e-6)
    after = shares(weighed)
    assert float((after - after[0]).abs().max()) < 1e-6
    ratio = weighed.w / draw
    for s in range(2):
        for y in range(2):
            cell = ratio[(data.z[:, 1] == s) & (data.y == y)]
            assert float(cell.max() - cell.min()) < 1e-5


def test_a_pair_without_rows_needs_no_weight_and_the_sum_is_kept():
    data = rows(groups=3)
    data = data.take(~((data.z[:, 1] == 2) & (data.y == 1)))
    weighed = checked(reweigh(data, ReweighingParams(attribute="group")), whose="weighed")
    assert float(weighed.w.sum()) == pytest.approx(len(data), rel=1e-6)
    after = shares(weighed)
    assert float((after[0] - after[1]).abs().max()) < 1e-6


def test_rows_without_weight_stay_without():
    plain = rows()
    data = type(plain)(**vars(plain) | {"w": (plain.y == 0).float()})
    weighed = checked(reweigh(data, ReweighingParams(attribute="group")), whose="weighed")
    assert torch.equal(weighed.w == 0, plain.y == 1)


def test_only_the_weights_change_and_the_given_rows_stay_as_they_were():
    data = rows()
    weighed = reweigh(data, ReweighingParams())
    assert bool((data.w == 1).all())
    assert all(getattr(weighed, name) is getattr(data, name) for name in ("x", "y", "z", "id"))
    assert not torch.equal(weighed.w, reweigh(data, ReweighingParams(attribute="group")).w)


def test_an_unknown_attribute_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="attribute") as error:
        reweigh(rows(), ReweighingParams(attribute="sex"))
    assert str(error.value) == 'the data set has no sensitive attribute "sex"; it has other, group'


def test_all_weights_zero_is_refused():
    plain = rows()
    with pytest.raises(ValueError, match="weights") as error:
        reweigh(type(plain)(**vars(plain) | {"w": torch.zeros(len(plain))}), ReweighingParams())
    assert str(error.value) == "reweighing: the weights of all rows are 0; give some row a weight"
