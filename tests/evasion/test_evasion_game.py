"""The core as referee of evasion: what it accepts, what it refuses and how it says so, and how it scores."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from amulet_core.components import NoParams
from amulet_core.data import make_data
from amulet_core.games import evasion
from amulet_core.games.contest import Bank, Contest
from amulet_core.games.evasion import EvasionAnswer
from amulet_core.games.threats import EvasionThreat
from amulet_core.schema import DataSchema, Feasible
from amulet_plugins_builtin.catalogue.evasion import PgdParams
from amulet_plugins_builtin.catalogue.robust_training import IbpParams
from amulet_plugins_builtin.evasion import ibp, pgd, random_noise
from amulet_plugins_builtin.evasion.robustness import measure

SCHEMA = DataSchema(
    modality="tabular",
    shape=(5,),
    classes=("a", "b"),
    feasible=Feasible(low=(0.0,) * 5, high=(1.0, 1.0, 50.0, 1.0, 1.0), immutable=(0,), integer=(2,), one_hot=((3, 4),)),
)
THREAT = EvasionThreat(epsilon=0.1, curve=(0.05, 0.2), rows=30)


def contest(norm="linf"):
    model = nn.Linear(5, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0] * 5, [1.0, 2.0, 2 / 50, 0.3, -0.3]]))
        model.bias.copy_(torch.tensor([0.0, -2.5]))
    x = 0.25 + torch.rand(40, 5) / 2
    x[:, 2] = (x[:, 2] * 50).round()
    x[:, 3:] = torch.eye(2)[torch.randint(2, (40,))]
    data = make_data(x, torch.randint(2, (40,)), SCHEMA)
    empty = torch.zeros(0)
    bank = Bank(pool=empty, members=empty, population=empty, adaptive=True)
    return Contest(
        model=model,
        beneath=model,
        pool=data,
        member=torch.ones(40, dtype=torch.bool),
        test=data,
        aux=data,
        bank=bank,
        draws=("seed", 0),
    )


def judged(change, norm="linf"):
    threat = THREAT.model_copy(update={"norm": norm})
    game = contest()
    view = evasion.view(game, threat, "white-box")
    x = view.x.expand(3, *view.x.shape).clone()
    change(x)
    return evasion.judge(game, EvasionAnswer(x=x), threat)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda x: x[0, :4, 1].add_(0.2), "4 rows lie up to 0.2 away, the budget is 0.05 (linf)"),
        (
            lambda x: x[1, 2, 0].add_(0.08),
            "1 rows change features they must not, or to impossible values, at budget 0.1",
        ),
        (
            lambda x: x[1, :3, 2].add_(0.5),
            "3 rows change features they must not, or to impossible values, at budget 0.1",
        ),
        (
            lambda x: x[2, 5, 3].add_(0.1 - 0.2 * x[2, 5, 3]),
            "1 rows change features they must not, or to impossible values, at budget 0.2",
        ),
        (lambda x: x[2, 5, 3:].copy_(1 - x[2, 5, 3:]), "1 rows lie up to 1 away, the budget is 0.2 (linf)"),
        (
            lambda x: (x[0, 0, 1].add_(0.2), x[2, 0, 1].add_(0.7)),
            "1 rows lie up to 0.2 away, the budget is 0.05 (linf); 1 rows lie up to 0.7 away, the budget is 0.2 (linf)"
            "; 1 rows leave the data's bounds at budget 0.2",
        ),
    ],
)
def test_an_answer_against_the_rules_is_refused_with_every_reason(change, text):
    with pytest.raises(ValueError, match="the rules of the game") as error:
        judged(change)
    assert str(error.value) == "the answer breaks the rules of the game: " + text


def test_an_answer_beyond_the_bounds_is_refused():
    threat = EvasionThreat(epsilon=0.9, curve=())
    game = contest()
    view = evasion.view(game, threat, "white-box")
    x = view.x[None].clone()
    x[0, :2, 1] = 1.1
    text = r"^the answer breaks the rules of the game: 2 rows leave the data's bounds at budget 0\.9$"
    with pytest.raises(ValueError, match=text):
        evasion.judge(game, EvasionAnswer(x=x), threat)


def test_what_rounding_leaves_out_of_bounds_is_put_back_before_the_model_is_asked():
    """The model flips just below the lower bound: a certificate, which covers the bounds, must not be refuted there."""
    schema = DataSchema(modality="tabular", shape=(1,), classes=("a", "b"), feasible=Feasible(low=0.0, high=1.0))
    model = nn.Linear(1, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[-1e5], [1e5]]))
        model.bias.copy_(torch.tensor([0.0, 5.0]))
    data = make_data(torch.full((4, 1), 0.001), torch.ones(4, dtype=torch.int64), schema)
    threat = EvasionThreat(epsilon=0.05, curve=())
    question = evasion.certifiable(model, data, threat, ("seed", 0))
    proved = ibp.certify(question.model_copy(update={"model": copy.deepcopy(model)}), IbpParams())
    assert proved.all()
    below = torch.full((1, 4, 1), -9e-5)
    assert (model(below[0]).argmax(1) == 0).all()
    game = dataclasses.replace(contest(), model=model, beneath=model, test=data, pool=data, certified=proved)
    result = evasion.judge(game, EvasionAnswer(x=below), threat)
    assert result.robust.all()
    assert result.warnings == ()


def test_a_success_at_a_small_budget_is_carried_to_the_larger_ones():
    """The answer fools at .05 and takes it back at .1: what can be done within .05 can be done within .1."""
    game = contest()
    threat = EvasionThreat(epsilon=0.05, curve=(0.1,))
    view = evasion.view(game, threat, "white-box")
    fooling = pgd.attack(view, PgdParams()).x[0]
    result = evasion.judge(game, EvasionAnswer(x=torch.stack([fooling, view.x])), threat)
    assert result.robust[0].sum() < result.clean.sum()
    assert torch.equal(result.robust[0], result.robust[1])


@pytest.mark.parametrize("budget", [0.001, 0.01, 0.1])
def test_a_budget_may_be_exceeded_by_no_more_than_rounding(budget):
    game = contest()
    threat = EvasionThreat(epsilon=budget, curve=())
    view = evasion.view(game, threat, "white-box")
    x = view.x[None].clone()
    x[0, 0, 1] += 1.01 * budget * (1 if x[0, 0, 1] < 0.5 else -1)
    with pytest.raises(ValueError, match=r"1 rows lie up to"):
        evasion.judge(game, EvasionAnswer(x=x), threat)


def test_an_answer_of_another_shape_is_refused():
    game = contest()
    view = evasion.view(game, THREAT, "white-box")
    text = r"^the answer's x is \[1, 30, 5\], expected \[budgets, n, \.\.\.\] = \[3, 30, 5\]$"
    with pytest.raises(ValueError, match=text):
        evasion.judge(game, EvasionAnswer(x=view.x[None]), THREAT)


def test_doing_nothing_gives_clean_accuracy_at_every_budget():
    result = judged(lambda x: None)
    assert torch.equal(result.robust, result.clean.expand(3, -1))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", ["pgd", "random-noise"])
def test_the_built_in_attacks_keep_to_the_rules_and_never_repair_a_row(norm, name):
    threat = THREAT.model_copy(update={"norm": norm})
    game = contest()
    access, attack, params = {
        "pgd": ("white-box", pgd.attack, PgdParams()),
        "random-noise": ("none", random_noise.attack, NoParams()),
    }[name]
    view = evasion.view(game, threat, access)
    result = evasion.judge(game, attack(view, params), threat)
    survivors = torch.cat([result.clean[None], result.robust])
    assert not (survivors[1:] & ~survivors[:-1]).any()
    scores = measure(result, NoParams())
    assert scores["robust_accuracy"].estimate <= scores["clean_accuracy"].estimate
    curve = [point["accuracy"] for point in scores.details["accuracy_by_epsilon"]]
    assert curve == sorted(curve, reverse=True)
    if name == "pgd":
        assert curve[-1] < curve[0]


def test_the_worst_case_is_never_better_than_any_attack():
    game = contest()
    results = []
    for access, attack, params in (
        ("white-box", pgd.attack, PgdParams(steps=1)),
        ("none", random_noise.attack, NoParams()),
    ):
        view = evasion.view(game, THREAT, access)
        results.append(evasion.judge(game, attack(view, params), THREAT))
    worst = evasion.worst(results)
    assert torch.equal(worst.robust, results[0].robust & results[1].robust)


def test_the_control_sees_no_model():
    assert evasion.view(contest(), THREAT, "none").model is None
