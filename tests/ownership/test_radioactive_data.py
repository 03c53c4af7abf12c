"""Radioactive data: marks along directions of features within the budget, and losses that show them."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from amulet_core.feasible import distance, project
from amulet_core.testing.toys import TOYS, Network, task_rows
from amulet_core.training.values import Fitted, Streams
from amulet_core.victims import LabelOracle, ProbabilityOracle
from amulet_plugins_builtin.catalogue.ownership_defenses import RadioactiveDataParams
from amulet_plugins_builtin.ownership import planted_owners, radioactive_data
from amulet_plugins_builtin.ownership.radioactive_data import carriers, marked, train, verify

PARAMS = RadioactiveDataParams(share=0.5, epsilon=0.1)


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("toy", TOYS, ids=lambda toy: toy.label)
def test_marks_are_possible_rows_within_the_budget(toy):
    rows = task_rows(toy, rows=90, key=("marks",))
    # A whole number cannot go all the way: 2.4 steps.
    marks = marked(Network(toy.schema), rows, draws(), RadioactiveDataParams(share=0.5, epsilon=0.12))
    assert torch.equal(marks.plain, rows.x[marks.at])
    assert torch.equal(marks.y, rows.y[marks.at])
    assert len(marks.at.unique()) == 45
    assert distance(marks.marked, marks.plain, toy.schema, norm="linf").max() <= 0.12 + 1e-6
    possible = project(marks.marked, marks.plain, toy.schema, norm="linf", epsilon=0.12)
    assert torch.equal(possible, marks.marked)
    assert not torch.equal(marks.marked, marks.plain)


def test_features_move_along_the_direction_of_their_class_and_less_across_it():
    model, rows = planted_owners.Small(), planted_owners.rows("marks")
    marks = marked(model, rows, draws(), PARAMS)
    own = draws()
    torch.randperm(len(rows), generator=own)
    directions = carriers(4, 128, own)
    with torch.no_grad():
        drift = model.features(marks.marked) - model.features(marks.plain)
    along = drift @ directions.T
    assert torch.allclose(directions.norm(dim=1), torch.ones(4))
    assert (along[torch.arange(60), marks.y] > 0).all()
    others = along.masked_fill(nn.functional.one_hot(marks.y, 4).bool(), 0)
    assert along[torch.arange(60), marks.y].mean() > 5 * others.abs().mean()


def recorded():
    """Training that keeps the rows and streams that it is given."""
    plain, seen = planted_owners.training(2), []

    def fit(training, rows, val, streams):
        seen.append((rows, streams))
        return [
            replace(one, evidence={"kept": 1}, proof={"kept": torch.ones(1)})
            for one in plain.fit(training, rows, val, streams)
        ]

    return replace(plain, fit=fit), seen


def test_a_first_model_is_trained_by_streams_of_its_own_and_the_second_on_the_marked_rows():
    plain, seen = recorded()
    parts = [planted_owners.rows("own"), planted_owners.rows("other")]
    found = planted_owners.fitted(train(plain, PARAMS, planted_owners.context()), parts, "key")
    (first_rows, first_streams), (rows, streams) = seen
    assert first_rows == parts
    assert [one.key for one in first_streams] == [("key", 0, "radioactive-data"), ("key", 1, "radioactive-data")]
    assert list(streams) == [Streams(("key", 0)), Streams(("key", 1))]
    for one, data, before in zip(found, rows, parts, strict=True):
        changed = (data.x != before.x).flatten(1).any(1)
        assert torch.equal(data.id, before.id)
        assert torch.equal(data.x[changed], one.proof["radioactive-data/marked"])
        assert torch.equal(before.x[changed], one.proof["radioactive-data/plain"])
        assert torch.equal(before.y[changed], one.proof["radioactive-data/y"])
        evidence = one.evidence["radioactive-data"]
        assert (evidence.rows, evidence.marked) == (120, 60)
        assert evidence.moved > 0
        assert (one.evidence["kept"], float(one.proof["kept"])) == (1, 1)
    assert not torch.equal(found[0].proof["radioactive-data/plain"], found[1].proof["radioactive-data/plain"])


def test_a_share_too_small_for_a_row_marks_none():
    (one,) = planted_owners.fitted(
        train(planted_owners.training(1), RadioactiveDataParams(share=0.001), planted_owners.context()),
        [planted_owners.rows("own")],
    )
    assert one.evidence["radioactive-data"] == radioactive_data.RowsMarked(rows=120, marked=0, moved=0.0)


class Bare(nn.Module):
    """A model that shows no features."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(36, 4)

    def forward(self, x):
        return self.layer(x.flatten(-3))


def test_an_architecture_without_features_is_refused():
    plain = replace(planted_owners.training(1), parts={"model": Bare})
    with pytest.raises(ValueError) as refusal:
        planted_owners.fitted(train(plain, PARAMS, planted_owners.context()), [planted_owners.rows("own")])
    assert str(refusal.value) == (
        "radioactive-data needs an architecture that shows its hidden features (amulet_core.modules.Classifier), and "
        "Bare does not: choose another model, such as mlp or cnn"
    )


class Bright(nn.Module):
    """A model whose first logit is the mean brightness times a factor."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        zero = torch.zeros(len(x))
        return torch.stack([self.factor * x.flatten(1).mean(1), zero, zero, zero], 1)


def claims(kind):
    x = planted_owners.rows("own").x[:10]
    proof = {"plain": x, "marked": x + 1, "y": torch.zeros(10).long()}
    owner = Fitted(Bright(0.0), {}, {f"radioactive-data/{name}": value for name, value in proof.items()})
    data = planted_owners.rows("own")
    models = [Bright(0.5), Bright(0.0), Bright(-0.5)]
    return verify(planted_owners.view(owner, models, data, data, kind=kind), PARAMS), proof


def test_the_score_is_the_mean_loss_on_plain_rows_less_that_on_marked_ones():
    answer, proof = claims(ProbabilityOracle)
    for score, factor in zip(answer.score.tolist(), (0.5, 0.0, -0.5), strict=True):
        before, after = (
            nn.functional.cross_entropy(Bright(factor)(proof[name]), proof["y"]) for name in ("plain", "marked")
        )
        assert score == pytest.approx(float(before - after), abs=1e-6)
    assert answer.score[0] > answer.score[1] == 0 > answer.score[2]
    assert answer.p is None


def test_suspects_that_tell_no_probabilities_are_refused():
    with pytest.raises(TypeError) as refusal:
        claims(LabelOracle)
    assert str(refusal.value) == "radioactive-data asks suspects for probabilities, and LabelOracle tells none"
