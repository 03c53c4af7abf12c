from dataclasses import replace

import numpy as np
import pytest
import torch
from amulet_core.data import make_data
from amulet_core.feasible import distance
from amulet_core.games.evasion import EvasionView
from amulet_core.schema import DataSchema, Feasible
from amulet_core.streams import isolated
from amulet_core.victims import LabelOracle, ProbabilityOracle, WhiteBox
from pydantic import ValidationError
from torch import nn

from amulet_plugin_art import (
    augmentation,
    checks_of_defenses,
    checks_of_training,
    evasion,
    membership,
    planted,
    poisoning,
    theft,
)
from amulet_plugin_art.asked import Asked, SpentError, units_of
from amulet_plugin_art.defense_settings import GaussianAugmentationParams
from amulet_plugin_art.settings import (
    BoundaryDistanceParams,
    CleanLabelParams,
    CopycatParams,
    HopSkipJumpParams,
    ShadowClassifierParams,
    SimbaParams,
)

MIXED = DataSchema(
    modality="tabular",
    shape=(9,),
    classes=("no", "yes"),
    feasible=Feasible(
        low=(-1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        high=(1.0, 2.0, 3.0, 20.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        integer=(3,),
        immutable=(4,),
        one_hot=((5, 6, 7),),
    ),
)
EVASIONS = [
    pytest.param(evasion.hop_skip_jump, HopSkipJumpParams(steps=2, evaluations=20), LabelOracle, id="hop-skip-jump"),
    pytest.param(evasion.simba, SimbaParams(), ProbabilityOracle, id="simba"),
]


def mixed_rows(n):
    low, high = torch.tensor(MIXED.feasible.low), torch.tensor(MIXED.feasible.high)
    x = low + torch.rand(n, 9) * (high - low)
    x[:, 3] = x[:, 3].round()
    x[:, 5:8] = torch.eye(3)[torch.randint(3, (n,))]
    return x


def network():
    return nn.Sequential(nn.Linear(9, 16), nn.ReLU(), nn.Linear(16, 2)).requires_grad_(False)


def view_of(model, x, *, kind, epsilons, norm="linf", y=None):
    y = model(x).argmax(1) if y is None else y
    return EvasionView(model=kind(model), x=x, y=y, norm=norm, epsilons=epsilons, data_schema=MIXED)


@pytest.mark.parametrize(("attack", "params", "kind"), EVASIONS)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_answers_are_possible_rows_within_every_budget_and_larger_budgets_fool_no_fewer(attack, params, kind, norm):
    model, x = network(), mixed_rows(6)
    epsilons = (0.1, 1.5)
    view = view_of(model, x, kind=kind, epsilons=epsilons, norm=norm)
    answer = attack(view, params)
    fooled = []
    for epsilon, changed in zip(epsilons, answer.x, strict=True):
        assert distance(changed, x, MIXED, norm=norm).max() <= epsilon * 1.0001
        assert torch.equal(changed[:, 4], x[:, 4])
        assert torch.equal(changed[:, 3], changed[:, 3].round())
        assert torch.equal(changed[:, 5:8].sort(1).values, x[:, 5:8].sort(1).values)
        fooled.append(int((model(changed).argmax(1) != view.y).sum()))
    assert fooled[-1] >= fooled[0]
    assert fooled[-1] > 0


@pytest.mark.parametrize(("attack", "params", "kind"), EVASIONS)
def test_rows_that_are_misclassified_as_they_stand_stay_and_cost_no_further_query(attack, params, kind):
    model, x = network(), mixed_rows(6)
    view = view_of(model, x, kind=kind, epsilons=(0.1,), y=1 - model(x).argmax(1))
    assert torch.equal(attack(view, params).x[0], x)
    assert view.model.queries == 6


@pytest.mark.parametrize(("attack", "params", "kind"), EVASIONS)
def test_a_row_costs_no_more_queries_than_allowed(attack, params, kind):
    x = planted.rows(4)
    view = planted.evasion_view(planted.Linear(), x, norm="linf", epsilons=(0.001, 0.3), kind=kind)
    attack(view, params.model_copy(update={"queries": 130, "steps": 100}))
    # Besides the rows themselves; simba searches for each budget anew.
    assert view.model.queries <= 4 + 4 * 130 * (2 if attack is evasion.simba else 1)


@pytest.mark.parametrize("kind", [HopSkipJumpParams, BoundaryDistanceParams])
def test_fewer_queries_than_a_first_step_takes_are_refused(kind):
    with pytest.raises(ValidationError) as refused:
        kind(starts=20, evaluations=10, queries=49)
    (fault,) = refused.value.errors()
    assert fault["msg"] == (
        "Value error, 49 queries do not suffice for 20 random starts, as many rows of other classes and 10 "
        "evaluations: a row that is not fooled for want of queries would look robust. Raise queries to 50 or more, or "
        "lower starts or evaluations"
    )


def test_the_fewest_queries_that_are_not_refused_fool_every_row_and_rank_candidates():
    model, x = planted.Linear(), planted.rows(20)
    view = planted.evasion_view(model, x, norm="linf", epsilons=(4.0,), kind=LabelOracle)
    answer = evasion.hop_skip_jump(view, HopSkipJumpParams(starts=20, evaluations=10, queries=50))
    assert (model(answer.x[0]).argmax(1) != view.y).all()
    candidates = planted.membership_view(model, x, model(x).argmax(1))
    few = BoundaryDistanceParams(starts=20, evaluations=10, queries=50)
    assert len(membership.boundary_distance(candidates, few).score.unique()) > 10


def test_the_nearest_that_fooled_is_remembered_with_fixed_features_put_back():
    units = units_of(MIXED, "l2")
    free = np.arange(9)[:, None, None] > 0

    def ask(x):
        return torch.stack([x[:, 1] < 0, x[:, 1] >= 0], 1).float()

    origin = units.of(torch.zeros(1, 9))[0]
    asked = Asked(ask, units, origin, label=1, free=free, queries=10)
    changes = np.tile(origin, (3, 1, 1, 1))
    changes[:, 0] += 0.5
    changes[:, 1, 0, 0] += np.array([0.1, -0.25, -0.2])
    asked(changes - np.float32(1 / 3) * (np.arange(9) == 1)[:, None, None].astype(np.float32))
    assert asked.nearest[0] == origin[0]
    assert asked.distance == pytest.approx(1 / 3 - 0.1, abs=1e-6)
    with pytest.raises(SpentError):
        asked(np.tile(origin, (8, 1, 1, 1)))


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (
            lambda view: evasion.hop_skip_jump(view, HopSkipJumpParams()),
            "art/hop-skip-jump asks for labels, and the view has NoneType",
        ),
        (
            lambda view: evasion.simba(view, SimbaParams()),
            "art/simba asks for probabilities, and the view has NoneType",
        ),
        (
            lambda view: membership.boundary_distance(view, BoundaryDistanceParams()),
            "art/boundary-distance asks for labels, and the view has NoneType",
        ),
        (
            lambda view: theft.copycat(view.model_copy(update={"model": WhiteBox(planted.Linear())}), CopycatParams()),
            "art/copycat asks an oracle, and the view has WhiteBox",
        ),
    ],
)
def test_a_view_without_what_an_attack_needs_is_refused(attack, message):
    view = EvasionView.model_construct(
        model=None, norm="linf", x=planted.rows(2), y=torch.zeros(2), data_schema=planted.TABLE
    )
    with pytest.raises(TypeError) as refused:
        attack(view)
    assert str(refused.value) == message


