"""Residual networks, VGG and logistic regression: their shapes, and that every way of training can use them."""

import copy
from dataclasses import replace
from functools import partial

import pytest
import torch
from opacus import GradSampleModule
from opacus.validators import ModuleValidator
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from amulet_core.components import NoParams
from amulet_core.data import make_data
from amulet_core.discovery.entries import Entry
from amulet_core.modules import Classifier
from amulet_core.schema import DataSchema, Feasible
from amulet_core.settings import TrainingSettings
from amulet_core.training.fit import fit_by_steps
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Streams, TrainingContext
from amulet_plugins_builtin.catalogue.models import CapacityParams
from amulet_plugins_builtin.catalogue.more_models import COMPONENTS
from amulet_plugins_builtin.catalogue.privacy import DpSgdParams
from amulet_plugins_builtin.models import logistic, resnet, vgg
from amulet_plugins_builtin.privacy.dp_sgd import train as privately

BUILDS = {"logistic": logistic.build, "resnet": resnet.build, "vgg": vgg.build}
CAPACITIES = ("m1", "m2", "m3", "m4")
MODELS = [("logistic", (7,)), ("logistic", (2, 3, 4)), ("resnet", (1, 8, 8)), ("vgg", (3, 28, 21))]
DEEP = [(name, capacity) for name in ("resnet", "vgg") for capacity in CAPACITIES]


def schema(*shape: int, classes: int = 3, low: float = -2.0, high: float = 6.0) -> DataSchema:
    return DataSchema(
        modality="tabular" if len(shape) == 1 else "image",
        shape=shape,
        classes=tuple(f"class {k}" for k in range(classes)),
        feasible=Feasible(low=low, high=high),
    )


def inputs(described: DataSchema, n: int = 5, seed: int = 0) -> Tensor:
    return torch.rand(n, *described.shape, generator=torch.Generator().manual_seed(seed)) * 8 - 2


def make(name: str, described: DataSchema, capacity: str = "m1") -> Classifier:
    torch.manual_seed(0)
    params = NoParams() if name == "logistic" else CapacityParams(capacity=capacity)
    return BUILDS[name](params, described)


def entry(name: str) -> Entry:
    (component,) = [one for one in COMPONENTS if one.name == name]
    return Entry(component, plugin="builtin", distribution="amulet-framework", version="0")


@pytest.mark.parametrize(("name", "shape"), MODELS)
def test_logits_are_the_head_of_the_features(name: str, shape: tuple[int, ...]) -> None:
    described = schema(*shape, classes=4)
    model, x = make(name, described), inputs(described)
    features = model.features(x)
    assert model(x).shape == (5, 4)
    assert features.shape == (5, model.head.in_features)
    assert torch.allclose(model(x), features @ model.head.weight.T + model.head.bias, atol=1e-6)
    assert (features >= 0).all()


def test_logistic_regression_is_one_affine_function_of_the_scaled_row() -> None:
    described = schema(2, 3)
    model, x = make("logistic", described), inputs(described)
    expected = ((x + 2) / 8).reshape(5, 6) @ model.head.weight.T + model.head.bias
    assert torch.allclose(model(x), expected, atol=1e-6)
    assert sum(parameter.numel() for parameter in model.parameters()) == 3 * 6 + 3


@pytest.mark.parametrize(
    ("name", "capacity", "layers"),
    [
        *(("resnet", "m1", 7), ("resnet", "m2", 19), ("resnet", "m3", 9), ("resnet", "m4", 17)),
        *(("vgg", "m1", 3), ("vgg", "m2", 6), ("vgg", "m3", 8), ("vgg", "m4", 13)),
    ],
)
def test_the_convolutions_are_as_many_as_published(name: str, capacity: str, layers: int) -> None:
    model = make(name, schema(3, 32, 32), capacity)
    # The layers that a name such as ResNet-8 counts are the 3x3 convolutions and the head.
    assert sum(isinstance(one, nn.Conv2d) and one.kernel_size == (3, 3) for one in model.modules()) == layers


