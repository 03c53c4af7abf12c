"""BadNets: the trigger is what was asked for, is possible, and is refused before a run where it cannot be set."""

import pytest
import torch
from pydantic import ValidationError

from amulet_core.data import make_data
from amulet_core.feasible import project
from amulet_core.schema import DataSchema, Feasible
from amulet_plugins_builtin.catalogue.poisoning import COMPONENTS, BadnetsParams
from amulet_plugins_builtin.poisoning import badnets, planted

FEATURES = ("age", "hours", "children", "job=a", "job=b", "job=c", "sex=f", "sex=m")
TABLE = DataSchema(
    modality="tabular",
    shape=(8,),
    classes=("a", "b"),
    feasible=Feasible(
        low=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        high=(90.0, 99.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        immutable=(0, 6, 7),
        one_hot=((3, 4, 5), (6, 7)),
        integer=(2,),
    ),
    features=FEATURES,
)
ROW = torch.tensor([[30.0, 40.5, 2.0, 1.0, 0.0, 0.0, 0.0, 1.0]])
(DESCRIPTOR,) = [component for component in COMPONENTS if component.name == "badnets"]


def image(*shape):
    return DataSchema(modality="image", shape=shape, classes=("a", "b"), feasible=Feasible(low=0.0, high=16.0))


@pytest.mark.parametrize(
    ("position", "rows", "columns"),
    [
        ("top-left", slice(0, 2), slice(0, 2)),
        ("top-right", slice(0, 2), slice(4, 6)),
        ("bottom-left", slice(3, 5), slice(0, 2)),
        ("bottom-right", slice(3, 5), slice(4, 6)),
    ],
)
def test_the_patch_is_in_its_corner_in_every_channel(position, rows, columns):
    x = torch.full((2, 3, 5, 6), 4.0)
    expected = x.clone()
    expected[:, :, rows, columns] = 12.0
    params = BadnetsParams(size=2, position=position, value=0.75)
    assert torch.equal(badnets.triggered(x, image(3, 5, 6), params), expected)


def test_a_blend_mixes_the_patch_with_what_was_there():
    x = torch.full((1, 1, 4, 4), 4.0)
    found = badnets.triggered(x, image(1, 4, 4), BadnetsParams(size=1, value=1.0, blend=0.25))
    assert found[0, 0, 3, 3] == 0.75 * 4 + 0.25 * 16
    assert (found != 4.0).sum() == 1


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"features": 1}, [30, 99, 2, 1, 0, 0, 0, 1]),
        ({"features": 2}, [30, 99, 9, 1, 0, 0, 0, 1]),
        ({"features": 3}, [30, 99, 9, 0, 0, 1, 0, 1]),
        ({"features": 3, "value": 0.5}, [30, 49.5, 4, 0, 1, 0, 0, 1]),
        ({"features": 2, "value": 0.0}, [30, 0, 0, 1, 0, 0, 0, 1]),
        ({"names": ("children", "hours")}, [30, 99, 9, 1, 0, 0, 0, 1]),
        ({"names": ("children", "hours"), "values": (7, 12.5)}, [30, 12.5, 7, 1, 0, 0, 0, 1]),
        ({"names": ("job=b",), "value": 1.0}, [30, 40.5, 2, 0, 1, 0, 0, 1]),
        ({"names": ("job=b", "hours"), "values": (1, 3)}, [30, 3, 2, 0, 1, 0, 0, 1]),
        ({"features": 3, "blend": 0.25}, [30, 0.75 * 40.5 + 0.25 * 99, 3, 1, 0, 0, 0, 1]),
    ],
)
def test_a_trigger_in_a_table_sets_what_may_be_changed_to_possible_values(params, expected):
    params = BadnetsParams(**params)
    assert DESCRIPTOR.applicable(params, TABLE) == []
    found = badnets.triggered(ROW, TABLE, params)
    assert found[0].tolist() == expected
    assert torch.equal(project(found, ROW, TABLE, norm="linf", epsilon=1.0), found)


def test_rows_that_differ_get_the_same_trigger():
    """Half of 0 .. 9 is no whole number; it is rounded once, not for each row towards what was there."""
    pair = torch.cat([ROW, ROW])
    pair[1, 2] = 7.0
    found = badnets.triggered(pair, TABLE, BadnetsParams(names=("children",), value=0.5))
    assert found[:, 2].tolist() == [4.0, 4.0]


@pytest.mark.parametrize(
    ("params", "schema", "reasons"),
    [
        ({"size": 9}, image(1, 8, 12), ["the trigger is 9x9 pixels, the images are 8x12: set size to 8 or less"]),
        (
            {},
            image(64),
            ["a patch needs images [..., height, width], but a row of these data has the shape (64,)"],
        ),
        (
            {"features": 4},
            TABLE,
            [
                "the trigger sets 4 features, but an adversary may change only 3 of this data set (one-hot groups "
                "count once): set features to 3 or less"
            ],
        ),
        (
            {},
            TABLE.model_copy(update={"feasible": Feasible(low=0.0, high=1.0, immutable=tuple(range(8)))}),
            ["every feature of this data set is immutable: no trigger can be set"],
        ),
        (
            {"names": ("hour", "age")},
            TABLE,
            ['the data set has no feature "hour"; there are: age, hours, children, job=a, job=b, job=c, sex=f, sex=m'],
        ),
        (
            {"names": ("x",)},
            TABLE.model_copy(update={"features": ()}),
            ['the data set has no feature "x"; there are: it names none'],
        ),
        (
            {"names": ("age", "sex=f", "hours")},
            TABLE,
            ['an adversary may not change "age" and "sex=f": immutable'],
        ),
        (
            {"names": ("job=a", "hours", "job=c"), "values": (0, 200, 1)},
            TABLE,
            [
                '"job=a" and "job=c" set the same feature or one-hot group: name one of them, once',
                '"job=a" is a value of a one-hot group: its value must be 1, not 0',
                'the value of "hours" must lie in 0 .. 99, not at 200',
            ],
        ),
        (
            {"names": ("children",), "values": (2.5,)},
            TABLE,
            ['the value of "children" must be a whole number, not 2.5'],
        ),
        (
            {"names": ("children",), "values": (2, 3)},
            TABLE,
            ["there are 2 values for 1 names: give one for each, or none"],
        ),
        ({"values": (2,)}, TABLE, ["values are given without names: say which features they are for"]),
    ],
)
def test_a_trigger_that_cannot_be_set_is_refused_before_a_run_with_every_reason(params, schema, reasons):
    assert DESCRIPTOR.applicable(BadnetsParams(**params), schema) == reasons


@pytest.mark.parametrize("wrong", [{"size": 0}, {"features": 0}, {"value": 1.1}, {"blend": 0}, {"position": "middle"}])
def test_parameters_without_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        BadnetsParams(**wrong)


def test_of_fewer_rows_of_other_classes_than_the_budget_all_are_replaced():
    x = torch.rand(20, 1, 8, 8)
    rows = make_data(x, (torch.arange(20) < 6).long(), planted.IMAGES)
    answer = badnets.attack(planted.view_of(rows, rows, budget=10), BadnetsParams())
    assert sorted(answer.rows.tolist()) == list(range(6))


def test_the_rows_come_from_the_global_generator():
    rows = planted.images(rows=100, seed=1)
    first, second = (badnets.attack(planted.view_of(rows, rows, budget=10), BadnetsParams()) for _ in range(2))
    assert set(first.rows.tolist()) != set(second.rows.tolist())