def test_the_classifier_of_members_sees_equally_many_members_and_others():
    member = torch.arange(100) < 70
    inside, outside = membership._drawn(member, each=50)
    assert (len(inside), len(outside)) == (30, 30)
    assert member[inside].all()
    assert not member[outside].any()
    few = membership._drawn(member, each=10)
    assert [len(part) for part in few] == [10, 10]


def test_a_classifier_of_labels_that_were_swapped_ranks_the_other_way():
    view, member = planted.shadowed_view(shift=2.0)
    swapped = view.model_copy(update={"lab": view.lab.model_copy(update={"members": ~view.lab.members})})
    with isolated("swapped"):
        score = membership.shadow_classifier(swapped, ShadowClassifierParams()).score
    assert planted.auc(score, member) < 0.2


def test_poisoned_rows_keep_to_the_budget_of_pixels_but_for_the_pattern():
    params = CleanLabelParams(epsilon=0.1, steps=5, proxy_epochs=3)
    view, answer = checks_of_training._poisoned(params, budget=30)
    moved = (answer.x - view.x[answer.rows]).abs() / 2
    pattern = torch.zeros(8, 8, dtype=torch.bool)
    for row, column in ((6, 6), (5, 5), (6, 4), (4, 6)):
        pattern[row, column] = True
    assert moved[:, :, ~pattern].max() <= 0.1 + 1e-5
    assert moved[:, :, ~pattern].amax((1, 2)).min() > 0.05
    assert (answer.x[:, :, pattern] > 1 - 1e-6).all()
    assert (answer.triggered[:, :, pattern] > 1 - 1e-6).all()
    assert torch.equal(answer.triggered[:, :, ~pattern], view.test_x[:, :, ~pattern])


