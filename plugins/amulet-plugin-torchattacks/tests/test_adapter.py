import pytest
import torch
from amulet_core.data import bounds
from amulet_core.feasible import distance, mutable, project
from amulet_core.games.evasion import EvasionView
from amulet_core.schema import DataSchema, Feasible
from amulet_core.victims import LabelOracle, ProbabilityOracle, WhiteBox
from torch import nn

from amulet_plugin_torchattacks import attack as adapter
from amulet_plugin_torchattacks import linf_settings as linf
from amulet_plugin_torchattacks import other_settings as other
from amulet_plugin_torchattacks import planted
from amulet_plugin_torchattacks.attack import attack
from amulet_plugin_torchattacks.catalogue import COMPONENTS
from amulet_plugin_torchattacks.presentation import Presented

KINDS = {"white-box": WhiteBox, "probabilities": ProbabilityOracle, "none": None}
MIXED = DataSchema(
    modality="tabular",
    shape=(12,),
    classes=("no", "yes"),
    feasible=Feasible(
        low=(-1.0,) * 4 + (0.0,) * 8,
        high=(1.0, 2.0, 3.0, 4.0, 20.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        integer=(4,),
        immutable=(5,),
        one_hot=((6, 7, 8), (9, 10, 11)),
    ),
)


def mixed_rows(n=40):
    low, high = bounds(MIXED)
    x = low + torch.rand(n, 12) * (high - low)
    x[:, 4] = x[:, 4].round()
    x[:, 6:] = torch.cat([torch.eye(3)[torch.randint(3, (n,))] for _ in range(2)], 1)
    return x


def view_of(model, x, schema, *, norm="linf", epsilons=(0.05,), y=None, kind=WhiteBox):
    y = model(x).argmax(1) if y is None else y
    return planted.view_of(model, x, y, schema, norm=norm, epsilons=epsilons, kind=kind)


def network(schema, *, classes=None):
    width = torch.Size(schema.shape).numel()
    layers = nn.Linear(width, 16), nn.ReLU(), nn.Linear(16, classes or len(schema.classes))
    return nn.Sequential(nn.Flatten(), *layers).requires_grad_(False)


class Watched(nn.Module):
    """A linear victim that remembers in which mode it was asked."""

    def __init__(self):
        super().__init__()
        self.inner, self.modes = planted.table_victim(), set()

    def forward(self, x):
        self.modes.add((self.training, self.inner.training))
        return self.inner(x)


class Flat(nn.Module):
    """A victim that is certain of class 0, without any gradient, unless the first feature is above -.3."""

    def forward(self, x):
        confident = torch.stack([torch.full_like(x[:, 0], 300.0), x[:, 0] * 0], 1)
        sloped = torch.stack([x.sum(1), -x.sum(1)], 1)
        return torch.where(x[:, :1].detach() > -0.3, sloped, confident)


CASES = [(component.params, norm) for component in COMPONENTS for norm in component.params.use.norms]


def ids(case):
    params, norm = case
    return f"{params.use.name}-{norm}"


def tabular(case):
    return next(component for component in COMPONENTS if component.params is case[0]).modality == ("tabular", "image")


def quick(params):
    cheap = {"n_queries": 20, "binary_search_steps": 2, "max_iterations": 20, "samples": 8}
    return params(**{name: value for name, value in cheap.items() if name in params.model_fields})


@pytest.mark.parametrize("case", [case for case in CASES if tabular(case)], ids=ids)
@pytest.mark.parametrize("epsilons", [(0.02, 0.2), (1.5,)], ids=["small budgets", "a budget for categories"])
def test_answers_are_possible_rows_within_every_budget(case, epsilons):
    params, norm = case
    x = mixed_rows()
    view = view_of(network(MIXED), x, MIXED, norm=norm, epsilons=epsilons, kind=KINDS[params.use.access])
    answer = attack(view, quick(params))
    for epsilon, changed in zip(epsilons, answer.x, strict=True):
        assert distance(changed, x, MIXED, norm=norm).max() <= epsilon * 1.0001
        assert torch.equal(changed[:, 5], x[:, 5])
        assert torch.equal(changed[:, 4], changed[:, 4].round())
        assert torch.equal(changed[:, 6:].sort(1).values, x[:, 6:].sort(1).values)
        settled = project(changed, x, MIXED, norm=norm, epsilon=epsilon)
        assert torch.allclose(settled, changed, atol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_the_same_draws_give_the_same_bits(case):
    params, norm = case
    model, x = planted.image_victim(), planted.rows_near_the_middle(planted.IMAGES, rows=10)
    enough = float(planted.needed(model, planted.IMAGES, x, model(x).argmax(1), norm=norm).max())
    epsilons = (1.5 * enough, 3 * enough)
    view = view_of(model, x, planted.IMAGES, norm=norm, epsilons=epsilons, kind=KINDS[params.use.access])
    answers = []
    for _ in range(2):
        torch.manual_seed(3)
        answers.append(attack(view, quick(params)).x)
    assert torch.equal(*answers)


def test_an_attack_that_seeds_by_itself_draws_anew_for_other_draws():
    x = planted.rows_near_the_middle(planted.IMAGES, rows=20)
    view = view_of(network(planted.IMAGES), x, planted.IMAGES, epsilons=(0.3,))
    answers = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        answers.append(attack(view, linf.ApgdParams()).x)
    assert not torch.equal(*answers)


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_misclassified_rows_stay_as_they_are(case):
    params, norm = case
    if params.use.access == "none":
        pytest.skip("a control that sees no model cannot know them")
    model = network(planted.IMAGES)
    x = planted.rows_near_the_middle(planted.IMAGES, rows=8)
    wrong = (model(x).argmax(1) + 1) % 4
    view = view_of(model, x, planted.IMAGES, norm=norm, y=wrong, kind=KINDS[params.use.access])
    assert torch.equal(attack(view, quick(params)).x[0], x)


def test_what_fooled_at_one_budget_is_kept_for_the_larger_ones():
    model = planted.table_victim()
    x = planted.rows_near_the_middle(planted.TABLE, rows=60)
    y = model(x).argmax(1)
    epsilons = (0.002, 0.005, 0.02)
    answer = attack(view_of(model, x, planted.TABLE, epsilons=epsilons), linf.PgdParams()).x
    fooled = torch.stack([model(changed).argmax(1) != y for changed in answer])
    assert 0 < fooled[0].sum() < fooled[1].sum() < fooled[2].sum()
    for smaller, larger in ((0, 1), (1, 2)):
        assert torch.equal(answer[smaller][fooled[smaller]], answer[larger][fooled[smaller]])


def test_the_smallest_change_is_handed_back_where_it_fits_and_else_its_projection():
    model = planted.table_victim()
    x = planted.rows_near_the_middle(planted.TABLE, rows=60)
    needed = planted.needed(model, planted.TABLE, x, model(x).argmax(1), norm="l2")
    epsilon = float(needed.median())
    view = view_of(model, x, planted.TABLE, norm="l2", epsilons=(epsilon,))
    moved = distance(attack(view, other.DeepFoolParams()).x[0], x, planted.TABLE, norm="l2")
    fits = 1.02 * needed < epsilon * 0.999
    assert torch.allclose(moved[fits].double(), 1.02 * needed[fits], rtol=1e-3)
    assert torch.allclose(moved[~fits], torch.full_like(moved[~fits], epsilon), rtol=1e-3)


def test_no_budget_is_wasted_on_features_that_cannot_change():
    x = mixed_rows()
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).requires_grad_(False)
    model[1].weight[:, 5:] *= 5
    # Rounding an integer towards the row would take back a part of its change.
    model[1].weight[:, 4] = 0
    view = view_of(model, x, MIXED, norm="l2", epsilons=(0.1,))
    answer = attack(view, other.PgdL2Params(random_start=False)).x[0]
    assert distance(answer, x, MIXED, norm="l2").median() > 0.09


def test_a_victim_without_gradient_costs_only_its_own_rows_and_is_reported():
    schema = DataSchema(modality="tabular", shape=(3,), classes=("a", "b"), feasible=Feasible(low=-1.0, high=1.0))
    x = torch.cat([torch.full((4, 3), -0.5), torch.full((6, 3), 0.02)])
    answer = attack(view_of(Flat(), x, schema, norm="l2", epsilons=(0.05, 0.1)), other.DeepFoolParams())
    assert torch.isfinite(answer.x).all()
    assert torch.equal(answer.x[:, :4], x[:4].expand(2, 4, 3))
    assert (Flat()(answer.x[1])[4:].argmax(1) == 1).all()
    assert answer.warnings == (
        "torchattacks/deepfool gave values that are not finite for 4 of 10 rows at budget 0.05, 4 of 4 rows at budget "
        "0.1: these rows are left as they were, so the robust accuracy may be too high (the usual cause is a gradient "
        "of exactly zero)",
    )


def test_a_clean_search_warns_of_nothing():
    x = planted.rows_near_the_middle(planted.TABLE, rows=10)
    assert attack(view_of(planted.table_victim(), x, planted.TABLE), linf.MiFgsmParams()).warnings == ()


@pytest.mark.parametrize(("params", "only", "given"), [(other.CwParams, "l2", "linf"), (linf.PgdParams, "linf", "l2")])
def test_a_budget_in_another_norm_is_refused(params, only, given):
    x = planted.rows_near_the_middle(planted.TABLE, rows=4)
    with pytest.raises(ValueError, match="keeps to budgets") as caught:
        attack(view_of(planted.table_victim(), x, planted.TABLE, norm=given), params())
    assert str(caught.value) == (
        f"torchattacks/{params.use.name.lower()} keeps to budgets in {only}, the threat model's norm is {given}: "
        f"set risks.evasion.threat.norm to {only}, or leave this attack out"
    )


@pytest.mark.parametrize(
    ("params", "kind", "needs"),
    [
        (linf.PgdParams, ProbabilityOracle, "white-box"),
        (linf.PgdParams, LabelOracle, "white-box"),
        (linf.PgdParams, None, "white-box"),
        (other.SpsaParams, LabelOracle, "probabilities"),
    ],
)
def test_a_view_that_offers_less_than_the_attack_needs_is_refused(params, kind, needs):
    x = planted.rows_near_the_middle(planted.TABLE, rows=4)
    with pytest.raises(TypeError, match="needs a view") as caught:
        attack(view_of(planted.table_victim(), x, planted.TABLE, kind=kind), params())
    name = params.use.name.lower()
    assert str(caught.value) == f"torchattacks/{name} needs a view of its victim with {needs} access"


@pytest.mark.parametrize("params", [linf.PgdParams, linf.ApgdParams, other.FabParams, linf.EotPgdParams])
def test_the_victim_stays_in_eval_mode_and_without_gradients(params, capsys):
    x = planted.rows_near_the_middle(planted.TABLE, rows=6)
    watched = Watched()
    box = WhiteBox(watched)
    y = watched(x).argmax(1)
    view = EvasionView(model=box, x=x, y=y, norm="linf", epsilons=(0.01,), data_schema=planted.TABLE)
    box.module.modes.clear()
    attack(view, params())
    assert box.module.modes == {(False, False)}
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in box.module.parameters())
    assert capsys.readouterr() == ("", "")


