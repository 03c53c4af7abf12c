"""Interval bounds: exact where they must be, sound everywhere, and what training makes of them."""

from functools import partial
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import cross_entropy

import amulet_core as amulet
from amulet_core.configuration.reading import resolve
from amulet_core.data import bounds, make_data
from amulet_core.errors import RequestError
from amulet_core.games.evasion import CertificateQuestion
from amulet_core.schema import DataSchema, Feasible
from amulet_core.settings import TrainingSettings
from amulet_core.streams import isolated
from amulet_core.training.losses import as_function
from amulet_core.training.parts import plain_training, weighted_cross_entropy
from amulet_core.training.values import Batch, Bundle, Streams, TrainingContext
from amulet_plugins_builtin.catalogue.robust_training import IbpParams as Params
from amulet_plugins_builtin.evasion import ibp
from amulet_plugins_builtin.evasion.intervals import Interval, UnboundedError, margins, passed

SCHEMA = DataSchema(
    modality="tabular",
    shape=(4,),
    classes=("a", "b", "c"),
    feasible=Feasible(low=(0.0,) * 4, high=(1.0, 2.0, 5.0, 1.0), immutable=(3,), integer=(2,)),
)
IMAGES = DataSchema(modality="image", shape=(1, 8, 8), classes=("a", "b", "c"), feasible=Feasible(low=0.0, high=1.0))
TABLE = IMAGES.model_copy(update={"modality": "tabular", "shape": (9,)})
LARGER = IMAGES.model_copy(update={"shape": (1, 28, 21)})


def network(hidden=10):
    return nn.Sequential(nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, 3))


def rows(n, schema=SCHEMA):
    low, high = bounds(schema)
    return make_data(low + torch.rand(n, *schema.shape) * (high - low), torch.randint(3, (n,)), schema)


def within(interval, samples):
    """Return points of an interval of one row: some of its surface, some inside."""
    moves = torch.randn(samples, *interval.centre.shape[1:]).double()
    if interval.norm == "linf":
        moves = torch.where(torch.rand(samples).reshape(-1, *(1,) * (moves.ndim - 1)) < 0.5, moves.sign(), moves.tanh())
    else:
        moves = moves / moves.flatten(1).norm(dim=1).reshape(-1, *(1,) * (moves.ndim - 1))
    return interval.centre + interval.radius * moves


def test_one_affine_layer_has_exact_margins_in_linf():
    model = nn.Linear(4, 3).double()
    centre, radius = torch.randn(1, 4).double(), torch.rand(1, 4).double()
    corners = centre + radius * torch.tensor(list(product((-1.0, 1.0), repeat=4))).double()
    out = model(corners)
    expected = (out[:, :, None] - out[:, None]).amin(0)
    torch.testing.assert_close(margins(model, Interval(centre, radius))[0], expected)


def test_one_affine_layer_has_exact_margins_in_l2():
    model = nn.Linear(4, 3).double()
    centre, radius = torch.randn(1, 4).double(), torch.rand(1, 4).double()
    w, at = model.weight.detach(), model(centre)[0].detach()
    found = margins(model, Interval(centre, radius, "l2"))[0].detach()
    for i, j in product(range(3), repeat=2):
        expected = at[i] - at[j] - ((w[i] - w[j]) * radius[0]).norm()
        assert float(found[i, j]) == pytest.approx(float(expected), abs=1e-9)


def test_the_radius_after_affine_layers_is_the_product_of_their_absolute_weights():
    layers = [nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 3)]
    model = nn.Sequential(*layers).double()
    centre, radius = torch.randn(1, 4).double(), torch.rand(1, 4).double()
    expected = radius[0]
    for layer in layers:
        expected = layer.weight.abs() @ expected
    found = passed(model, Interval(centre, radius))
    torch.testing.assert_close(found.radius[0], expected)
    exact = (layers[2].weight @ layers[1].weight @ layers[0].weight).abs() @ radius[0]
    assert (found.radius[0] >= exact).all()


def test_a_ball_becomes_a_box_after_the_first_layer():
    """Two copies of one feature move together: their sum moves twice as far as the ball's radius, not by its root."""
    copies, total = nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        copies.weight.copy_(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        total.weight.fill_(1.0)
        found = passed(nn.Sequential(copies, total), Interval(torch.zeros(1, 2), torch.ones(1, 2), "l2"))
    assert float(found.radius) == pytest.approx(2.0)


def built(name, schema):
    entry = amulet.discover().find("model", name)
    return entry.load()(entry.component.params(), schema).double().eval()


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    ("name", "schema"), [("mlp", TABLE), ("mlp", IMAGES), ("cnn", IMAGES), ("cnn", LARGER), ("logistic", TABLE)]
)
def test_no_sampled_output_leaves_its_interval(name, schema, norm):
    model = built(name, schema)
    x = rows(1, schema).x.double()
    interval = Interval(x, torch.rand(1, *schema.shape).double() * 0.2, norm)
    with torch.no_grad():
        points = within(interval, 300)
        out, found, least = model(points), passed(model, interval), margins(model, interval)
    assert (out >= found.low - 1e-9).all()
    assert (out <= found.high + 1e-9).all()
    assert (out[:, :, None] - out[:, None] >= least - 1e-9).all()
    apart = found.low[:, :, None] - found.high[:, None, :]
    assert (least >= apart - 1e-9).all(), "folding the last layer can only tighten"