def test_a_target_class_without_rows_leaves_all_rows_as_they_are():
    view, _ = checks_of_training._poisoned(CleanLabelParams(steps=1, proxy_epochs=1), budget=0)
    nobody = view.model_copy(update={"y": view.y.clamp_min(1), "budget": 50})
    assert len(poisoning.clean_label_backdoor(nobody, CleanLabelParams()).rows) == 0


@pytest.mark.parametrize(("epochs", "asked", "expected"), [(None, 300, 20), (None, 32, 200), (7, 32, 7)])
def test_a_copy_takes_as_many_steps_as_on_all_rows_unless_told_otherwise(epochs, asked, expected):
    view = checks_of_training._theft(checks_of_training.Contrary(), budget=asked)
    assert theft._epochs(view, CopycatParams(epochs=epochs), asked=asked) == expected


def test_rows_on_the_wrong_side_cost_no_query_beyond_the_first():
    x = planted.rows(3)
    view = planted.membership_view(planted.Linear(), x, 1 - planted.Linear()(x).argmax(1))
    assert membership.boundary_distance(view, BoundaryDistanceParams()).score.tolist() == [0, 0, 0]
    assert view.model.queries == 3 + len(view.population_x)


def test_copies_of_mixed_rows_are_possible_rows_with_ids_of_their_own():
    data = make_data(mixed_rows(30), torch.arange(30) % 2, MIXED, ids=torch.arange(30) - 5)
    more = augmentation.augment(data, GaussianAugmentationParams(scale=0.3, ratio=2))
    copies = more.x[30:]
    assert torch.equal(more.x[:30], data.x)
    assert more.id[30:].tolist() == list(range(-6, -66, -1))
    assert torch.equal(copies[:, 3], copies[:, 3].round())
    assert ((copies[:, 5:8] == 1).sum(1) == 1).all()
    assert ((copies[:, 5:8] == 0).sum(1) == 2).all()
    assert set(copies[:, 4].tolist()) <= set(data.x[:, 4].tolist())


@pytest.mark.parametrize(
    ("what", "put"), [("y", lambda rows: 1 - rows), ("z", torch.zeros_like), ("w", torch.ones_like)]
)
def test_a_check_tells_copies_that_have_not_what_their_row_has(monkeypatch, what, put):
    augment = augmentation.augment

    def spoilt(data, params):
        more = augment(data, params)
        held = getattr(more, what)
        return replace(more, **{what: torch.cat([held[: len(data)], put(held[len(data) :])])})

    monkeypatch.setattr(augmentation, "augment", spoilt)
    with pytest.raises(AssertionError, match=rf"^\d+ copies have another {what} than their row, expected 0$"):
        checks_of_defenses.copies_with_noise(GaussianAugmentationParams(scale=0.02, ratio=0.5))