def test_it_works_where_gradients_are_switched_off():
    x = planted.rows_near_the_middle(planted.TABLE, rows=6)
    view = view_of(planted.table_victim(), x, planted.TABLE)
    with torch.no_grad():
        answer = attack(view, linf.PgdParams())
        assert not torch.is_grad_enabled()
    assert not answer.x.requires_grad


def test_more_rows_than_are_searched_at_once_give_one_answer_each(monkeypatch):
    x = planted.rows_near_the_middle(planted.TABLE, rows=10)
    view = view_of(planted.table_victim(), x, planted.TABLE)
    whole = attack(view, linf.FgsmParams()).x
    monkeypatch.setattr(adapter, "_ROWS", 3)
    assert torch.equal(attack(view, linf.FgsmParams()).x, whole)


def test_nothing_is_asked_where_no_feature_can_change_at_a_budget():
    schema = DataSchema(
        modality="tabular", shape=(3,), classes=("a", "b"), feasible=Feasible(low=0.0, high=1.0, one_hot=((0, 1, 2),))
    )
    x = torch.eye(3)
    model = nn.Linear(3, 2).requires_grad_(False)
    answer = attack(view_of(model, x, schema, norm="l2", epsilons=(0.3,)), other.DeepFoolParams())
    assert torch.equal(answer.x[0], x)
    assert answer.warnings == ()


