"""The core as referee of poisoning: what it accepts, what it refuses and how it says so."""

import pytest
import torch

from amulet_core.data import make_data
from amulet_core.games import poisoning
from amulet_core.games.poisoning import PoisoningAnswer
from amulet_core.games.threats import PoisoningThreat
from amulet_core.schema import DataSchema, Feasible

SCHEMA = DataSchema(
    modality="tabular",
    shape=(5,),
    classes=("a", "b"),
    feasible=Feasible(low=(0.0,) * 5, high=(1.0, 1.0, 50.0, 1.0, 1.0), immutable=(0,), integer=(2,), one_hot=((3, 4),)),
)
THREAT = PoisoningThreat(rate=0.1, target="b", rows=15)


def rows(n):
    x = 0.2 + torch.rand(n, 5) / 2
    x[:, 2] = (x[:, 2] * 50).round()
    x[:, 3:] = torch.eye(2)[torch.randint(2, (n,))]
    return make_data(x, torch.arange(n) % 2, SCHEMA)


def answered(change=lambda answer: None, **fields):
    """Play with an answer that keeps to the rules but for ``change`` and ``fields``."""
    train, test = rows(40), rows(20)
    view = poisoning.view(train, test, THREAT, ("seed", 0))
    own = torch.tensor([3, 0, 7])
    answer = {"rows": own, "x": view.x[own].clone(), "y": torch.ones(3).long(), "triggered": view.test_x.clone()}
    answer |= fields
    change(answer)
    return poisoning.accept(train, view, PoisoningAnswer(**answer)), train


def test_the_view_has_the_training_rows_the_budget_and_as_many_test_inputs_as_the_threat_model_asks_about():
    train, test = rows(40), rows(20)
    view = poisoning.view(train, test, THREAT, ("seed", 0))
    assert (view.budget, view.target, len(view.test_x)) == (4, 1, 15)
    assert torch.equal(view.x, train.x)
    assert torch.equal(view.y, train.y)
    assert torch.equal(view.test_x, poisoning.asked(test, THREAT, ("seed", 0)).x)


@pytest.mark.parametrize(
    ("rate", "count", "expected"), [(0.29, 100, 29), (0.1, 30, 3), (0.3, 10, 3), (0.5, 7, 3), (0.0, 100, 0)]
)
def test_the_budget_is_the_rate_of_the_rows_rounded_down(rate, count, expected):
    assert poisoning.budget(count, PoisoningThreat(rate=rate)) == expected


def test_an_answer_within_the_rules_replaces_its_rows_and_leaves_the_others():
    answer, train = answered(lambda given: given["x"].fill_(1.0)[:, 3].fill_(0.0))
    after = poisoning.replaced(train, answer)
    others = torch.ones(40, dtype=torch.bool)
    others[answer.rows] = False
    assert torch.equal(after.x[answer.rows], answer.x)
    assert after.y[answer.rows].tolist() == [1, 1, 1]
    assert torch.equal(after.x[others], train.x[others])
    assert torch.equal(after.y[others], train.y[others])
    assert all(torch.equal(getattr(after, name), getattr(train, name)) for name in ("id", "z", "w"))


def test_a_replaced_row_may_have_other_immutable_values_but_a_triggered_input_may_not():
    answered(lambda given: given["x"][:, 0].fill_(0.9))
    with pytest.raises(ValueError, match="features they must not"):
        answered(lambda given: given["triggered"][:, 0].fill_(0.9))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda given: given.update(rows=torch.arange(5), x=torch.zeros(5, 5), y=torch.zeros(5).long()),
            "5 rows are replaced, the budget is 4",
        ),
        (lambda given: given.update(rows=torch.tensor([3, 0, 40])), "rows must lie in 0 .. 39, found 0 .. 40"),
        (lambda given: given.update(rows=torch.tensor([3, -1, 7])), "rows must lie in 0 .. 39, found -1 .. 7"),
        (lambda given: given.update(rows=torch.tensor([3, 0, 3])), "a row is replaced twice"),
        (lambda given: given.update(x=torch.zeros(3, 4)), "x has rows of the shape [4], expected [5]"),
        (
            lambda given: given.update(triggered=torch.zeros(15, 6)),
            "triggered has rows of the shape [6], expected [5]",
        ),
        (lambda given: given.update(triggered=given["triggered"][:9]), "9 triggered inputs came back for 15"),
        (
            lambda given: given["y"].fill_(2),
            "the rows it replaced: y must lie in 0 .. 1, found 0 .. 2",
        ),
        (
            lambda given: given["x"][:2, 1].fill_(1.5),
            "the rows it replaced: x leaves its declared bounds in 2 rows (ids [0, 3])",
        ),
        (
            lambda given: given["x"][:2, 3:].fill_(1.0),
            "2 replaced rows have impossible values in one-hot groups or integer features",
        ),
        (
            lambda given: given["x"][:1, 2].add_(0.5),
            "1 replaced rows have impossible values in one-hot groups or integer features",
        ),
        (lambda given: given["triggered"][:4, 1].fill_(-0.1), "4 triggered inputs leave the data's bounds"),
        (
            lambda given: given["triggered"][:4, 2].add_(0.5),
            "4 triggered inputs change features they must not, or to impossible values",
        ),
        (
            lambda given: given["triggered"][:6, 3:].fill_(0.5),
            "6 triggered inputs change features they must not, or to impossible values",
        ),
        (
            lambda given: (given["y"].fill_(2), given["triggered"][:4, 1].fill_(-0.1)),
            "the rows it replaced: y must lie in 0 .. 1, found 0 .. 2; 4 triggered inputs leave the data's bounds",
        ),
        (lambda given: given.update(source=2), "source must be a class in 0 .. 1, found 2"),
        (lambda given: given.update(source=-1), "source must be a class in 0 .. 1, found -1"),
        (lambda given: given.update(source=1), "source is the target class, 1: its rows have it already"),
        (lambda given: given.update(source=0, targeted=False), "it has a source class, and aims at no target"),
    ],
)
def test_an_answer_against_the_rules_is_refused_with_every_reason(change, text):
    with pytest.raises(ValueError, match="the rules of the game") as error:
        answered(change)
    assert str(error.value) == "the answer breaks the rules of the game: " + text


def test_an_attack_without_a_trigger_hands_back_no_triggered_inputs():
    answer, _ = answered(lambda given: given.update(triggered=given["triggered"][:0]))
    assert not answer.has_trigger
    assert answered()[0].has_trigger


def test_an_answer_may_name_the_class_that_it_aims_at():
    assert answered(source=0)[0].source == 0
    assert answered()[0].source is None


def test_a_target_that_is_no_class_is_named():
    with pytest.raises(ValueError, match="no class") as error:
        poisoning.target_index(SCHEMA, "c")
    assert str(error.value) == "the data set has no class 'c'; it has a, b"
