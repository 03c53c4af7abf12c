"""The built-in architectures: their shapes, and that every way of training can use them."""

import copy
from importlib import import_module

import pytest
import torch
from opacus import GradSampleModule
from opacus.validators import ModuleValidator
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from amulet_core.modules import Classifier, Normalise
from amulet_core.schema import DataSchema, Feasible
from amulet_core.victims import logits_of
from amulet_plugins_builtin.catalogue.models import COMPONENTS, CapacityParams, reads_images
from amulet_plugins_builtin.models.cnn import WIDTHS
from amulet_plugins_builtin.models.cnn import build as build_cnn
from amulet_plugins_builtin.models.mlp import HIDDEN
from amulet_plugins_builtin.models.mlp import build as build_mlp

CAPACITIES = ("m1", "m2", "m3", "m4")


def schema(*shape: int, classes: int = 3, low: float = -2.0, high: float = 6.0) -> DataSchema:
    return DataSchema(
        modality="tabular" if len(shape) == 1 else "image",
        shape=shape,
        classes=tuple(f"class {k}" for k in range(classes)),
        feasible=Feasible(low=low, high=high),
    )


def inputs(described: DataSchema, n: int = 5, seed: int = 0) -> Tensor:
    return torch.rand(n, *described.shape, generator=torch.Generator().manual_seed(seed)) * 8 - 2


MODELS = [("mlp", (7,)), ("mlp", (2, 3, 4)), ("cnn", (1, 8, 8)), ("cnn", (3, 28, 21))]


def make(name: str, described: DataSchema, capacity: str = "m1") -> Classifier:
    target = {component.name: component.target for component in COMPONENTS}[name]
    module, function = target.split(":")
    torch.manual_seed(0)
    return getattr(import_module(module), function)(CapacityParams(capacity=capacity), described)


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("raises", [False, True])
def test_asking_a_model_puts_each_of_its_parts_back_into_its_own_mode(mode: bool, raises: bool) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)).train(mode)
    model[1].train(not mode)
    x = torch.ones(5, 7 if raises else 4)
    if raises:
        with pytest.raises(RuntimeError):
            logits_of(model, x)
    else:
        assert torch.equal(logits_of(model, x), model[0](x))  # asked in eval mode: nothing is dropped
    assert [part.training for part in model.modules()] == [mode, mode, not mode]


@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize("classes", [2, 11])
@pytest.mark.parametrize(("name", "shape"), MODELS)
def test_logits_are_the_head_of_the_features(name: str, shape: tuple[int, ...], classes: int, capacity: str) -> None:
    described = schema(*shape, classes=classes)
    model, x = make(name, described, capacity), inputs(described)
    features = model.features(x)
    assert model(x).shape == (5, classes)
    assert features.shape == (5, model.head.in_features)
    assert torch.allclose(model(x), features @ model.head.weight.T + model.head.bias, atol=1e-6)
    assert (features >= 0).all()


@pytest.mark.parametrize(
    ("capacity", "hidden"),
    [
        ("m1", [128, 256, 128]),
        ("m2", [256, 512, 256]),
        ("m3", [512, 1024, 512]),
        ("m4", [512, 1024, 1024, 512]),
    ],
)
def test_the_perceptrons_layers_are_as_published(capacity: str, hidden: list[int]) -> None:
    model = make("mlp", schema(93, classes=2), capacity)
    linear = [(layer.in_features, layer.out_features) for layer in model.modules() if isinstance(layer, nn.Linear)]
    assert linear == list(zip([93, *hidden], [*hidden, 2], strict=True))


@pytest.mark.parametrize(("capacity", "layers"), [("m1", 2), ("m2", 2), ("m3", 3), ("m4", 3)])
def test_the_convolutions_are_two_or_three(capacity: str, layers: int) -> None:
    model = make("cnn", schema(1, 28, 28), capacity)
    assert sum(isinstance(layer, nn.Conv2d) for layer in model.modules()) == layers


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_each_capacity_has_more_parameters_than_the_one_before(name: str) -> None:
    models = [make(name, schema(1, 8, 8), capacity) for capacity in CAPACITIES]
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in models]
    assert counts == sorted(set(counts))
    assert set(HIDDEN) == set(WIDTHS) == set(CAPACITIES)


@pytest.mark.parametrize("size", [(8, 8), (9, 30), (32, 32), (96, 84)])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_the_cnn_takes_any_image(size: tuple[int, int], channels: int) -> None:
    described = schema(channels, *size)
    assert make("cnn", described, "m3")(inputs(described, 2)).shape == (2, 3)


