"""Model extraction: what is asked, how long is trained, and the bandit of the adaptive strategy against its formula."""

import math

import pytest
import torch

from amulet_core.oracles import BudgetOracle
from amulet_core.settings import TrainingSettings
from amulet_core.streams import isolated
from amulet_plugins_builtin.catalogue.ownership import COMPONENTS, ModelExtractionParams
from amulet_plugins_builtin.ownership import bandit, knockoff, planted_theft
from amulet_plugins_builtin.ownership.bandit import Record, _drawn, _rewards, _step

STRATEGIES = {
    "random": ModelExtractionParams(epochs=1),
    "adaptive": ModelExtractionParams(strategy="adaptive", epochs=1),
    "adaptive over clusters": ModelExtractionParams(strategy="adaptive", epochs=1, clusters=5),
}


class Asked(BudgetOracle):
    """An oracle that remembers what it was asked."""

    def __init__(self, model, **told):
        super().__init__(model, **told)
        self.asked = []

    def ask(self, x):
        self.asked.append(x)
        return super().ask(x)


def asked(params, *, budget, victim=None, changes=()):
    oracle = Asked(victim or planted_theft.Whim(), tells="probabilities", top_k=2, budget=budget)
    own = planted_theft.view_of(planted_theft.Whim(), access="none", budget=budget)
    view = own.model_copy(update={"model": oracle, **dict(changes)})
    planted_theft.stolen(lambda seen: knockoff.attack(seen, params), view)
    return view, torch.cat(oracle.asked)


@pytest.mark.parametrize("params", STRATEGIES.values(), ids=STRATEGIES)
def test_a_larger_budget_asks_what_a_smaller_one_does_first_and_nothing_twice(params):
    _, few = asked(params, budget=75)
    view, many = asked(params, budget=planted_theft.OWN)
    assert torch.equal(many[: len(few)], few)
    assert (len(few), len(many)) == (75, planted_theft.OWN)
    assert torch.equal(many.unique(dim=0), view.x.unique(dim=0))


@pytest.mark.parametrize("params", STRATEGIES.values(), ids=STRATEGIES)
def test_a_budget_above_the_own_rows_asks_about_each_once(params):
    _, found = asked(params, budget=planted_theft.OWN + 50)
    assert len(found) == len(found.unique(dim=0)) == planted_theft.OWN


@pytest.mark.parametrize(
    ("answers", "targets"),
    [
        ([[0.5, 0.3, 0.2]], [[0.5, 0.3, 0.2]]),
        ([[0.6, 0.2, 0.0]], [[0.75, 0.25, 0.0]]),
        ([[0.0, 1.0, 0.0]], [[0.0, 1.0, 0.0]]),
    ],
    ids=["all probabilities", "top 2", "the label"],
)
def test_what_a_top_k_oracle_keeps_back_is_taken_for_impossible(answers, targets):
    assert torch.allclose(knockoff.as_targets(torch.tensor(answers)), torch.tensor(targets))


@pytest.mark.parametrize(
    ("epochs", "answered", "expected"), [(None, 600, 15), (None, 60, 150), (None, 8, 150), (None, 90, 75), (7, 60, 7)]
)
def test_by_default_every_budget_is_trained_for_as_many_steps(epochs, answered, expected):
    settings = TrainingSettings(epochs=15, batch_size=60)
    assert knockoff.for_so_long(settings, epochs, answered=answered, own=600).epochs == expected


def test_what_is_trained_is_the_architecture_on_the_answers_for_the_epochs_asked_for(monkeypatch):
    calls = []
    monkeypatch.setattr(
        knockoff, "imitated", lambda *given, **more: calls.append((given, more)) or planted_theft.build()
    )
    view, x = asked(ModelExtractionParams(epochs=3), budget=40, victim=planted_theft.contrary())
    ((build, given, targets, settings), more) = calls[0]
    told = torch.softmax(planted_theft.contrary()(x), 1)
    assert build is view.architecture
    assert torch.equal(given, x)
    assert torch.allclose(targets, told, atol=1e-6)
    assert settings == view.settings.model_copy(update={"epochs": 3})
    assert more["schema"] == view.data_schema
    assert more["key"][0] == "own"


