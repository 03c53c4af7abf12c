"""TRADES: the objective by hand, one call of the network, private gradients, stacking."""

import pytest
import torch
from torch import nn
from torch.func import stack_module_state
from torch.nn.functional import cross_entropy, kl_div

from amulet_core.data import make_data
from amulet_core.feasible import distance, project
from amulet_core.schema import DataSchema, Feasible
from amulet_core.settings import TrainingSettings
from amulet_core.training.losses import as_function
from amulet_core.training.parts import plain_training, weighted_cross_entropy
from amulet_core.training.values import Batch, Bundle, Draw, Problem, Streams, TrainingContext
from amulet_plugins_builtin.catalogue.evasion import AdversarialTrainingParams
from amulet_plugins_builtin.catalogue.robust_training import TradesParams as Params
from amulet_plugins_builtin.evasion.adversarial_training import adversarial, worst_neighbour
from amulet_plugins_builtin.evasion.ascent import uniform_in_ball
from amulet_plugins_builtin.evasion.trades import divergence, most_divergent, regularised, train
from amulet_plugins_builtin.membership.label_smoothing import smoothed
from amulet_plugins_builtin.privacy.checks import clipped_row_by_row
from amulet_plugins_builtin.privacy.clipping import ClippedNoisyGradient

MIXED = DataSchema(
    modality="tabular",
    shape=(5,),
    classes=("a", "b", "c"),
    feasible=Feasible(low=(0.0,) * 5, high=(1.0, 2.0, 20.0, 1.0, 1.0), immutable=(0,), integer=(2,), one_hot=((3, 4),)),
)


def network():
    return nn.Sequential(nn.Linear(5, 12), nn.Tanh(), nn.Linear(12, 3))


def rows(n):
    x = torch.rand(n, 5) * torch.tensor(MIXED.feasible.high)
    x[:, 2] = x[:, 2].round()
    x[:, 3:] = torch.eye(2)[torch.randint(2, (n,))]
    return make_data(x, torch.randint(3, (n,)), MIXED)


def batch_of(data):
    return Batch(data.x, data.y, data.z, torch.rand(len(data)) + 0.5, {"start": torch.rand(data.x.shape) * 2 - 1})


def functions(bundle):
    state = dict(bundle.named_parameters())
    return as_function(bundle, state), as_function(bundle, {name: value.detach() for name, value in state.items()})


def by_hand(model, x, start, params):
    """Algorithm 1 of the paper for a single row, with plain autograd."""
    high, free = torch.tensor(MIXED.feasible.high), torch.tensor([0.0, 1, 1, 0, 0])
    here = model(x).detach().log_softmax(1)
    at = project(start, x, MIXED, norm=params.norm, epsilon=params.epsilon, integers=False)
    for _ in range(params.steps):
        at = at.clone().requires_grad_()
        apart = kl_div(model(at).log_softmax(1), here, reduction="sum", log_target=True)
        scaled = torch.autograd.grad(apart, at)[0] * high * free
        unit = scaled.sign() if params.norm == "linf" else scaled / scaled.norm()
        at = at.detach() + 2.5 / params.steps * params.epsilon * high * free * unit
        at = project(at, x, MIXED, norm=params.norm, epsilon=params.epsilon, integers=False)
    return project(at, x, MIXED, norm=params.norm, epsilon=params.epsilon)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_objective_is_the_loss_and_the_weighted_divergence_at_neighbours_found_row_by_row(norm):
    params, bundle, data = Params(norm=norm, epsilon=0.15, steps=4, beta=3.0), Bundle({"model": network()}), rows(10)
    batch, model = batch_of(data), bundle.parts["model"]
    start = uniform_in_ball(batch.draws["start"], data.x, MIXED, norm=norm, epsilon=0.15)
    neighbours = torch.cat([by_hand(model, data.x[i : i + 1], start[i : i + 1], params) for i in range(10)])
    torch.testing.assert_close(
        most_divergent(params, MIXED)(functions(bundle)[1], batch), neighbours, atol=1e-4, rtol=1e-4
    )
    p, q = model(data.x).softmax(1), model(neighbours).softmax(1)
    expected = batch.w * (-p[range(10), data.y].log() + 3.0 * (p * (p / q).log()).sum(1))
    found = regularised(weighted_cross_entropy, params, MIXED)(*functions(bundle), batch)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert (neighbours != data.x).any(1).all()