@pytest.mark.parametrize(
    ("size", "places"), [((8, 8), 4), ((9, 30), 8), ((15, 16), 12), ((28, 28), 16), ((96, 84), 16)]
)
def test_the_cnn_ends_in_four_by_four_places_and_in_fewer_for_small_images(size: tuple[int, int], places: int) -> None:
    first = make("cnn", schema(1, *size)).hidden[0]
    assert first.in_features == WIDTHS["m1"].channels[-1] * places


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((7,), "cnn reads images [channels, height, width], but a row of these data has the shape (7,)"),
        ((1, 7, 9), "cnn reads images of 8x8 pixels or more, not 7x9"),
    ],
)
def test_rows_that_are_no_images_are_refused(shape: tuple[int, ...], reason: str) -> None:
    assert reads_images("cnn")(CapacityParams(), schema(*shape)) == [reason]
    with pytest.raises(ValueError) as raised:
        make("cnn", schema(*shape))
    assert str(raised.value) == reason


def test_normalisation_maps_each_features_bounds_to_0_and_1() -> None:
    described = schema(2).model_copy(update={"feasible": Feasible(low=(-1.0, 0.0), high=(3.0, 99_999.0))})
    layer = Normalise(described)
    x = torch.tensor([[-1.0, 0.0], [3.0, 99_999.0], [1.0, 49_999.5]])
    assert torch.equal(layer(x), torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]]))


@pytest.mark.parametrize(("name", "shape"), MODELS)
def test_a_model_sees_only_normalised_rows(name: str, shape: tuple[int, ...]) -> None:
    wide, narrow = schema(*shape), schema(*shape, low=0.0, high=1.0)
    x = inputs(wide)
    assert torch.allclose(make(name, wide)(x), make(name, narrow)((x + 2) / 8), atol=1e-6)


@pytest.mark.parametrize(("name", "shape"), MODELS)
def test_bounds_are_buffers_and_never_trained(name: str, shape: tuple[int, ...]) -> None:
    model = make(name, schema(*shape))
    assert {name for name, _ in model.named_buffers()} == {"normalise.low", "normalise.width"}
    assert not any(buffer.requires_grad for buffer in model.buffers())
    assert not any(name.startswith("normalise") for name, _ in model.named_parameters())


@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize(("name", "shape"), MODELS)
def test_opacus_accepts_every_layer(name: str, shape: tuple[int, ...], capacity: str) -> None:
    model = make(name, schema(*shape), capacity)
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
        assert torch.allclose(stacked[key], truth, atol=1e-6), key
        assert torch.allclose(parameter.grad_sample, truth, atol=1e-6), key


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


def test_a_perceptron_leaves_axes_before_the_row_alone() -> None:
    described = schema(2, 3)
    model, pairs = make("mlp", described), inputs(described, 8).reshape(4, 2, 2, 3)
    assert torch.allclose(model(pairs), torch.stack([model(pairs[:, 0]), model(pairs[:, 1])], dim=1), atol=1e-6)


@pytest.mark.parametrize(("name", "shape"), MODELS)
def test_no_layer_works_in_place_or_over_the_batch(name: str, shape: tuple[int, ...]) -> None:
    described = schema(*shape)
    model, x = make(name, described), inputs(described)
    before = x.clone()
    together = model(x)
    assert torch.equal(x, before)
    assert torch.allclose(together, torch.cat([model(row[None]) for row in x]), atol=1e-6)
    assert not any(getattr(layer, "inplace", False) for layer in model.modules())


@pytest.mark.parametrize(("build", "shape"), [(build_mlp, (64,)), (build_cnn, (1, 8, 8))])
def test_the_digits_are_learnt(build, shape: tuple[int, ...]) -> None:
    """A planted truth for the whole: an architecture that cannot pass 90 % on held-out digits is broken."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(pixels, dtype=torch.float32).reshape(-1, *shape), torch.tensor(labels)
    torch.manual_seed(0)
    # The writers of the last rows wrote none of the first.
    order = torch.randperm(len(y))
    x, y = x[order], y[order]
    model = build(CapacityParams(), schema(*shape, classes=10, low=0.0, high=16.0))
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for batch in torch.randint(0, 1400, (150, 128)):
        optimiser.zero_grad()
        cross_entropy(model(x[batch]), y[batch]).backward()
        optimiser.step()
    assert (model(x[1400:]).argmax(1) == y[1400:]).float().mean() > 0.9


def test_a_classifier_without_features_says_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match=r"^Classifier must define features\(x\)$"):
        Classifier().features(torch.zeros(1, 1))