@pytest.mark.parametrize("access", ["white-box", "none"])
def test_without_an_oracle_there_is_nobody_to_ask(access):
    view = planted_theft.view_of(planted_theft.Whim(), access=access, budget=10)
    seen = {"white-box": "WhiteBox", "none": "NoneType"}[access]
    with pytest.raises(ValueError) as error:
        knockoff.attack(view, ModelExtractionParams())
    assert str(error.value) == f"model-extraction asks an oracle, and the view has {seen}"


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        (
            ModelExtractionParams(clusters=4),
            "clusters are for the adaptive strategy: leave them out, or set strategy to adaptive",
        ),
        (
            ModelExtractionParams(strategy="adaptive", clusters=1),
            "one cluster leaves nothing to choose between: ask for 2 or more (0: the own rows' classes)",
        ),
    ],
)
def test_settings_that_mean_nothing_are_refused_before_anything_is_trained(params, problem):
    (attack,) = [one for one in COMPONENTS if one.name == "model-extraction"]
    assert attack.applicable(params, planted_theft.SCHEMA) == [problem]
    assert attack.applicable(ModelExtractionParams(), planted_theft.SCHEMA) == []


def by_hand(rewards, groups, rows, policy, new):
    """The gradient bandit, one query after the other."""
    low, high = rewards.min(0).values, rewards.max(0).values
    total = [sum((reward - low) / (high - low)) / 3 for reward in rewards]
    recent = total[-max(25, new) :]
    mean = sum(recent) / len(recent)
    step = [0.0] * len(policy)
    visits = [sum(groups[row] == group for row in rows.tolist()) for group in range(len(policy))]
    for row, reward in list(zip(rows.tolist(), total, strict=True))[-new:]:
        chosen = int(groups[row])
        for group in range(len(policy)):
            gradient = (1 - policy[chosen]) if group == chosen else -policy[group]
            step[group] += float((reward - mean) * gradient / visits[chosen])
    return step


def test_the_policy_moves_by_the_gradient_of_the_bandit():
    draws = torch.Generator().manual_seed(1)
    groups, rows = torch.arange(60) % 3, torch.randperm(60, generator=draws)[:40]
    rewards = torch.rand(40, 3, generator=draws, dtype=torch.float64)
    policy = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    record = Record(rows, torch.zeros(40, 2), rewards)
    expected = by_hand(rewards, groups, rows, policy, 7)
    assert _step(record, groups, policy, 7).tolist() == pytest.approx(expected, abs=1e-12)


def test_rewards_are_certainty_difference_from_the_last_answers_and_surprise():
    past = torch.cat([torch.full((10, 3), 9.0), torch.tensor([[0.2, 0.3, 0.5]]).repeat(25, 1)])
    record = Record(torch.arange(35), past, torch.zeros(35, 3))
    found = _rewards(torch.tensor([[0.7, 0.1, 0.2], [0.2, 0.3, 0.5]]), torch.tensor([1.5, 0.25]), record)
    assert found.flatten().tolist() == pytest.approx([0.5, 0.5, 1.5, 0.2, 0.0, 0.25], abs=1e-6)


def test_rows_are_drawn_by_the_policy_over_their_groups_without_those_asked_before():
    groups = torch.tensor([0] * 90 + [1] * 10)
    asked_before = torch.arange(50)
    policy = torch.tensor([0.25, 0.75], dtype=torch.float64)
    with isolated("draws"):
        rows = torch.cat([_drawn(policy, groups, asked_before, at_most=1) for _ in range(2000)])
    assert int(rows.min()) >= 50
    assert float((groups[rows] == 1).double().mean()) == pytest.approx(0.75, abs=4 * math.sqrt(0.75 * 0.25 / 2000))


class HalfDull(torch.nn.Module):
    """Shrugs at every input whose first feature is low, and is sure of itself, in many ways, about the others."""

    def forward(self, x):
        return (x[:, :1] > 1) * planted_theft.Whim()(x)


def test_an_adaptive_thief_asks_more_about_the_inputs_whose_answers_are_worth_more():
    params = ModelExtractionParams(strategy="adaptive", epochs=1, round=10)
    groups = {"y": (planted_theft.rows(planted_theft.OWN, seed=2).x[:, 0] > 1).long()}
    view, found = asked(params, budget=200, victim=HalfDull(), changes=groups)
    assert float((found[:, 0] > 1).float().mean()) > float(view.y.float().mean()) + 0.15


def test_clusters_are_of_inputs_scaled_by_their_bounds(monkeypatch):
    seen = []

    class Fake:
        def __init__(self, **settings):
            self.settings = settings

        def fit(self, x):
            seen.append((self.settings, x))
            self.labels_ = torch.zeros(len(x), dtype=torch.int32).numpy()
            return self

    monkeypatch.setattr(bandit, "KMeans", Fake)
    view = planted_theft.asks(planted_theft.Whim(), budget=10)
    bandit._groups(view, ModelExtractionParams(strategy="adaptive", clusters=7))
    ((settings, x),) = seen
    assert settings == {"n_clusters": 7, "n_init": 1}
    assert torch.allclose(torch.from_numpy(x), ((view.x + 3) / 8).double())
