"""The watermark: triggers that are possible rows with uniform labels, a commitment to them, and exact p-values."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from amulet_core.data import checked, make_data
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_core.streams import isolated
from amulet_core.testing.toys import TABLE
from amulet_core.training.values import Fitted
from amulet_core.victims import LabelOracle
from amulet_plugins_builtin.catalogue.ownership_defenses import WatermarkParams
from amulet_plugins_builtin.ownership import planted_owners, watermark
from amulet_plugins_builtin.ownership.random_inputs import random_inputs

COLOURS = DataSchema(
    modality="image", shape=(3, 20, 24), classes=("a", "b", "c"), feasible=Feasible(low=-1.0, high=1.0)
)


def marked(data, key="a place", **params):
    with isolated(key):
        return watermark.add_triggers(data, WatermarkParams(**params))


@pytest.mark.parametrize(
    ("hits", "classes", "expected"),
    [
        (100, 10, 1e-100),
        (30, 10, 2.445e-8),
        (20, 10, 1.979e-3),
        (0, 10, 1.0),
        (100, 2, 2.0**-100),
        (1, 2, 1 - 2.0**-100),
    ],
)
def test_the_p_value_is_the_exact_upper_tail(hits, classes, expected):
    assert watermark.chance_of(np.array([hits]), 100, classes)[0] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("schema", [TABLE, COLOURS, planted_owners.SCHEMA], ids=["table", "colours", "small images"])
def test_random_inputs_are_possible(schema):
    x = random_inputs(schema, 500, torch.Generator().manual_seed(0))
    checked(make_data(x, torch.zeros(500).long(), schema, z=torch.zeros(500, len(schema.sensitive)).long()), whose="it")
    flat = x.flatten(1)
    for group in schema.feasible.one_hot:
        assert (flat[:, list(group)].sum(1) == 1).all()
        assert ((flat[:, list(group)] == 0) | (flat[:, list(group)] == 1)).all()
        assert (flat[:, list(group)].mean(0) - 1 / len(group)).abs().max() < 0.1
    for feature in schema.feasible.integer:
        assert sorted(flat[:, feature].unique().tolist()) == list(range(21))
    low, high = schema.feasible.low, schema.feasible.high
    assert flat[:, 0].min() < (low if isinstance(low, float) else low[0]) + 0.1
    assert flat[:, 0].max() > (high if isinstance(high, float) else high[0]) - 0.1


def test_images_are_patterns_of_blocks_each_with_colours_of_its_own():
    x = random_inputs(COLOURS, 50, torch.Generator().manual_seed(0))
    blocks = x[:, :, ::1, ::3]
    assert torch.equal(x, blocks.repeat_interleave(3, dim=3))
    assert all(len(image.flatten().unique()) == 3 * 64 for image in x)


def test_triggers_are_added_behind_the_rows_and_the_rows_stay():
    data = planted_owners.rows("own")
    prepared = marked(data, triggers=20, repeats=3)
    rows, x, y = prepared.data, prepared.proof["watermark/x"], prepared.proof["watermark/y"]
    assert len(rows) == len(data) + 60
    for name in ("x", "y", "z", "w", "id"):
        assert torch.equal(getattr(rows, name)[: len(data)], getattr(data, name))
    assert torch.equal(rows.x[len(data) :], torch.cat([x, x, x]))
    assert torch.equal(rows.y[len(data) :], torch.cat([y, y, y]))
    assert rows.id[len(data) :].tolist() == list(range(-1, -61, -1))
    assert (rows.w == 1).all()
    checked(rows, whose="it")


def test_triggers_have_groups_of_every_attribute():
    schema = planted_owners.SCHEMA.model_copy(
        update={
            "sensitive": (Sensitive(name="s", categories=("a", "b", "c")), Sensitive(name="t", categories=("a", "b")))
        }
    )
    plain = planted_owners.rows("own")
    data = replace(plain, schema=schema, z=torch.zeros(len(plain), 2).long())
    z = marked(data, triggers=200).data.z[len(data) :]
    assert [column.unique().tolist() for column in z.T] == [[0, 1, 2], [0, 1]]


def test_ids_go_on_below_those_of_an_earlier_stage():
    data = planted_owners.rows("own")
    twice = marked(marked(data, triggers=5).data, triggers=5).data
    assert twice.id[-10:].tolist() == list(range(-1, -11, -1))


def test_labels_are_uniform_whatever_the_rows_are():
    data = planted_owners.rows("own")
    y = marked(replace(data, y=torch.zeros_like(data.y)), triggers=4000).proof["watermark/y"]
    counts = torch.bincount(y, minlength=4)
    assert (counts - 1000).abs().max() < 4 * (4000 * 3 / 16) ** 0.5


def test_models_of_other_places_have_other_triggers():
    data = planted_owners.rows("own")
    one, again, other = (marked(data, key) for key in ("here", "here", "there"))
    assert torch.equal(one.proof["watermark/x"], again.proof["watermark/x"])
    assert (one.proof["watermark/x"] - other.proof["watermark/x"]).abs().min() > 0
    assert one.evidence["watermark"].sha256 != other.evidence["watermark"].sha256


def test_the_seed_makes_the_triggers_again():
    data = planted_owners.rows("own")
    prepared = marked(data, triggers=30)
    own = torch.Generator().manual_seed(int(prepared.proof["watermark/seed"]))
    x, y = watermark.trigger_set(data.schema, 30, own)
    assert torch.equal(x, prepared.proof["watermark/x"])
    assert torch.equal(y, prepared.proof["watermark/y"])


def claims(proof_change=lambda proof: proof, knows=True):
    data = planted_owners.rows("own")
    prepared = marked(data, triggers=40)
    x, y = prepared.proof["watermark/x"], prepared.proof["watermark/y"]
    own = planted_owners.Nearest(x, y if knows else (y + 1) % 4, 4)
    half = planted_owners.Nearest(x, torch.where(torch.arange(40) < 13, y, (y + 1) % 4), 4)
    owner = Fitted(own, prepared.evidence, proof_change(dict(prepared.proof)))
    view = planted_owners.view(owner, [own, half], data, data, kind=LabelOracle)
    return watermark.verify(view, WatermarkParams(triggers=40))


def test_scores_are_hits_and_p_values_their_tail():
    answer = claims()
    assert answer.score.tolist() == [40.0, 13.0]
    assert answer.p.tolist() == pytest.approx([4.0**-40, watermark.chance_of(np.array([13.0]), 40, 4)[0]])
    assert answer.warnings == ()


def test_a_watermark_that_was_not_learnt_is_a_warning():
    assert claims(knows=False).warnings == (
        "the owner's own model answers 0 of 40 triggers: the watermark was not learnt",
    )


@pytest.mark.parametrize("name", ["watermark/x", "watermark/y", "watermark/seed"])
def test_triggers_other_than_those_committed_to_are_refused(name):
    with pytest.raises(ValueError) as refusal:
        claims(lambda proof: proof | {name: proof[name] + 1})
    assert str(refusal.value) == "the triggers are not the ones that the owner committed to: their SHA-256 differs"
