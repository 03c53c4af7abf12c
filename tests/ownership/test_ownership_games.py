"""The rules of the two games of ownership: what is answered, what is joined, and what is refused."""

import pytest
import torch
from torch import nn

from amulet_core.games import theft, verification
from amulet_core.games.theft import TheftAnswer, TheftView
from amulet_core.games.verification import VerificationAnswer, VerificationResult, VerificationView
from amulet_core.oracles import BudgetOracle, BudgetSpentError
from amulet_core.performing.ownership import pruned
from amulet_core.performing.recipes import Deployed
from amulet_core.schema import DataSchema, Feasible
from amulet_core.settings import TrainingSettings
from amulet_core.victims import LabelOracle, ModelOutputError, WhiteBox
from amulet_plugins_builtin.catalogue.ownership_defenses import OutputRoundingParams
from amulet_plugins_builtin.ownership.output_rounding import rounded

SCHEMA = DataSchema(modality="tabular", shape=(2,), classes=("a", "b", "c"), feasible=Feasible(low=0.0, high=1.0))


class Told(nn.Module):
    """Says the same logits to everybody."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.register_buffer("said", torch.tensor(logits))

    def forward(self, x):
        return self.said.expand(len(x), -1)


@pytest.mark.parametrize(
    ("tells", "expected"),
    [
        ("probabilities", [0.1, 0.6, 0.3]),
        ("top-k", [0.0, 0.6, 0.3]),
        ("labels", [0.0, 1.0, 0.0]),
    ],
)
def test_an_oracle_tells_what_the_threat_model_says_and_no_more(tells, expected):
    model = Told(*torch.tensor([0.1, 0.6, 0.3]).log().tolist())
    oracle = BudgetOracle(model, tells=tells, top_k=2, budget=5)
    torch.testing.assert_close(oracle.ask(torch.zeros(3, 2)), torch.tensor([expected] * 3))
    assert (oracle.queries, oracle.budget, oracle.tells) == (3, 5, tells)


class Same(nn.Module):
    """Says its inputs, as logits."""

    def forward(self, x):
        return x


@pytest.mark.parametrize("classes", [2, 3, 10, 30, 100])
@pytest.mark.parametrize("tells", ["labels", "top-k"])
def test_of_equal_probabilities_the_first_is_told_so_a_rounded_victim_has_the_labels_of_the_plain_one(tells, classes):
    x = torch.randn(500, classes, generator=torch.Generator().manual_seed(classes))
    victim = Deployed(Same(), [lambda given: rounded(given, OutputRoundingParams(decimals=1))])
    plain, told = (
        BudgetOracle(model, tells=tells, top_k=1, budget=500).ask(x).argmax(1).tolist() for model in (Same(), victim)
    )
    released = victim(x)
    assert ((released == released.amax(1, keepdim=True)).sum(1) > 1).any(), "no two classes are equal: nothing is shown"
    assert told == plain == x.argmax(1).tolist()


def test_of_several_equal_probabilities_the_first_are_the_largest_few():
    oracle = BudgetOracle(Told(0.0, 1.0, 0.0, 1.0, 0.0, 0.0), tells="top-k", top_k=4, budget=1)
    assert (oracle.ask(torch.zeros(1, 2)) > 0).tolist() == [[True, True, True, True, False, False]]


def test_more_than_the_budget_is_refused_before_any_of_it_is_answered():
    oracle = BudgetOracle(Told(0.0, 1.0), tells="labels", top_k=1, budget=5)
    oracle.ask(torch.zeros(3, 2))
    with pytest.raises(BudgetSpentError, match=r"^3 queries were asked for, and 2 of 5 are left$"):
        oracle.ask(torch.zeros(3, 2))
    assert oracle.queries == 3
    oracle.ask(torch.zeros(2, 2))
    assert oracle.queries == 5


def test_an_oracle_answers_no_input_that_is_not_finite():
    oracle = BudgetOracle(Told(0.0, 1.0), tells="labels", top_k=1, budget=5)
    with pytest.raises(ValueError, match=r"^the attack asked about inputs that are not finite$"):
        oracle.ask(torch.full((1, 2), float("nan")))
    assert oracle.queries == 0


def theft_view():
    return TheftView(
        model=None,
        budget=4,
        x=torch.cat([torch.rand(3, 2), torch.full((1, 2), 7.0)]),
        y=torch.zeros(4, dtype=torch.int64),
        architecture=lambda: nn.Linear(2, 3),
        settings=TrainingSettings(),
        data_schema=SCHEMA,
    )


class Broken(nn.Linear):
    """Has a weight that is not finite, and hides it."""

    def forward(self, x):
        return torch.zeros(len(x), 3)


class Blows(nn.Linear):
    """Answers rows that begin with 7 with what is not finite."""

    def forward(self, x):
        return torch.where(x[:, :1] == 7, torch.inf, super().forward(x))


def broken():
    model = Broken(2, 3)
    model.weight.data[0, 0] = float("nan")
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Told(0.0, 1.0), r"^the stolen model's logits for 4 rows are \[4, 2\], expected \[4, 3\]$"),
        (
            Blows(2, 3),
            r"^of the stolen model: the model's logits are not finite for 1 of 4 inputs: its training diverged \(lower "
            r"the learning rate\) or its architecture divides by zero$",
        ),
        (broken(), r"^the stolen model has weights that are not finite \(first: weight\)$"),
    ],
)
def test_a_stolen_model_that_cannot_be_used_is_no_answer(model, message):
    with pytest.raises(ValueError, match=message):
        theft.accept(theft_view(), TheftAnswer(model=model))


def test_a_copy_of_a_victim_that_answers_so_itself_is_the_victim_s_fault():
    view = theft_view().model_copy(update={"model": WhiteBox(Blows(2, 3))})
    with pytest.raises(ModelOutputError, match=r"^the model's logits are not finite for 1 of 4 inputs"):
        theft.accept(view, TheftAnswer(model=Blows(2, 3)))


def test_the_thief_s_rows_are_all_of_aux_in_the_seed_s_order_whatever_the_defense(rows):
    data = rows(30)
    one, same, other = (theft.own_rows(data, ("draws", 0, seed)) for seed in (0, 0, 1))
    assert torch.equal(one.id, same.id)
    assert not torch.equal(one.id, other.id)
    assert sorted(one.id.tolist()) == data.id.tolist()


def verification_view(suspects):
    x, y = torch.rand(4, 2), torch.zeros(4, dtype=torch.int64)
    return VerificationView(
        suspects=tuple(LabelOracle(model) for model in suspects),
        evidence={},
        proof={},
        model=WhiteBox(Told(0.0, 1.0, 2.0)),
        x=x,
        y=y,
        val_x=x,
        val_y=y,
        data_schema=SCHEMA,
    )


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"score": [0.0]}, "^verify returned 1 scores for 2 suspects$"),
        ({"score": [0.0, 1.0], "p": [0.5, 1.5]}, r"^verify returned p-values outside 0 \.\. 1$"),
    ],
)
def test_an_owner_s_answer_has_a_score_and_a_proper_p_value_for_each_suspect(answer, message):
    given = VerificationAnswer(**{name: torch.tensor(value, dtype=torch.float64) for name, value in answer.items()})
    with pytest.raises(ValueError, match=message):
        verification.accept(verification_view([Told(0.0, 1.0, 2.0)] * 2), given)


def test_scores_that_are_not_finite_are_no_answer():
    with pytest.raises(ValueError, match="score holds 1 values that are not finite"):
        VerificationAnswer(score=torch.tensor([float("nan")], dtype=torch.float64))


def result(names, scores, p=None, warnings=()):
    doubles = torch.tensor(scores, dtype=torch.float64)
    return VerificationResult(
        names=names,
        derived=torch.tensor([name != "retrained" for name in names]),
        score=doubles,
        p=None if p is None else torch.tensor(p, dtype=torch.float64),
        accuracy=doubles / 10,
        null=torch.zeros(5, dtype=torch.float64),
        null_p=None,
        defended=torch.zeros(5, dtype=torch.bool),
        fpr=0.05,
        warnings=warnings,
    )


def test_suspects_of_several_thieves_are_joined_and_the_one_they_share_counts_once():
    joined = verification.worst(
        [
            result(("copied", "retrained"), [3.0, 1.0], [0.1, 0.9], ("odd",)),
            result(("imitated", "retrained"), [2.0, 1.0], [0.2, 0.9], ("odd", "more")),
        ]
    )
    assert joined.names == ("copied", "retrained", "imitated")
    assert joined.score.tolist() == [3.0, 1.0, 2.0]
    assert joined.derived.tolist() == [True, False, True]
    assert joined.p.tolist() == [0.1, 0.9, 0.2]
    assert joined.accuracy.tolist() == pytest.approx([0.3, 0.1, 0.2])
    assert joined.warnings == ("odd", "more")


def test_pruning_zeroes_the_smallest_share_of_all_weights_together_and_leaves_biases_and_the_original_alone():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -0.2], [0.3, -4.0]]))
        model[1].weight.copy_(torch.tensor([[0.1, 5.0]]))
        model[0].bias.fill_(0.01)
    cut = pruned(model, 0.5)
    assert cut[0].weight.tolist() == [[1.0, 0.0], [0.0, -4.0]]
    assert cut[1].weight.tolist() == [[0.0, 5.0]]
    assert cut[0].bias.tolist() == pytest.approx([0.01, 0.01])
    assert model[1].weight.tolist() == [[pytest.approx(0.1), 5.0]]
