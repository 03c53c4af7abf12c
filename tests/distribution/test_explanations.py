"""Explanations that a defense has its model release: who makes them, of what class, and who sees them."""

import importlib_metadata
import pytest
import torch
from torch import nn

from amulet_core import run
from amulet_core.configuration.reading import resolve
from amulet_core.data import make_data
from amulet_core.discovery.registry import discover
from amulet_core.errors import ComponentError, RequestError
from amulet_core.explanations import explainer
from amulet_core.games.contest import Bank, Contest, accessible
from amulet_core.performing.ground import load_data
from amulet_core.planning.facts import facts_of
from amulet_core.planning.jobs import DistributionPlayWork, FitWork, Recipe
from amulet_core.planning.plan import plan
from amulet_core.schema import DataSchema, Feasible
from amulet_core.victims import LabelOracle, with_access

TOY = """
from pydantic import Field
from amulet_core.components import Attack, Defense, Params
from amulet_core.hooks import hookimpl

HERE = __name__
SEEN = []


class Settings(Params):
    how: str = Field("class", description="what it says of each row")


def keep(probabilities, params):
    return probabilities


def flip(probabilities, params):
    return probabilities.flip(1)


def told(question, params):
    import torch

    x = question.x
    answers = {
        "class": lambda: question.classes[:, None].float().expand_as(x),
        "beneath": lambda: question.model(x)[:, :1].expand_as(x),
        "draws": lambda: torch.rand(x.shape),
        "few": lambda: x[:, :1],
        "nothing": lambda: x / 0,
        "double": lambda: x.double(),
    }
    return answers[params.how]()


def look(view, params):
    import torch
    from amulet_core.games.distribution import DistributionAnswer

    SEEN.append([one.explains for one in (*view.victims, *view.models)])
    return DistributionAnswer(score=torch.zeros(len(view.victims)).double(), threshold=0.5)


@hookimpl
def amulet_components():
    made = {"params": Settings, "risk": "evasion", "summary": "A defense made for a test"}
    inference = {"target": f"{HERE}:keep", "stages": {"inference": f"{HERE}:keep"}}
    yield Defense(name="explains", explain=f"{HERE}:told", **inference, **made)
    yield Defense(name="tells", explain=f"{HERE}:told", **inference, **made)
    yield Defense(name="owns", explain=f"{HERE}:told", verify=f"{HERE}:keep", target=f"{HERE}:keep", **made)
    yield Defense(name="broken", explain=f"{HERE}:nowhere", **inference, **made)
    yield Defense(name="flip", target=f"{HERE}:flip", stages={"inference": f"{HERE}:flip"}, **made)
    attack = {"risk": "distribution-inference", "access": "labels", "threat": "It looks.", "target": f"{HERE}:look"}
    yield Attack(name="looks", summary="An attack made for a test", **attack)
    yield Attack(name="reads", summary="An attack made for a test", reads_explanations=True, **attack)
"""
SCHEMA = DataSchema(modality="tabular", shape=(3,), classes=("a", "b"), feasible=Feasible(low=-1.0, high=1.0))


@pytest.fixture
def registry(packages):
    packages.add("toy", TOY, module="explaining_components")
    own = importlib_metadata.entry_points(group="amulet.v1", name="builtin")
    found = discover(entry_points=[*packages.entry_points(), *own])
    assert found.warnings == ()
    return found


def config(**changes):
    threat = {"victims": 2, "models": 2, "queries": 50} | changes.pop("threat", {})
    return {
        "dataset": "compas",
        "model": "logistic",
        "training": {"epochs": 1},
        "data": {"train": 300, "val": 50, "test": 400, "aux": 500},
        "defenses": ["explains"],
        "risks": {"distribution-inference": {"attacks": ["looks"], "threat": threat}},
        "seeds": 1,
    } | changes


def recipe(registry, *chain):
    request = resolve(config(defenses=[list(chain)]), registry)
    return Recipe(request.model, request.rows[-1].chain, request.training)


def says(how, name="explains"):
    return {"name": name, "params": {"how": how}}


def toy_model():
    model = nn.Linear(3, 2, bias=False).requires_grad_(False)
    model.weight.copy_(torch.tensor([[1.0, -1.0, 0.5], [-1.0, 1.0, -0.5]]))
    return model


def test_a_model_without_an_explaining_defense_explains_nothing_and_says_so(registry):
    assert explainer(recipe(registry, "flip"), toy_model(), SCHEMA) is None
    oracle = LabelOracle(toy_model())
    assert not oracle.explains
    with pytest.raises(ValueError, match=r"^the model releases no attributions: ask explains before$"):
        oracle.attributions(torch.zeros(2, 3))


def test_the_class_explained_is_the_one_that_the_deployed_model_predicts(registry):
    model, x = toy_model(), torch.rand(20, 3)
    predicted = model(x).argmax(1)
    assert 0 < predicted.sum() < 20
    for chain, expected in (([says("class")], predicted), ([says("class"), "flip"], 1 - predicted)):
        explain = explainer(recipe(registry, *chain), model, SCHEMA)
        assert torch.equal(explain(x), expected[:, None].expand(20, 3).float())


def test_the_model_explained_is_the_one_beneath_wrappers_and_a_copy(registry):
    model, x = toy_model(), torch.rand(20, 3)
    explain = explainer(recipe(registry, says("beneath"), "flip"), model, SCHEMA)
    expected = model(x)[:, :1].expand(20, 3)
    nn.init.zeros_(model.weight)
    assert torch.equal(explain(x), expected)


