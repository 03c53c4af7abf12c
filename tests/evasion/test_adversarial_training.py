"""Adversarial training: the inner maximisation by hand, composition, stacking, and a planted truth."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from amulet_core.data import make_data
from amulet_core.feasible import distance, project
from amulet_core.schema import DataSchema, Feasible
from amulet_core.settings import TrainingSettings
from amulet_core.streams import isolated
from amulet_core.training.losses import as_function
from amulet_core.training.parts import plain_training, weighted_cross_entropy
from amulet_core.training.values import Batch, Bundle, Draw, Streams, TrainingContext
from amulet_plugins_builtin.catalogue.evasion import AdversarialTrainingParams as Params
from amulet_plugins_builtin.catalogue.evasion import PgdParams
from amulet_plugins_builtin.evasion import pgd, planted
from amulet_plugins_builtin.evasion.adversarial_training import adversarial, train, worst_neighbour
from amulet_plugins_builtin.evasion.ascent import uniform_in_ball

MIXED = DataSchema(
    modality="tabular",
    shape=(6,),
    classes=("a", "b", "c"),
    feasible=Feasible(
        low=(0.0,) * 6, high=(1.0, 1.0, 20.0, 5.0, 1.0, 1.0), immutable=(0,), integer=(2,), one_hot=((4, 5),)
    ),
)


def network():
    return nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3))


def rows(n, seed=0):
    with isolated("rows", seed):
        x = torch.rand(n, 6) * torch.tensor(MIXED.feasible.high)
        x[:, 2] = x[:, 2].round()
        x[:, 4:] = torch.eye(2)[torch.randint(2, (n,))]
        return make_data(x, torch.randint(3, (n,)), MIXED)


def batch_of(data, **draws):
    return Batch(data.x, data.y, data.z, torch.rand(len(data)) + 0.5, draws)


def training(epochs=2):
    return plain_training(network, TrainingSettings(epochs=epochs, batch_size=16), stackable=True)


def context(data):
    return TrainingContext(rows=len(data), schema=data.schema, settings=TrainingSettings())


def functions(bundle):
    state = dict(bundle.named_parameters())
    frozen = {name: value.detach() for name, value in state.items()}
    return as_function(bundle, state), as_function(bundle, frozen)


def by_hand(model, x, y, start, params):
    """Madry's inner loop for a single row, with plain autograd on the cross-entropy."""
    high, free = torch.tensor(MIXED.feasible.high), torch.tensor([0.0, 1, 1, 1, 0, 0])
    at = project(start, x, MIXED, norm=params.norm, epsilon=params.epsilon, integers=False)
    for _ in range(params.steps):
        at = at.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(cross_entropy(model(at), y), at)
        scaled = gradient * high * free
        unit = scaled.sign() if params.norm == "linf" else scaled / scaled.norm()
        at = at.detach() + 2.5 / params.steps * params.epsilon * high * free * unit
        at = project(at, x, MIXED, norm=params.norm, epsilon=params.epsilon, integers=False)
    return project(at, x, MIXED, norm=params.norm, epsilon=params.epsilon)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_objective_is_the_loss_at_neighbours_found_row_by_row(norm):
    params = Params(norm=norm, epsilon=0.15, steps=5)
    bundle, data = Bundle({"model": network()}), rows(12)
    batch = batch_of(data, start=torch.rand(12, 6) * 2 - 1)
    start = uniform_in_ball(batch.draws["start"], data.x, MIXED, norm=norm, epsilon=0.15)
    model = bundle.parts["model"]
    neighbours = torch.cat(
        [by_hand(model, data.x[i : i + 1], data.y[i : i + 1], start[i : i + 1], params) for i in range(12)]
    )
    found = worst_neighbour(params, MIXED)(functions(bundle)[1], batch)
    torch.testing.assert_close(found, neighbours, atol=1e-4, rtol=1e-4)
    losses = adversarial(weighted_cross_entropy, params, MIXED)(*functions(bundle), batch)
    by_row = torch.stack(
        [batch.w[i] * cross_entropy(model(neighbours[i : i + 1]), data.y[i : i + 1]) for i in range(12)]
    )
    torch.testing.assert_close(losses, by_row, atol=1e-4, rtol=1e-4)
    assert (losses > weighted_cross_entropy(*functions(bundle), batch)).float().mean() > 0.9


def test_neighbours_are_possible_and_carry_no_gradient():
    params, data = Params(epsilon=0.1), rows(40)
    batch = batch_of(data, start=torch.rand(40, 6) * 2 - 1)
    bundle = Bundle({"model": network()})
    found = worst_neighbour(params, MIXED)(functions(bundle)[0], batch)
    assert not found.requires_grad
    assert (distance(found, data.x, MIXED, norm="linf") <= 0.1 + 1e-5).all()
    assert torch.equal(found[:, [0, 4, 5]], data.x[:, [0, 4, 5]])
    assert torch.equal(found[:, 2], found[:, 2].round())
    make_data(found, data.y, MIXED)


def test_the_parameters_gradient_is_that_at_fixed_neighbours():
    params, data = Params(epsilon=0.1), rows(16)
    bundle = Bundle({"model": network()})
    batch = batch_of(data, start=torch.rand(16, 6) * 2 - 1)
    call, frozen = functions(bundle)
    loss = adversarial(weighted_cross_entropy, params, MIXED)(call, frozen, batch).mean()
    found = torch.autograd.grad(loss, list(bundle.parameters()))
    at = batch._replace(x=worst_neighbour(params, MIXED)(frozen, batch))
    expected = torch.autograd.grad(weighted_cross_entropy(call, frozen, at).mean(), list(bundle.parameters()))
    for own, other in zip(found, expected, strict=True):
        assert torch.equal(own, other)
    assert all(parameter.grad is None for parameter in bundle.parameters())