@pytest.mark.parametrize(("capacity", "side"), [("m1", 8), ("m2", 8), ("m3", 4), ("m4", 4)])
def test_all_stages_of_a_residual_network_but_the_first_halve_the_image(capacity: str, side: int) -> None:
    described = schema(3, 32, 32)
    model = make("resnet", described, capacity)
    image = model.blocks[:-2](model.stem(model.normalise(inputs(described, 1))))
    assert image.shape[2:] == (side, side)


@pytest.mark.parametrize("name", ["resnet", "vgg"])
def test_each_capacity_has_more_parameters_than_the_one_before(name: str) -> None:
    models = [make(name, schema(1, 8, 8), capacity) for capacity in CAPACITIES]
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in models]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize(("name", "capacity"), DEEP)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 30), (1, 28, 28), (3, 64, 64)])
def test_any_image_is_read(name: str, capacity: str, shape: tuple[int, ...]) -> None:
    described = schema(*shape)
    assert torch.isfinite(make(name, described, capacity)(inputs(described, 2))).all()


@pytest.mark.parametrize("name", ["resnet", "vgg"])
@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((7,), "{} reads images [channels, height, width], but a row of these data has the shape (7,)"),
        ((1, 7, 9), "{} reads images of 8x8 pixels or more, not 7x9"),
    ],
)
def test_rows_that_are_no_images_are_refused(name: str, shape: tuple[int, ...], reason: str) -> None:
    assert entry(name).component.applicable(CapacityParams(), schema(*shape)) == [reason.format(name)]
    with pytest.raises(ValueError) as raised:
        make(name, schema(*shape))
    assert str(raised.value) == reason.format(name)


@pytest.mark.parametrize(("name", "shape"), MODELS)
def test_a_model_sees_only_normalised_rows(name: str, shape: tuple[int, ...]) -> None:
    wide, narrow = schema(*shape), schema(*shape, low=0.0, high=1.0)
    x = inputs(wide)
    assert torch.allclose(make(name, wide)(x), make(name, narrow)((x + 2) / 8), atol=1e-5)


@pytest.mark.parametrize(("name", "capacity"), [("logistic", "m1"), *DEEP])
def test_opacus_accepts_every_layer(name: str, capacity: str) -> None:
    model = make(name, schema(1, 8, 8), capacity)
    assert ModuleValidator.validate(model, strict=True) == []
    assert GradSampleModule.validate(model, strict=True) == []


@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")
@pytest.mark.parametrize(("name", "shape"), MODELS)
def test_opacus_and_vmap_give_each_samples_gradient(name: str, shape: tuple[int, ...]) -> None:
    described = schema(*shape)
    model, x, y = make(name, described), inputs(described), torch.tensor([0, 1, 2, 0, 1])
    expected = []
    for row in range(len(x)):
        loss = cross_entropy(model(x[row : row + 1]), y[row : row + 1])
        expected.append(torch.autograd.grad(loss, list(model.parameters())))

    def loss_of(parameters: dict[str, Tensor], row: Tensor, label: Tensor) -> Tensor:
        return cross_entropy(functional_call(model, parameters, (row[None],)), label[None])

    stacked = vmap(grad(loss_of), in_dims=(None, 0, 0))(dict(model.named_parameters()), x, y)
    private = GradSampleModule(copy.deepcopy(model), loss_reduction="sum")
    cross_entropy(private(x), y, reduction="sum").backward()
    for place, (key, parameter) in enumerate(private._module.named_parameters()):
        truth = torch.stack([gradients[place] for gradients in expected])
        assert torch.allclose(stacked[key], truth, atol=1e-5), key
        assert torch.allclose(parameter.grad_sample, truth, atol=1e-5), key


