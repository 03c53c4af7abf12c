"""Adversarial debiasing: the signs of its gradients, what the adversary sees, and its effect on a planted disparity."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, log_softmax

from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_core.settings import TrainingSettings
from amulet_core.training.parts import weighted_cross_entropy
from amulet_core.training.values import Batch, Bundle, Streams, TrainingContext
from amulet_plugins_builtin.catalogue.fairness import AdversarialDebiasingParams
from amulet_plugins_builtin.fairness.adversarial_debiasing import debiased, train
from amulet_plugins_builtin.fairness.checks import planted, planted_training


def bundle(groups=3):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    return Bundle(
        {"model": model, "adversary": nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, groups))}
    ).double()


def batch(n=20, groups=3):
    draw = torch.Generator().manual_seed(1)
    x, w = torch.randn(n, 4, generator=draw).double(), torch.rand(n, generator=draw).double()
    z = torch.randint(groups, (n, 2), generator=draw)
    return Batch(x, torch.randint(2, (n,), generator=draw), z, w, {})


def shifted(objective, by=0.5):
    """Stand for adversarial training: the inner objective sees other inputs."""
    return lambda call, frozen, rows: objective(call, frozen, rows._replace(x=rows.x + by))


def gradients(net, loss):
    values = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
    return dict(zip([name for name, _ in net.named_parameters()], values, strict=True))


@pytest.fixture(autouse=True)
def _generator_as_before():
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


WRAPPED = {
    "alone": (lambda objective: debiased(objective, strength=1.7, column=1, adversary="adversary"), 0.0),
    "inside adversarial training": (
        lambda objective: shifted(debiased(objective, strength=1.7, column=1, adversary="adversary")),
        0.5,
    ),
    "around adversarial training": (
        lambda objective: debiased(shifted(objective), strength=1.7, column=1, adversary="adversary"),
        0.5,
    ),
}


@pytest.mark.parametrize("order", WRAPPED)
def test_model_and_adversary_get_their_gradients_on_the_same_inputs(order):
    wrap, by = WRAPPED[order]
    net, rows = bundle(), batch()
    found = gradients(net, wrap(weighted_cross_entropy)(net, net, rows).mean())
    logits = net(rows.x + by)
    task = gradients_of(net, "model", (rows.w * cross_entropy(logits, rows.y, reduction="none")).mean())
    scores = net(log_softmax(logits, -1), part="adversary")
    against = (rows.w * cross_entropy(scores, rows.z[:, 1], reduction="none")).mean()
    turned, own = gradients_of(net, "model", against), gradients_of(net, "adversary", against)
    for name, value in found.items():
        expected = own[name] if "adversary" in name else task[name] - 1.7 * turned[name]
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-12)


def gradients_of(net, part, loss):
    named = {name: value for name, value in net.named_parameters() if f".{part}." in name}
    return dict(zip(named, torch.autograd.grad(loss, list(named.values()), retain_graph=True), strict=True))


@pytest.mark.parametrize("order", WRAPPED)
def test_each_network_is_called_once(order):
    net, parts = bundle(), []

    def counting(x, part="model"):
        parts.append(part)
        return net(x, part)

    WRAPPED[order][0](weighted_cross_entropy)(counting, net, batch())
    assert sorted(parts) == ["adversary", "model"]


@pytest.mark.parametrize("join", [lambda pair: torch.stack(pair, 1), torch.cat], ids=["an axis", "one by one"])
def test_several_inputs_of_a_row_share_its_loss(join):
    net, rows = bundle(), batch()

    def two_inputs(call, frozen, rows):
        return 0 * call(join([rows.x, rows.x + 1])).sum() + 0 * rows.w

    found = debiased(two_inputs, strength=1.0, column=0, adversary="adversary")(net, net, rows)
    each = [
        cross_entropy(net(log_softmax(net(x), -1), part="adversary"), rows.z[:, 0], reduction="none")
        for x in (rows.x, rows.x + 1)
    ]
    torch.testing.assert_close(found, rows.w * (each[0] + each[1]) / 2)


def test_a_stack_of_models_gets_the_losses_of_each_model_alone():
    rows = batch()
    nets = [bundle(), bundle()]
    with torch.no_grad():
        for value in nets[1].parameters():
            value.mul_(1.3)
    objective = WRAPPED["around adversarial training"][0](weighted_cross_entropy)
    stacked = {
        name: torch.stack([dict(net.named_parameters())[name] for net in nets])
        for name, _ in nets[0].named_parameters()
    }

    def losses(params):
        def call(x, part="model"):
            return functional_call(nets[0], params, (x, part))

        return objective(call, call, rows)

    found = torch.func.vmap(losses)(stacked)
    for index, net in enumerate(nets):
        torch.testing.assert_close(found[index], objective(net, net, rows), rtol=0, atol=1e-12)


@pytest.mark.parametrize("models", [1, 2])
def test_strength_0_leaves_the_model_bit_for_bit_the_undefended_one(models):
    data = [planted(300, seed) for seed in range(models)]
    streams = [Streams(("test", seed)) for seed in range(models)]
    plain, none = (planted_training(strength=strength) for strength in (None, 0.0))
    for one, other in zip(*(t.fit(t, data, data, streams) for t in (plain, none)), strict=True):
        weights = other.model.state_dict()
        assert all(torch.equal(value, weights[name]) for name, value in one.model.state_dict().items())


def test_the_adversary_is_thrown_away_and_the_given_training_stays_as_it_was():
    plain, data = planted_training(strength=None), planted(200, 0)
    debiasing = planted_training(strength=1.0)
    assert list(plain.parts) == ["model"]
    assert list(debiasing.parts) == ["model", "adversary"]
    one, other = (t.fit(t, [data], [data], [Streams(("test",))])[0].model for t in (plain, debiasing))
    assert list(one.state_dict()) == list(other.state_dict())
    assert not torch.equal(one[0].weight, other[0].weight)


SCHEMA = DataSchema(
    modality="tabular",
    shape=(2,),
    classes=("a", "b", "c"),
    sensitive=(Sensitive(name="sex", categories=("f", "m")), Sensitive(name="race", categories=("p", "q", "r"))),
    feasible=Feasible(low=-6.0, high=6.0),
)


def context():
    return TrainingContext(rows=200, schema=SCHEMA, settings=TrainingSettings())


def two_attributes(n=200):
    data = planted(n, 3)
    return replace(data, z=torch.stack([data.z[:, 0], torch.arange(n) % 3], 1), schema=SCHEMA)


def three_classes():
    plain = planted_training(strength=None)
    return replace(plain, parts={"model": lambda: nn.Linear(2, 3)})


def test_two_attributes_get_an_adversary_each():
    once = train(three_classes(), AdversarialDebiasingParams(attribute="sex", hidden=4), context())
    twice = train(once, AdversarialDebiasingParams(attribute="race", hidden=4), context())
    sizes = {name: [tuple(p.shape) for p in build().parameters()] for name, build in twice.parts.items()}
    assert sizes["adversary"] == [(4, 3), (4,), (2, 4), (2,)]
    assert sizes["adversary2"] == [(4, 3), (4,), (3, 4), (3,)]
    data = two_attributes()
    twice.fit(twice, [data], [data], [Streams(("test",))])


def test_a_group_without_training_rows_is_refused_before_training():
    data = two_attributes()
    training = train(three_classes(), AdversarialDebiasingParams(attribute="race"), context())
    only_p = data.take(data.z[:, 1] == 0)
    with pytest.raises(ValueError, match="no training row") as error:
        training.fit(training, [data, only_p], [data, data], [Streams(("a",)), Streams(("b",))])
    assert str(error.value) == (
        "adversarial-debiasing: no training row has race q or r (of 67 rows); train on more rows, or merge the groups "
        "of the data set"
    )


def test_data_without_the_attribute_are_refused():
    with pytest.raises(ValueError, match="attribute") as error:
        train(three_classes(), AdversarialDebiasingParams(attribute="age"), context())
    assert str(error.value) == 'the data set has no sensitive attribute "age"; it has sex, race'