@pytest.mark.parametrize("params", [linf.TiFgsmParams(), linf.PgdParams(), other.CwParams()], ids=lambda p: p.use.name)
def test_a_presented_victim_is_the_victim(params):
    schema = planted.IMAGES
    model = network(schema)
    x = planted.rows_near_the_middle(schema, rows=5)
    shown = Presented(view_of(model, x, schema, norm=params.use.norms[0]), params.use, epsilon=0.1)
    units = shown.units(x)
    assert units.shape == ((5, 3, 8, 8) if params.use.colour else (5, 1, 8, 8))
    assert torch.allclose(shown.rows(units) * 4 - 1, x, atol=1e-6)
    assert torch.allclose(shown(units).log_softmax(1), model(x).log_softmax(1), atol=1e-5)
    assert (shown(units).amin() > 0.5) == params.use.positive


@pytest.mark.parametrize(
    "params",
    [linf.ApgdParams(loss="dlr"), linf.ApgdTParams(), linf.UpgdParams(loss="dlr"), linf.UpgdParams(loss="margin")],
    ids=lambda params: f"{params.use.name}-{getattr(params, 'loss', '')}",
)
def test_losses_that_compare_more_logits_than_there_are_classes_still_find_the_boundary(params):
    model, x = planted.table_victim(), planted.rows_near_the_middle(planted.TABLE, rows=80)
    y = model(x).argmax(1)
    needed = planted.needed(model, planted.TABLE, x, y, norm="linf")
    epsilon = float(needed.median())
    fooled = model(attack(view_of(model, x, planted.TABLE, epsilons=(epsilon,)), params).x[0]).argmax(1) != y
    assert torch.equal(
        fooled[(needed / epsilon - 1).abs() > 0.01], (needed < epsilon)[(needed / epsilon - 1).abs() > 0.01]
    )