def test_the_same_rows_are_explained_alike_whatever_was_asked_and_drawn_before(registry):
    explain = explainer(recipe(registry, says("draws")), toy_model(), SCHEMA)
    x = torch.rand(4, 3)
    first, state = explain(x), torch.get_rng_state()
    explain(x[:2])
    torch.rand(5)
    assert torch.equal(explain(x), first)
    torch.set_rng_state(state)
    before = torch.get_rng_state()
    explain(x)
    assert torch.equal(torch.get_rng_state(), before)


def test_explanations_are_in_the_type_of_the_rows(registry):
    explain = explainer(recipe(registry, says("double")), toy_model(), SCHEMA)
    assert explain(torch.rand(4, 3)).dtype == torch.float32


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("few", "toy/explains: ValueError: its explanations are [4, 1] for inputs [4, 3], expected the same shape"),
        ("nothing", "toy/explains: ValueError: its explanations are not finite for 4 of 4 inputs"),
        ("unknown", "toy/explains: KeyError: 'unknown'"),
    ],
)
def test_explanations_that_are_none_are_blamed_on_the_defense(registry, how, message):
    explain = explainer(recipe(registry, says(how)), toy_model(), SCHEMA)
    with pytest.raises(ComponentError) as error:
        explain(torch.rand(4, 3))
    assert str(error.value) == message


def test_an_explanation_that_cannot_be_imported_is_blamed_on_the_defense(registry):
    with pytest.raises(ComponentError) as error:
        explainer(recipe(registry, "broken"), toy_model(), SCHEMA)
    assert error.value.blame == "toy/broken"
    assert "explaining_components:nowhere cannot be loaded" in str(error.value)


def test_explanations_are_counted_as_queries_and_hidden_from_who_sees_no_model(registry):
    explain = explainer(recipe(registry, "explains"), toy_model(), SCHEMA)
    oracle = with_access(toy_model(), "labels", explain)
    assert oracle.explains
    oracle.attributions(torch.rand(7, 3))
    assert oracle.queries == 7
    assert with_access(toy_model(), "none", explain) is None


@pytest.mark.parametrize("access", ["labels", "probabilities", "white-box"])
def test_attacks_of_games_with_one_victim_see_its_explanations(registry, access):
    model, rows = toy_model(), make_data(torch.rand(6, 3), torch.arange(6) % 2, SCHEMA)
    nothing = Bank(torch.zeros(0, 6, 2), torch.zeros(0, 6).bool(), torch.zeros(0, 6, 2), adaptive=True)
    made = {"pool": rows, "member": torch.ones(6).bool(), "test": rows, "aux": rows, "bank": nothing, "draws": (0,)}
    for chain, explains in (("explains", True), ("flip", False)):
        contest = Contest(model=model, beneath=model, recipe=recipe(registry, chain), **made)
        assert accessible(contest, access).explains is explains
    assert accessible(Contest(model=model, beneath=model, **made), access).explains is False


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"defenses": [{"label": "both", "chain": ["explains", "tells"]}], "members_alone": False},
            "defenses.0 (both): toy/explains and toy/tells each explain the model's predictions: leave one of them out",
        ),
        (
            {"model": "sklearn"},
            "defenses.0 (explains): toy/explains explains predictions by gradients, and builtin/sklearn has none: choose "
            "another model",
        ),
    ],
)
def test_what_cannot_explain_is_refused(registry, changes, problem):
    with pytest.raises(RequestError) as error:
        resolve(config(**changes), registry)
    assert error.value.problems == (problem,)


def planned(registry, **changes):
    request = resolve(config(**changes), registry)
    return plan(request, facts_of(load_data(request)))


@pytest.mark.parametrize("name", ["explains", "owns"], ids=["with an inference stage", "without any stage"])
def test_other_explanations_are_another_play_on_the_same_models(registry, name):
    one, two = (planned(registry, defenses=[says(how, name)]).jobs for how in ("class", "draws"))
    assert {key for key, job in one.items() if isinstance(job.work, FitWork)} == {
        key for key, job in two.items() if isinstance(job.work, FitWork)
    }
    plays = [
        {key for key, job in jobs.items() if isinstance(job.work, DistributionPlayWork) and f" {name}'" in job.label}
        for jobs in (one, two)
    ]
    assert plays[0]
    assert not plays[0] & plays[1]


@pytest.mark.parametrize("name", ["explains", "owns"])
def test_models_that_explain_are_not_those_of_the_bare_recipe(registry, name):
    cells = planned(registry, defenses=[name], threat={"shadow": "undefended"}).cells
    assert {cell.adversary for cell in cells if (cell.row, cell.attack) == (name, "toy/looks")} == {
        "not adaptive: undefended shadow models"
    }


def test_an_attack_on_explanations_is_skipped_where_there_are_none(registry):
    risk = {"distribution-inference": {"attacks": ["reads"]}}
    reasons = {cell.row: cell.skipped for cell in planned(registry, risks=risk).cells if cell.attack == "toy/reads"}
    assert reasons["none"] == 'toy/reads reads explanations, and no defense of the row "none" releases any'
    assert reasons["placebo"] == 'toy/reads reads explanations, and no defense of the row "placebo" releases any'
    assert not reasons["explains"]


@pytest.mark.parametrize(
    ("shadow", "own"), [("adaptive", True), ("undefended", False)], ids=["adaptive", "not adaptive"]
)
def test_victims_explain_in_the_row_of_the_defense_and_own_models_as_their_recipe_says(registry, shadow, own):
    results = run(config(threat={"shadow": shadow}), registry=registry)
    assert {cell.status for cell in results.cells} == {"ok"}
    seen = resolve(config(), registry).risks[0].attacks[0].entry.load("explaining_components:SEEN")
    assert sorted(seen) == sorted([[False] * 8, [False] * 8, [True] * 4 + [own] * 4])