def test_the_inner_objective_is_asked_once_and_the_network_called_once():
    calls = []

    def inner(call, frozen, batch):
        calls.append(batch)
        return weighted_cross_entropy(call, frozen, batch)

    def counted(x, part="model"):
        calls.append(part)
        return functions(bundle)[0](x, part)

    bundle, data = Bundle({"model": network()}), rows(10)
    batch = batch_of(data, start=torch.rand(10, 6) * 2 - 1)
    adversarial(inner, Params(), MIXED)(counted, functions(bundle)[1], batch)
    assert len(calls) == 2
    assert calls[1] == "model"
    assert calls[0].w is batch.w
    assert calls[0].y is batch.y


def test_gradients_row_by_row_compose_with_it():
    params, data = Params(epsilon=0.1, steps=3), rows(8)
    bundle = Bundle({"model": network()})
    weights = {name: value.detach() for name, value in bundle.named_parameters()}
    objective = adversarial(weighted_cross_entropy, params, MIXED)
    batch = batch_of(data, start=torch.rand(8, 6) * 2 - 1)

    def loss(own, x, y, z, w, start):
        fixed = {name: value.detach() for name, value in own.items()}
        row = Batch(x[None], y[None], z[None], w[None], {"start": start[None]})
        return objective(as_function(bundle, own), as_function(bundle, fixed), row).sum()

    each = vmap(grad(loss), in_dims=(None, 0, 0, 0, 0, 0))(weights, *batch[:4], batch.draws["start"])
    total = grad(
        lambda own: objective(
            *(lambda x, part="model", o=o: functional_call(bundle, o, (x, part)) for o in (own, weights)), batch
        ).sum()
    )(weights)
    for name in weights:
        torch.testing.assert_close(each[name].sum(0), total[name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("mix", [0.5, 1.0])
def test_a_stack_of_models_equals_each_alone(norm, mix):
    sets, val = [rows(50, seed) for seed in range(3)], rows(10, 9)
    defended = train(training(), Params(norm=norm, epsilon=0.1, steps=3, mix=mix), context(val))
    streams = [Streams(("stack", index)) for index in range(3)]
    together = defended.fit(defended, sets, [val] * 3, streams)
    for data, own, stacked in zip(sets, streams, together, strict=True):
        (alone,) = defended.fit(defended, [data], [val], [own])
        for name, value in alone.model.state_dict().items():
            torch.testing.assert_close(stacked.model.state_dict()[name], value, atol=2e-5, rtol=1e-4)


def test_a_mix_of_nothing_is_plain_training_to_the_bit():
    data, plain = rows(60), training()
    defended = train(plain, Params(mix=0), context(data))
    models = [t.fit(t, [data], [data], [Streams(("mix",))])[0].model for t in (plain, defended)]
    for name, value in models[0].state_dict().items():
        assert torch.equal(models[1].state_dict()[name], value)


def test_the_mix_is_a_share_of_the_rows():
    data, seen = rows(2000), []

    def inner(call, frozen, batch):
        seen.append(batch.x)
        return weighted_cross_entropy(call, frozen, batch)

    bundle = Bundle({"model": network()})
    draws = {name: torch.rand(2000, 6) * 2 - 1 for name in ("start", "mix")}
    adversarial(inner, Params(mix=0.3, epsilon=0.1), MIXED)(*functions(bundle), batch_of(data, **draws))
    assert float((seen[0] != data.x).any(1).float().mean()) == pytest.approx(0.3, abs=0.04)


def test_the_training_it_was_given_stays_what_it_was():
    plain = training()
    before = copy.copy(plain.__dict__)
    train(plain, Params(), context(rows(5)))
    assert plain.__dict__ == before


@pytest.mark.parametrize(("mix", "names"), [(1.0, ["noise", "start"]), (0.5, ["noise", "start", "mix"])])
def test_draws_are_asked_for_once_however_many_defenses_use_them(mix, names):
    plain = training()
    plain = plain.__class__(**{**plain.__dict__, "draws": (Draw("noise", "normal"),)})
    once = train(plain, Params(mix=mix), context(rows(5)))
    twice = train(once, Params(mix=mix), context(rows(5)))
    assert [draw.name for draw in once.draws] == names
    assert twice.draws == once.draws


def robust_accuracy(model, test, norm, epsilon):
    view = planted.view_of(model, test.x, test.y, test.schema, norm=norm, epsilons=(epsilon,))
    return float((model(pgd.attack(view, PgdParams()).x[0]).argmax(1) == test.y).float().mean())


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.05), ("l2", 0.14)])
def test_it_relies_on_the_robust_feature(norm, epsilon, seed):
    data = planted.robust_and_fragile_features(rows=400, seed=seed)
    test = planted.robust_and_fragile_features(rows=400, seed=100 + seed)
    plain = planted.linear_training()
    models = [
        planted.fitted(each, data, seed=seed)
        for each in (plain, train(plain, Params(norm=norm, epsilon=epsilon), context(data)))
    ]
    undefended, defended = (robust_accuracy(model, test, norm, epsilon) for model in models)
    assert defended > undefended + 0.2
    fragile = [float(m.weight.diff(dim=0)[0, 1:].abs().sum() / m.weight.diff(dim=0)[0, 0].abs()) for m in models]
    assert fragile[1] < fragile[0] / 2
