"""What holds for every attack on evasion, on images and on tables: rules, strength, draws, and what is left alone."""

import copy
from functools import cache

import pytest
import torch
from torch import nn

from amulet_core.components import NoParams
from amulet_core.discovery.registry import discover
from amulet_core.games import evasion
from amulet_core.games.contest import Bank, Contest
from amulet_core.games.evasion import EvasionView
from amulet_core.games.threats import EvasionThreat
from amulet_core.settings import TrainingSettings
from amulet_core.streams import isolated
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Streams
from amulet_core.victims import WhiteBox
from amulet_plugins_builtin.catalogue.evasion_attacks import COMPONENTS, ApgdParams
from amulet_plugins_builtin.evasion import apgd, autoattack, cw_l2, deepfool, fgsm, random_noise, square

FUNCTIONS = {
    "fgsm": fgsm.attack,
    "apgd": apgd.attack,
    "square": square.attack,
    "autoattack": autoattack.attack,
    "cw-l2": cw_l2.attack,
    "deepfool": deepfool.attack,
}
SETTINGS = {
    "apgd": {"steps": 20},
    "square": {"queries": 150},
    "autoattack": {"steps": 10, "queries": 60, "targets": 3},
    "cw-l2": {"steps": 40, "learning_rate": 0.04, "searches": 5},
}
ATTACKS = {
    component.name: (FUNCTIONS[component.name], component.params(**SETTINGS.get(component.name, {})), component)
    for component in COMPONENTS
}
CASES = [(name, norm) for name, (_, _, component) in ATTACKS.items() for norm in component.norms]
EPSILONS = {"linf": (0.05, 0.1, 0.3), "l2": (0.1, 0.3, 0.8)}


@cache
def contest(dataset, model):
    registry = discover(select="")
    source, build = registry.find("dataset", dataset), registry.find("model", model)
    data = source.load()(source.component.params())
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    train, test = data.take(order[:800]), data.take(order[800:900])
    settings = TrainingSettings(epochs=8, batch_size=64)
    architecture = build.load()
    training = plain_training(
        lambda: architecture(build.component.params(), data.schema), settings, stackable=model == "mlp"
    )
    victim = training.fit(training, [train], [train], [Streams(("test", 0))])[0].model.eval()
    empty = torch.zeros(0)
    return Contest(
        model=victim,
        beneath=victim,
        pool=train,
        member=torch.ones(len(train), dtype=torch.bool),
        test=test,
        aux=test,
        bank=Bank(pool=empty, members=empty, population=empty, adaptive=True),
        draws=("test", 0),
    )


def threat(norm):
    return EvasionThreat(norm=norm, epsilon=EPSILONS[norm][-1], curve=EPSILONS[norm][:-1], rows=100)


def played(attack, params, game, norm, access="white-box", seed=0):
    view = evasion.view(game, threat(norm), access)
    with isolated("attack", seed):
        answer = attack(view, params)
    return evasion.judge(game, answer, threat(norm)), answer


@cache
def played_once(name, norm, dataset, model):
    """Play an attack as ``played`` does; tests that need only what came of it share it."""
    attack, params, component = ATTACKS[name]
    return played(attack, params, contest(dataset, model), norm, component.access)


@pytest.mark.parametrize(("dataset", "model"), [("digits", "cnn"), ("adult", "mlp")])
@pytest.mark.parametrize(("name", "norm"), CASES)
def test_it_keeps_the_rules_and_is_at_least_as_strong_as_noise(name, norm, dataset, model):
    game = contest(dataset, model)
    result, _ = played_once(name, norm, dataset, model)
    noise, _ = played(random_noise.attack, NoParams(), game, norm, "none")
    robust, floor = result.robust.float().mean(1), noise.robust.float().mean(1)
    assert (robust <= floor).all()
    assert robust[-1] < floor[-1] - 0.05
    # More budget never helps the defender, and what was wrong stays wrong.
    assert (robust.diff() <= 0).all()
    assert not (result.robust & ~result.clean).any()


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_no_budget_gives_the_clean_accuracy(name, norm):
    attack, params, _ = ATTACKS[name]
    game = contest("adult", "mlp")
    rows = game.test
    view = EvasionView(
        model=WhiteBox(game.model), x=rows.x, y=rows.y, norm=norm, epsilons=(0.0,), data_schema=rows.schema
    )
    with isolated("nothing"):
        changed = attack(view, params).x[0]
    assert torch.equal(changed, rows.x)


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_the_same_seed_gives_the_same_bits_and_leaves_everything_alone(name, norm):
    attack, params, component = ATTACKS[name]
    game = contest("digits", "cnn")
    _, first = played_once(name, norm, "digits", "cnn")
    weights = copy.deepcopy(game.model.state_dict())
    rows = game.test.x.clone()
    state = torch.get_rng_state()
    _, second = played(attack, params, game, norm, component.access)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.x, second.x)
    assert first.warnings == second.warnings
    assert not first.x.requires_grad
    assert torch.equal(game.test.x, rows)
    assert all(torch.equal(value, weights[key]) for key, value in game.model.state_dict().items())
    assert all(parameter.grad is None for parameter in game.model.parameters())


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_the_draws_do_not_depend_on_the_victim(name, norm):
    attack, params, _ = ATTACKS[name]
    rows = contest("digits", "cnn").test
    after = []
    for bias in (-100.0, 0.0, 100.0):
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).requires_grad_(False)
        with isolated("weights"):
            model[1].weight.copy_(torch.randn(10, 64))
        model[1].bias[0] = bias
        view = EvasionView(
            model=WhiteBox(model), x=rows.x, y=0 * rows.y, norm=norm, epsilons=(0.1, 0.2), data_schema=rows.schema
        )
        with isolated("same"):
            attack(view, params)
            after.append(torch.rand(3))
    assert torch.equal(after[0], after[1])
    assert torch.equal(after[0], after[2])


def test_the_sequence_is_at_least_as_strong_as_its_members():
    game = contest("digits", "cnn")
    left = {}
    for name in ("apgd", "square", "autoattack"):
        attack, params, _ = ATTACKS[name]
        result, _ = played(attack, params, game, "linf")
        left[name] = float(result.robust[-1].float().mean())
    assert left["autoattack"] <= min(left.values()) + 0.01


def test_adaptive_descent_leaves_no_more_than_one_step_does():
    game = contest("digits", "cnn")
    one, _ = played(*ATTACKS["fgsm"][:2], game, "linf")
    adaptive, _ = played(apgd.attack, ApgdParams(steps=20), game, "linf")
    assert adaptive.robust[-1].float().mean() < one.robust[-1].float().mean()


def test_every_target_of_the_catalogue_is_there_and_says_what_data_it_cannot_change():
    text = "every feature of this data set is immutable: no input can be changed"
    schema = contest("adult", "mlp").test.schema
    fixed = schema.model_copy(
        update={"feasible": schema.feasible.model_copy(update={"immutable": tuple(range(schema.width))})}
    )
    for component in COMPONENTS:
        for target in (component.target, component.checks):
            module, name = target.split(":")
            assert callable(getattr(__import__(module, fromlist=[name]), name))
        assert component.applicable(component.params(), fixed) == [text]
        assert component.applicable(component.params(), schema) == []