def test_neighbours_are_possible_and_carry_no_gradient():
    data, bundle = rows(40), Bundle({"model": network()})
    found = most_divergent(Params(epsilon=0.1), MIXED)(functions(bundle)[0], batch_of(data))
    assert not found.requires_grad
    assert (distance(found, data.x, MIXED, norm="linf") <= 0.1 + 1e-5).all()
    assert torch.equal(found[:, [0, 3, 4]], data.x[:, [0, 3, 4]])
    make_data(found, data.y, MIXED)


def test_both_sides_of_the_divergence_are_learnt_from():
    data, bundle = rows(16), Bundle({"model": network()})
    batch, (call, frozen) = batch_of(data), functions(bundle)
    loss = regularised(weighted_cross_entropy, Params(), MIXED)(call, frozen, batch).sum()
    x = most_divergent(Params(), MIXED)(frozen, batch)
    expected = weighted_cross_entropy(call, frozen, batch) + 6 * batch.w * divergence(call(batch.x), call(x))
    for own, other in zip(
        torch.autograd.grad(loss, list(bundle.parameters())),
        torch.autograd.grad(expected.sum(), list(bundle.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-4)


def test_the_network_is_called_once_and_the_penalty_stays_at_the_rows_whatever_the_objective_reads():
    data, bundle, calls = rows(8), Bundle({"model": network()}), []
    batch, (call, frozen) = batch_of(data), functions(bundle)

    def counted(x, part="model"):
        calls.append(len(x))
        return call(x, part)

    robust = AdversarialTrainingParams(epsilon=0.1)
    found = regularised(adversarial(weighted_cross_entropy, robust, MIXED), Params(), MIXED)(counted, frozen, batch)
    assert calls == [24]  # the rows of adversarial training, the neighbours of TRADES, and the rows themselves
    x = most_divergent(Params(), MIXED)(frozen, batch)
    worst = batch._replace(x=worst_neighbour(robust, MIXED)(frozen, batch))
    expected = weighted_cross_entropy(call, frozen, worst) + 6 * batch.w * divergence(call(batch.x), call(x))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    calls.clear()
    regularised(weighted_cross_entropy, Params(), MIXED)(counted, frozen, batch)
    assert calls == [16]


def test_an_objective_that_never_asks_the_model_is_refused():
    bundle = Bundle({"model": network(), "other": network()})
    with pytest.raises(ValueError) as error:
        regularised(lambda call, frozen, batch: call(batch.x, "other").sum(1), Params(), MIXED)(
            *functions(bundle), batch_of(rows(4))
        )
    assert str(error.value) == "trades: the objective that it adds its penalty to does not call the model"


def private(build, x, y, schema, wrap=lambda objective: objective):
    """Return a problem of TRADES, in what wraps it, and a batch, for a private gradient."""
    bundle = Bundle({"model": build()})
    params, fixed = stack_module_state([bundle])
    problem = Problem(
        skeleton=bundle.to("meta"),
        params={name: value.detach().requires_grad_() for name, value in params.items()},
        fixed=fixed,
        objective=wrap(regularised(weighted_cross_entropy, Params(epsilon=0.1, steps=2), schema)),
        noise=[torch.Generator().manual_seed(0)],
    )
    start = torch.rand(x.shape) * 2 - 1
    return problem, Batch(x[None], y[None], torch.zeros(1, len(y), 0), torch.ones(1, len(y)), {"start": start[None]})


WRAPS = {
    "alone": lambda objective: objective,
    "in label smoothing": lambda objective: smoothed(objective, smoothing=0.3),
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_private_gradients_are_clipped_row_by_row_neighbours_included(wrap):
    data = rows(10)
    problem, batch = private(network, data.x, data.y, MIXED, wrap)
    found = ClippedNoisyGradient(0.0, 0.5, 10.0).start(problem)(batch)
    expected = clipped_row_by_row(problem, batch, max_grad_norm=0.5, expected=10)
    loose = clipped_row_by_row(problem, batch, max_grad_norm=1e9, expected=10)
    assert any((loose[name] - expected[name]).abs().max() > 1e-3 for name in expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6)


def test_convolutions_are_refused_beside_private_gradients():
    schema = DataSchema(modality="image", shape=(1, 4, 4), classes=("a", "b"), feasible=Feasible(low=0.0, high=1.0))

    def build():
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))

    problem, batch = private(build, torch.rand(6, 1, 4, 4), torch.arange(6) % 2, schema)
    with pytest.raises(ValueError) as error:
        ClippedNoisyGradient(0.0, 0.5, 6.0).start(problem)(batch)
    assert str(error.value) == (
        "dp-sgd: the gradient of each row is clipped, and a convolution cannot read several inputs of a row at once: "
        "choose the model mlp or logistic, or a defense that asks about one input of each row"
    )


def test_inputs_that_are_no_multiple_of_the_rows_are_refused_beside_private_gradients():
    data = rows(6)
    problem, batch = private(
        network, data.x, data.y, MIXED, lambda _: lambda call, frozen, batch: call(batch.x[:4])[:, 0]
    )
    with pytest.raises(ValueError) as error:
        ClippedNoisyGradient(0.0, 0.5, 6.0).start(problem)(batch)
    assert str(error.value) == "dp-sgd: the objective asks about 4 inputs of 6 rows, expected as many of each row"


def test_losses_that_are_not_one_a_row_are_refused_beside_private_gradients():
    data = rows(6)
    wrap = lambda inner: lambda call, frozen, batch: inner(call, frozen, batch).mean()  # noqa: E731
    problem, batch = private(network, data.x, data.y, MIXED, wrap)
    with pytest.raises(ValueError) as error:
        ClippedNoisyGradient(0.0, 0.5, 6.0).start(problem)(batch)
    assert str(error.value) == "the objective returned losses [], expected one for each of 6 rows"


def test_a_stack_of_models_equals_each_alone_and_the_training_given_stays_what_it_was():
    plain = plain_training(network, TrainingSettings(epochs=2, batch_size=16), stackable=True)
    sets, val = [rows(40) for _ in range(2)], rows(10)
    context = TrainingContext(rows=40, schema=MIXED, settings=plain.settings)
    defended = train(plain, Params(epsilon=0.1, steps=2), context)
    assert (plain.draws, defended.draws) == ((), (Draw("start", "uniform"),))
    assert train(defended, Params(), context).draws == defended.draws
    assert plain.objective is weighted_cross_entropy
    streams = [Streams(("stack", index)) for index in range(2)]
    together = defended.fit(defended, sets, [val] * 2, streams)
    for data, own, stacked in zip(sets, streams, together, strict=True):
        (alone,) = defended.fit(defended, [data], [val], [own])
        for name, value in alone.model.state_dict().items():
            torch.testing.assert_close(stacked.model.state_dict()[name], value, atol=2e-5, rtol=1e-4)


def test_a_divergence_is_that_of_kullback_and_leibler():
    p, q = torch.randn(20, 4), torch.randn(20, 4)
    expected = cross_entropy(q, p.softmax(1), reduction="none") - cross_entropy(p, p.softmax(1), reduction="none")
    torch.testing.assert_close(divergence(p, q), expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(divergence(p, p), torch.zeros(20))