def test_classes_that_are_only_shown_never_win_and_take_no_probability():
    x = planted.rows_near_the_middle(planted.TABLE, rows=20)
    model = planted.table_victim()
    shown = Presented(view_of(model, x, planted.TABLE), linf.ApgdTParams.use, epsilon=0.1)
    logits = shown(shown.units(x))
    assert logits.shape == (20, 4)
    assert torch.allclose(logits.softmax(1)[:, :2], model(x).softmax(1), atol=1e-6)
    assert logits.softmax(1)[:, 2:].max() < 1e-12


def test_features_that_cannot_change_have_no_gradient():
    x = mixed_rows(3)
    shown = Presented(view_of(network(MIXED), x, MIXED), linf.PgdParams.use, epsilon=0.1)
    units = shown.units(x).requires_grad_()
    (gradient,) = torch.autograd.grad(shown(units)[:, 0].sum(), units)
    assert torch.equal((gradient != 0).any(0).flatten(), mutable(MIXED, norm="linf", epsilon=0.1))


@pytest.mark.parametrize(
    ("params", "norm", "expected"),
    [
        (linf.FgsmParams(), "linf", {"eps": 0.5}),
        (linf.BimParams(), "linf", {"alpha": 0.125, "steps": 10, "eps": 0.5}),
        (linf.PiFgsmParams(steps=3), "linf", {"num_iter_set": 3, "amplification": 10.0, "max_epsilon": 0.5}),
        (other.DeepFoolParams(), "l2", {"steps": 50, "overshoot": 0.02}),
        (
            linf.ApgdTParams(),
            "l2",
            {"steps": 10, "n_restarts": 1, "eot_iter": 1, "rho": 0.75}
            | {"eps": 0.5, "norm": "L2", "seed": 7, "n_classes": 4},
        ),
        (
            linf.PgdRsParams(),
            "linf",
            {"alpha": 0.125, "steps": 10, "noise_type": "guassian", "noise_sd": 0.5, "noise_batch_size": 5, "eps": 0.5},
        ),
    ],
)
def test_torchattacks_is_told_settings_budget_norm_seed_and_classes(params, norm, expected):
    x = planted.rows_near_the_middle(planted.IMAGES, rows=2)
    view = view_of(planted.image_victim(), x, planted.IMAGES, norm=norm)
    assert adapter.arguments(view, params, epsilon=0.5, seed=7) == expected
