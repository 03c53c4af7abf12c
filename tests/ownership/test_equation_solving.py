"""Equation solving: softmax-linear victims come back exactly, and everything else is refused in plain words."""

from functools import partial

import pytest
import torch
from torch import nn

from amulet_core import discover
from amulet_core.components import NoParams
from amulet_core.configuration.reading import resolve
from amulet_core.games.theft import TheftView
from amulet_core.oracles import BudgetOracle
from amulet_core.performing.recipes import deployed
from amulet_core.planning.jobs import Recipe
from amulet_core.schema import DataSchema, Feasible
from amulet_core.streams import isolated
from amulet_plugins_builtin.catalogue.ownership import EquationSolvingParams
from amulet_plugins_builtin.models import logistic
from amulet_plugins_builtin.ownership import equations, planted_theft
from amulet_plugins_builtin.ownership.theft_checks import linear_victim, linear_view

ARCHITECTURE = (
    "equation-solving needs an architecture whose weights are one affine layer that gives the logits; the weights of "
    "this architecture are in "
)


def schema_of(shape, classes):
    return DataSchema(
        modality="image" if len(shape) > 1 else "tabular",
        shape=shape,
        classes=tuple(f"class {index}" for index in range(classes)),
        feasible=Feasible(low=-2.0, high=6.0),
    )


def planted(schema, seed=3):
    victim = logistic.Logistic(schema)
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in (victim.head.weight, victim.head.bias):
            value.copy_(torch.randn(value.shape, generator=draws))
    return victim.eval()


def view_of(victim, schema, *, budget, tells="probabilities", build=None):
    x = torch.rand(20, *schema.shape)
    return TheftView(
        model=BudgetOracle(victim, tells=tells, top_k=2, budget=budget),
        budget=budget,
        x=x,
        y=torch.zeros(20, dtype=torch.int64),
        architecture=build or partial(logistic.build, NoParams(), schema),
        settings=planted_theft.SETTINGS,
        data_schema=schema,
    )


def solved(view, **params):
    with isolated("solving"):
        return equations.attack(view, EquationSolvingParams(**params))


def centred(value):
    return (value.detach() - value.detach().mean(0)).flatten().tolist()


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("shape", [(6,), (1, 4, 4), (40,)])
@pytest.mark.parametrize(("oversampling", "tolerance"), [(1.0, 2e-3), (4.0, 1e-5)])
def test_a_softmax_linear_victim_is_found_up_to_a_common_shift(shape, classes, oversampling, tolerance):
    schema = schema_of(shape, classes)
    victim = planted(schema)
    view = view_of(victim, schema, budget=1000)
    answer = solved(view, oversampling=oversampling)
    assert view.model.queries == round(oversampling * (schema.width + 1))
    assert answer.warnings == ()
    for name in ("weight", "bias"):
        found, expected = (centred(getattr(model.head, name)) for model in (answer.model, victim))
        assert found == pytest.approx(expected, abs=tolerance)
    x = -2 + 8 * torch.rand(2000, *shape)
    assert torch.equal(answer.model(x).argmax(1), victim(x).argmax(1))


@pytest.mark.parametrize("width", [6, 40])
def test_as_many_logits_as_unknowns_give_the_very_weights_and_bias(width):
    """From logits, not probabilities, nothing is left undetermined: d + 1 queries, exactly (arXiv:1609.02943)."""
    draws = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(width, 10, generator=draws).double(), torch.randn(10, generator=draws).double()
    x = torch.rand(width + 1, width, generator=draws).double()
    found = equations.affine_map(x, x @ weight + bias, bias=True)
    assert float((found[:-1] - weight).abs().max()) < 1e-5
    assert float((found[-1] - bias).abs().max()) < 1e-5


def test_with_fewer_answers_than_unknowns_they_are_reproduced_and_a_warning_is_given():
    schema = schema_of((12,), 3)
    victim = planted(schema)
    view = view_of(victim, schema, budget=5)
    answer = solved(view)
    assert view.model.queries == 5
    assert answer.warnings == ("5 answers do not determine 13 weights a class: the smallest solution was taken",)
    with isolated("solving"):
        answer.model.__class__(schema)  # the architecture drew its initial weights first
        x = -2 + 8 * torch.rand(5, 12)
    assert torch.allclose(torch.softmax(answer.model(x), 1), torch.softmax(victim(x), 1), atol=1e-4)