@pytest.mark.parametrize(("name", "shape"), MODELS)
def test_a_stack_of_models_equals_its_members(name: str, shape: tuple[int, ...]) -> None:
    described = schema(*shape)
    models = [make(name, described) for _ in range(3)]
    for model in models[1:]:
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    parameters, buffers = stack_module_state(models)
    skeleton, x = copy.deepcopy(models[0]).to("meta"), torch.stack([inputs(described, seed=k) for k in range(3)])
    logits = vmap(lambda p, b, rows: functional_call(skeleton, (p, b), (rows,)))(parameters, buffers, x)
    for k, model in enumerate(models):
        assert torch.allclose(logits[k], model(x[k]), atol=1e-5)


@pytest.mark.parametrize(("name", "shape"), MODELS)
def test_no_layer_works_in_place_or_over_the_batch(name: str, shape: tuple[int, ...]) -> None:
    described = schema(*shape)
    model, x = make(name, described), inputs(described)
    before = x.clone()
    together = model(x)
    assert torch.equal(x, before)
    assert torch.allclose(together, torch.cat([model(row[None]) for row in x]), atol=1e-5)
    assert not any(getattr(layer, "inplace", False) for layer in model.modules())
    assert not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules())


@pytest.mark.parametrize(("name", "shape"), MODELS)
def test_a_private_step_is_the_clipped_sum_of_the_samples_gradients(name: str, shape: tuple[int, ...]) -> None:
    """Noise so small that it cannot be seen, every row in the one batch: the step is known by brute force."""
    described, clip = schema(*shape), 0.05
    x, y = inputs(described, 6), torch.tensor([0, 1, 2, 0, 1, 2])
    rows = make_data(x, y, described)
    settings = TrainingSettings(epochs=1, batch_size=6, learning_rate=0.5, optimizer="sgd")
    training = plain_training(partial(make, name, described), settings, stackable=False)
    context = TrainingContext(rows=6, schema=described, settings=settings)
    params = DpSgdParams(noise_multiplier=1.0, max_grad_norm=clip, accountant="rdp")
    private = privately(training, params, context)
    private = replace(private, gradient=replace(private.gradient, noise_multiplier=1e-9))
    (fitted,) = fit_by_steps(private, [rows], [rows], [Streams(("step", 0))])  # not by its own fit: no account holds
    model = make(name, described)
    step = {key: torch.zeros_like(value) for key, value in model.named_parameters()}
    for row in range(6):
        gradients = torch.autograd.grad(cross_entropy(model(x[row : row + 1]), y[row : row + 1]), model.parameters())
        norm = torch.cat([one.flatten() for one in gradients]).norm()
        for key, one in zip(step, gradients, strict=True):
            step[key] += one * min(1.0, clip / float(norm)) / 6
    for key, value in model.named_parameters():
        after = fitted.model.get_parameter(key)
        # opacus adds 1e-6 to every norm before it divides.
        assert torch.allclose(after - value, -0.5 * step[key], atol=1e-6), key
        assert step[key].abs().max() > 0, key


@pytest.mark.parametrize(
    ("name", "shape", "steps"), [("logistic", (64,), 150), ("resnet", (1, 8, 8), 80), ("vgg", (1, 8, 8), 80)]
)
def test_the_digits_are_learnt(name: str, shape: tuple[int, ...], steps: int) -> None:
    """A planted truth for the whole: an architecture that cannot pass 90 % on held-out digits is broken."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(pixels, dtype=torch.float32).reshape(-1, *shape), torch.tensor(labels)
    model = make(name, schema(*shape, classes=10, low=0.0, high=16.0))
    # The writers of the last rows wrote none of the first.
    order = torch.randperm(len(y))
    x, y = x[order], y[order]
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-2 if name == "logistic" else 3e-3)
    for batch in torch.randint(0, 1400, (steps, 128)):
        optimiser.zero_grad()
        cross_entropy(model(x[batch]), y[batch]).backward()
        optimiser.step()
    assert (model(x[1400:]).argmax(1) == y[1400:]).float().mean() > 0.9