def test_every_architecture_that_claims_interval_bounds_has_them_and_no_other():
    claims, found = {}, {}
    for entry in amulet.discover().list("model"):
        if entry.component.trains_itself:
            continue
        claims[entry.component.name] = "interval-bounds" in entry.component.produces
        model = built(entry.component.name, IMAGES)
        x = rows(2, IMAGES).x.double()
        try:
            found[entry.component.name] = bool(torch.isfinite(margins(model, Interval(x, 0 * x))).all())
        except UnboundedError:
            found[entry.component.name] = False
    assert found == claims
    assert set(claims.values()) == {True, False}


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.GELU()), "intervals cannot pass through gelu"),
        (nn.Bilinear(4, 4, 3), "intervals cannot pass through bilinear"),
    ],
)
def test_a_function_that_intervals_do_not_know_is_named(model, text):
    interval = Interval(torch.zeros(1, 4), torch.ones(1, 4))
    with pytest.raises(UnboundedError) as error:
        model(interval, interval) if isinstance(model, nn.Bilinear) else passed(model, interval)
    assert str(error.value) == text


def test_a_model_that_ignores_the_interval_is_refused():
    class Constant(nn.Module):
        def forward(self, x):
            return torch.zeros(1, 3)

    with pytest.raises(UnboundedError) as error:
        passed(Constant(), Interval(torch.zeros(1, 4), torch.ones(1, 4)))
    assert str(error.value) == "the model made Tensor of an interval"


def test_a_box_keeps_to_bounds_and_leaves_immutable_features():
    x = torch.tensor([[0.0, 1.0, 4.9, 0.5]])
    centre, radius = ibp.reachable(x, SCHEMA, norm="linf", epsilon=0.1)
    torch.testing.assert_close(centre - radius, torch.tensor([[0.0, 0.8, 4.4, 0.5]]))
    torch.testing.assert_close(centre + radius, torch.tensor([[0.1, 1.2, 5.0, 0.5]]))
    half = ibp.reachable(x, SCHEMA, norm="l2", epsilon=0.1, share=0.5)
    torch.testing.assert_close(half[0], x)
    torch.testing.assert_close(half[1], torch.tensor([[0.05, 0.1, 0.25, 0.0]]))


def functions(bundle):
    return (as_function(bundle, dict(bundle.named_parameters())),) * 2


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    ("progress", "share"), [(0.0, 0.0), (0.2, 0.0), (0.3, 0.25), (0.4, 0.5), (0.6, 1.0), (1.0, 1.0)]
)
def test_budget_and_weight_of_the_bounds_grow_along_the_training(norm, progress, share):
    params = Params(norm=norm, epsilon=0.2, kappa=0.4, warmup=0.2, ramp=0.4)
    bundle = Bundle({"model": network()}, {ibp.VIEW: partial(ibp.margins_around, norm=norm)})
    data, w = rows(12), torch.rand(12) + 0.5
    batch = Batch(data.x, data.y, data.z, w, {}, progress)
    found = ibp.bounded(weighted_cross_entropy, params, SCHEMA)(*functions(bundle), batch)
    model = bundle.parts["model"]
    around = ibp.reachable(data.x, SCHEMA, norm=norm, epsilon=0.2, share=share)
    least = margins(model, Interval(*around, norm))
    worst = torch.stack([-least[i, data.y[i]] for i in range(12)])
    kappa = 1 - share * 0.6
    expected = w * (
        kappa * cross_entropy(model(data.x), data.y, reduction="none")
        + (1 - kappa) * cross_entropy(worst, data.y, reduction="none")
    )
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def training(objective=weighted_cross_entropy, epochs=4, **more):
    plain = plain_training(network, TrainingSettings(epochs=epochs, batch_size=16, **more), stackable=True)
    return plain.__class__(**{**plain.__dict__, "objective": objective})


def context():
    return TrainingContext(rows=40, schema=SCHEMA, settings=TrainingSettings())