def test_an_architecture_without_a_bias_is_solved_too():
    schema = schema_of((2, 3), 4)

    def build():
        return nn.Sequential(nn.Flatten(), nn.Linear(6, 4, bias=False))

    with isolated("victim"):
        victim = build().eval()
    view = view_of(victim, schema, budget=100, build=build)
    answer = solved(view)
    assert view.model.queries == 12
    assert centred(answer.model[1].weight) == pytest.approx(centred(victim[1].weight), abs=1e-5)


class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x):
        return -self.layer(x)


@pytest.mark.parametrize(
    ("build", "places"),
    [
        (lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), "0, 2"),
        (Wrapped, "layer"),
        (lambda: nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 3, 6), nn.Flatten()), "1"),
        (nn.Flatten, "no layer"),
    ],
    ids=["two layers", "something after it", "a convolution", "no weights"],
)
def test_another_architecture_is_refused_before_a_query_is_asked(build, places):
    view = view_of(planted(schema_of((6,), 3)), schema_of((6,), 3), budget=50, build=build)
    with pytest.raises(ValueError) as error:
        solved(view)
    assert str(error.value) == ARCHITECTURE + places
    assert view.model.queries == 0


@pytest.mark.parametrize("tells", ["labels", "top-k"])
def test_an_oracle_that_tells_less_is_refused(tells):
    schema = schema_of((6,), 3)
    with pytest.raises(ValueError) as error:
        solved(view_of(planted(schema), schema, budget=50, tells=tells))
    assert str(error.value) == f"equation-solving needs an oracle that tells all probabilities; this one tells {tells}"


def test_a_view_without_an_oracle_is_refused():
    view = linear_view(linear_victim(), budget=10).model_copy(update={"model": None})
    with pytest.raises(ValueError) as error:
        solved(view)
    assert str(error.value) == "equation-solving needs an oracle that tells all probabilities; this one tells nothing"


class Certain(nn.Module):
    """A victim whose probabilities are exactly 0 and 1 wherever the first feature says so."""

    def __init__(self, model, share):
        super().__init__()
        self.model, self.limit = model, -2 + 8 * share

    def forward(self, x):
        return torch.where(x[:, :1] < self.limit, 1e4, 1.0) * self.model(x)


def test_answers_with_a_probability_of_zero_are_left_out():
    schema = schema_of((6,), 3)
    victim = planted(schema)
    answer = solved(view_of(Certain(victim, 0.5), schema, budget=100), oversampling=8)
    assert centred(answer.model.head.weight) == pytest.approx(centred(victim.head.weight), abs=1e-4)
    assert answer.warnings == ()


def guessed(zeros, answers, unknowns):
    return (
        f"{zeros} of {answers} answers have probabilities of zero, and the others do not determine {unknowns} weights a "
        "class: zeros were taken for half of the smallest probability told"
    )


def test_where_every_answer_has_a_zero_that_is_said():
    schema = schema_of((6,), 3)
    view = view_of(Certain(planted(schema), 1.1), schema, budget=100)
    assert solved(view).warnings == (guessed(14, 14, 7),)


def released(victim, decimals):
    """Return a victim as it is deployed behind output-rounding, which floors zeros before the logarithm."""
    raw = {"dataset": "digits", "risks": ["utility"]}
    raw["defenses"] = [{"name": "output-rounding", "params": {"decimals": decimals}}]
    request = resolve(raw, discover(select=""))
    chain = next(row.chain for row in request.rows if row.kind == "defense")
    return deployed(Recipe(request.model, chain, request.training), victim)


@pytest.mark.parametrize(
    ("scale", "decimals", "oversampling", "agrees", "warnings"),
    [
        (0.5, 2, 2.0, 0.97, ()),
        (1.0, 3, 40.0, 0.99, ()),
        (1.0, 1, 2.0, 0.93, (guessed(21, 22, 11),)),
        (1.0, 3, 2.0, 0.98, (guessed(15, 22, 11),)),
    ],
)
def test_rounded_zeros_of_a_deployed_victim_say_little_and_are_not_taken_for_their_floor(
    scale, decimals, oversampling, agrees, warnings
):
    victim = linear_victim()
    with torch.no_grad():
        for value in victim.head.parameters():
            value.mul_(scale)
    oracle = BudgetOracle(released(victim, decimals), tells="probabilities", top_k=2, budget=500)
    answer = solved(linear_view(victim, budget=500).model_copy(update={"model": oracle}), oversampling=oversampling)
    assert planted_theft.agreement(answer.model, victim) > agrees
    assert answer.warnings == warnings


def test_the_common_shift_is_left_out_and_not_in_the_weights():
    answer = solved(linear_view(linear_victim(), budget=100))
    assert float(answer.model.head.weight.sum(0).abs().max()) < 1e-4