def test_progress_grows_evenly_over_all_steps_from_nothing():
    seen = []

    def noted(call, frozen, batch):
        seen.append(batch.progress)
        return weighted_cross_entropy(call, frozen, batch)

    own, data = training(noted), [rows(40), rows(40)]
    own.fit(own, data, data, [Streams(("a",)), Streams(("b",))])
    assert seen == pytest.approx([step / 12 for step in range(12)])


def test_a_stack_of_models_equals_each_alone():
    defended = ibp.train(training(), Params(epsilon=0.1), context())
    sets, val, streams = [rows(40), rows(40)], rows(10), [Streams(("s", i)) for i in range(2)]
    together = defended.fit(defended, sets, [val] * 2, streams)
    for data, own, stacked in zip(sets, streams, together, strict=True):
        (alone,) = defended.fit(defended, [data], [val], [own])
        assert type(alone.model) is nn.Sequential
        for name, value in alone.model.state_dict().items():
            torch.testing.assert_close(stacked.model.state_dict()[name], value, atol=2e-5, rtol=1e-4)


def test_early_stopping_is_refused():
    with pytest.raises(ValueError) as error:
        ibp.train(training(patience=2), Params(), context())
    assert str(error.value) == (
        "ibp: early stopping would keep the weights of before the budget has grown, whose plain loss is least: set "
        "training.patience to 0"
    )


@pytest.mark.parametrize(
    ("chain", "model", "text"),
    [
        (
            ["ibp"],
            "resnet",
            "defenses.0 (ibp): builtin/ibp needs interval-bounds, which neither builtin/resnet nor a defense "
            "before it in the chain makes (made so far: features)",
        ),
        (
            ["dp-sgd", "ibp"],
            "mlp",
            "defenses.0 (dp-sgd + ibp): builtin/dp-sgd clips the gradient of each row, which builtin/ibp does not allow: "
            "leave one of them out",
        ),
        (
            ["early-stopping", "ibp"],
            "mlp",
            "defenses.0 (early-stopping + ibp): builtin/ibp: early stopping would keep the weights of before the budget has "
            "grown, whose plain loss is least: leave early-stopping out",
        ),
        (
            ["dp-sgd", "trades"],
            "cnn",
            "defenses.0 (dp-sgd + trades): builtin/dp-sgd clips the gradient of each row, and builtin/cnn cannot read the "
            "several inputs of a row that builtin/trades gives at once: choose a model without convolutions, or leave one "
            "of them out",
        ),
    ],
)
def test_chains_that_cannot_be_trained_are_refused_before_anything_is_trained(chain, model, text):
    config = {"dataset": "digits", "model": model, "defenses": [chain], "risks": ["evasion"]}
    with pytest.raises(RequestError) as error:
        resolve(config, amulet.discover())
    assert error.value.problems == (text,)


def test_the_budget_must_be_reached_before_training_ends():
    Params(warmup=0.1, ramp=0.9)
    with pytest.raises(ValidationError) as error:
        Params(warmup=0.5, ramp=0.6)
    assert error.value.errors()[0]["msg"] == (
        "Value error, warmup 0.5 and ramp 0.6 are shares of the same steps, but sum to more than 1: the budget would "
        "never be reached"
    )


@given(seed=st.integers(0, 10_000), epsilon=st.floats(0.01, 0.4), norm=st.sampled_from(["linf", "l2"]))
@settings(max_examples=40, deadline=None, database=None)
def test_no_point_of_the_ball_changes_a_certified_prediction(seed, epsilon, norm):
    schema = SCHEMA.model_copy(update={"shape": (2,), "feasible": Feasible(low=(0.0, -1.0), high=(1.0, 3.0))})
    with isolated("ibp", seed):
        model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3)).requires_grad_(False)
        x = rows(8, schema).x
    y = model(x).argmax(1)
    question = CertificateQuestion(model=model, x=x, y=y, norm=norm, epsilons=(epsilon,), data_schema=schema)
    (proved,) = ibp.certify(question, Params())
    grid = torch.cartesian_prod(*[torch.linspace(-1, 1, 41)] * 2)
    moves = grid if norm == "linf" else grid[grid.norm(dim=1) <= 1]
    points = x[:, None] + epsilon * moves.double() * torch.tensor([1.0, 4.0])
    low, high = bounds(schema)
    points = torch.maximum(torch.minimum(points, high), low) if norm == "linf" else points
    safe = (model(points.flatten(0, 1)).argmax(1).unflatten(0, (8, -1)) == y[:, None]).all(1)
    assert not (proved & ~safe).any()


def test_a_wrong_prediction_is_never_certified():
    model, data = network(), rows(30)
    y = (model(data.x).argmax(1) + 1) % 3
    question = CertificateQuestion(model=model, x=data.x, y=y, norm="linf", epsilons=(1e-9, 0.1), data_schema=SCHEMA)
    assert not ibp.certify(question, Params()).any()
