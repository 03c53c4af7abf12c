"""Known-answer and power checks of the defenses."""

from dataclasses import replace
from functools import partial
from typing import Final

import torch
from amulet_core.checks import Check
from amulet_core.data import Data, make_data
from amulet_core.schema import Sensitive
from amulet_core.streams import isolated
from amulet_core.training.values import Fitted
from torch import Tensor, nn

from amulet_plugin_art import augmentation, planted, postprocessors, preprocessors
from amulet_plugin_art.defense_settings import (
    FeatureSqueezingParams,
    GaussianAugmentationParams,
    ReverseSigmoidParams,
    SpatialSmoothingParams,
)

_IDLE: Final = "a defense that changes nothing would be measured in its name"


def reverse_sigmoid_checks() -> tuple[Check, ...]:
    """Return the checks of ``reverse-sigmoid``."""
    return (
        Check(
            "released probabilities are those of the paper's formula",
            "another slope is another defense",
            partial(follows_the_formula, ReverseSigmoidParams(beta=0.7, gamma=0.3)),
        ),
        Check("what is sure is released as less sure", _IDLE, partial(is_less_sure, ReverseSigmoidParams())),
    )


def feature_squeezing_checks() -> tuple[Check, ...]:
    """Return the checks of ``feature-squeezing``."""
    return (
        Check(
            "features lie on the nearest of 2 ** bits levels of their ranges",
            "levels elsewhere, or of all ranges alike, squeeze another table",
            partial(rounds_to_levels, FeatureSqueezingParams(bits=2)),
        ),
        Check(
            "changes of less than half a level do not reach the model, and gradients do",
            "a defense that hides gradients alone is none",
            partial(hides_small_changes, FeatureSqueezingParams(bits=2)),
        ),
    )


def spatial_smoothing_checks() -> tuple[Check, ...]:
    """Return the checks of ``spatial-smoothing``."""
    return (
        Check(
            "each pixel becomes the median of its window",
            "another statistic is another filter",
            partial(takes_medians, SpatialSmoothingParams()),
        ),
        Check(
            "single changed pixels do not reach the model, and gradients do",
            "a defense that hides gradients alone is none",
            partial(removes_single_pixels, SpatialSmoothingParams()),
        ),
    )


def gaussian_augmentation_checks() -> tuple[Check, ...]:
    """Return the checks of ``gaussian-augmentation``."""
    return (
        Check(
            "copies have noise of the deviation that was asked for, and the label, group and weight of their row",
            "a copy with another label is poison, and noise in other units another defense",
            partial(copies_with_noise, GaussianAugmentationParams(scale=0.02, ratio=0.5)),
        ),
        Check(
            "least squares on rows and copies has the weights of ridge regression on the rows",
            "noise on inputs is a penalty on the weights (Bishop 1995, doi:10.1162/neco.1995.7.1.108), or it is idle",
            partial(shrinks_as_ridge_does, GaussianAugmentationParams(scale=0.1, ratio=5)),
        ),
    )


def _probabilities(rows: int, classes: int) -> Tensor:
    return torch.softmax(3 * torch.randn(rows, classes, generator=torch.Generator().manual_seed(9)), 1)


def follows_the_formula(params: ReverseSigmoidParams) -> None:
    """Compare with ``alpha (y - beta (sigmoid(gamma logit y) - 1/2))``."""
    for classes in (2, 5):
        y = _probabilities(200, classes).double()
        exact = y - params.beta * (torch.sigmoid(params.gamma * torch.logit(y)) - 0.5)
        exact = exact / exact.sum(1, keepdim=True)
        error = float((postprocessors.reverse_sigmoid(y, params) - exact).abs().max())
        assert error < 1e-6, f"probabilities of {classes} classes are off by {error:.2g}, expected at most 1e-6"


def is_less_sure(params: ReverseSigmoidParams) -> None:
    """Compare the largest probability of answers that are sure."""
    released = postprocessors.reverse_sigmoid(torch.tensor([[0.999, 0.001]]), params)
    found = float(released[0, 0])
    assert 0.5 < found < 0.9, f".999 is released as {found:.3f}, expected .5 to .9"


class _Sum(nn.Module):
    """A model whose logits are the sum of an input's features, and its negative."""

    def forward(self, x: Tensor) -> Tensor:
        total = x.flatten(1).sum(1)
        return torch.stack([total, -total], 1)


def _rows() -> Tensor:
    low = torch.tensor(planted.TABLE.feasible.low)
    return low - 2 * low * torch.rand(50, 8, generator=torch.Generator().manual_seed(10))


def _gradient(model: nn.Module, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(x)[:, 0].sum(), x)
    return gradient


def _squeezed(params: FeatureSqueezingParams) -> preprocessors.Preprocessed:
    data = make_data(_rows(), torch.zeros(50, dtype=torch.int64), planted.TABLE)
    model = preprocessors.squeeze(Fitted(_Sum()), data, params).model
    assert isinstance(model, preprocessors.Preprocessed)
    return model


def rounds_to_levels(params: FeatureSqueezingParams) -> None:
    """Compare with rounding in units of each range."""
    low, steps = torch.tensor(planted.TABLE.feasible.low), 2**params.bits - 1
    exact = low - 2 * low * torch.round((_rows() - low) / (-2 * low) * steps) / steps
    error = float((_squeezed(params).changed(_rows()) - exact).abs().max())
    assert error < 1e-5, f"features are off by {error:.2g}, expected at most 1e-5"


def hides_small_changes(params: FeatureSqueezingParams) -> None:
    """Move features from the middle of a level by less than half a level."""
    model = _squeezed(params)
    middle = model.changed(_rows())
    half = -torch.tensor(planted.TABLE.feasible.low) / (2**params.bits - 1)
    moved = middle + 0.9 * half * (2 * torch.rand(middle.shape, generator=torch.Generator().manual_seed(11)) - 1)
    error = float((model(moved) - model(middle)).abs().max())
    assert error < 1e-4, f"changes of less than half a level move a logit by {error:.2g}, expected 0"
    _passes_gradients(model, _rows())


def _passes_gradients(model: nn.Module, x: Tensor) -> None:
    error = float((_gradient(model, x) - 1).abs().max())
    assert error < 1e-6, f"the gradient is off that of the model beneath by {error:.2g}, expected 0"


def _smoothed(params: SpatialSmoothingParams) -> tuple[preprocessors.Preprocessed, Tensor]:
    x, y = planted.images(20, seed=12)
    model = preprocessors.smooth(Fitted(_Sum()), make_data(x, y, planted.IMAGES), params).model
    assert isinstance(model, preprocessors.Preprocessed)
    return model, x


def takes_medians(params: SpatialSmoothingParams) -> None:
    """Compare the pixels whose window lies within the image with medians of patches."""
    model, x = _smoothed(params)
    patches = x.unfold(2, params.window, 1).unfold(3, params.window, 1)
    exact = patches.flatten(-2).median(-1).values
    inner = slice(params.window // 2, params.window // 2 + exact.shape[-1])
    error = float((model.changed(x)[:, :, inner, inner] - exact).abs().max())
    assert error < 1e-4, f"pixels are off by {error:.2g}, expected at most 1e-4"


def removes_single_pixels(params: SpatialSmoothingParams) -> None:
    """Set one pixel of even images to white."""
    model, x = _smoothed(params)
    even = torch.full_like(x, -0.5)
    spoilt = even.clone()
    spoilt[:, :, 3, 4] = 1.0
    error = float((model(spoilt) - model(even)).abs().max())
    assert error < 1e-4, f"a white pixel moves a logit by {error:.2g}, expected 0"
    _passes_gradients(model, x)


def copies_with_noise(params: GaussianAugmentationParams) -> None:
    """Compare each copy with the row that it is a copy of."""
    data, high = _spaced(300), torch.tensor(planted.TABLE.feasible.high)
    with isolated("check"):
        more = augmentation.augment(data, params)
    copies = more.take(torch.arange(300, len(more)))
    assert len(copies) == 150, f"there are {len(copies)} copies of 300 rows, expected 150"
    of = torch.cdist(copies.x / high, data.x / high).argmin(1)
    for what in ("y", "z", "w"):
        kept, own = getattr(copies, what), getattr(data, what)[of]
        wrong = int((kept != own).reshape(len(of), -1).any(1).sum())
        assert not wrong, f"{wrong} copies have another {what} than their row, expected 0"
    found = float(((copies.x - data.x[of]) / (2 * high)).std())
    assert abs(found / params.scale - 1) < 0.1, (
        f"the noise has deviation {found:.4f}, expected {params.scale:g} within 10 %"
    )


def _spaced(n: int) -> Data:
    """Return rows on a grid, each at a place of its own: the nearest to a copy is its row; all else is random."""
    schema = planted.TABLE.model_copy(update={"sensitive": (Sensitive(name="group", categories=tuple("abcde")),)})
    with isolated("check", "rows"):
        places, y, z, w = torch.randperm(3**8)[:n], torch.randint(2, (n,)), torch.randint(5, (n, 1)), torch.rand(n)
    steps = places[:, None] // 3 ** torch.arange(8) % 3 - 1
    return replace(make_data(0.5 * steps * torch.tensor(schema.feasible.high), y, schema, z=z), w=w)


def shrinks_as_ridge_does(params: GaussianAugmentationParams) -> None:
    """Fit labels by least squares on rows and copies, and compare with ridge regression on the rows alone."""
    span = 2 * torch.tensor(planted.TABLE.feasible.high)
    units = 0.1 * torch.randn(2000, 8, generator=torch.Generator().manual_seed(13))
    y = (units[:, 0] - units[:, 1] > 0).long()
    with isolated("check"):
        more = augmentation.augment(make_data(units * span, y, planted.TABLE), params)
    found = _least_squares(more.x / span, more.y, penalty=0.0)
    plain = _least_squares(units, y, penalty=0.0)
    exact = _least_squares(units, y, penalty=2000 * params.scale**2 * params.ratio / (1 + params.ratio))
    error, shrunk = float((found - exact).norm() / exact.norm()), float(exact.norm() / plain.norm())
    assert error < 0.05, (
        f"weights are off those of ridge regression by {error:.3f} of their length, expected .05 or less (which is "
        f"{shrunk:.3f} of that without copies)"
    )


def _least_squares(x: Tensor, y: Tensor, *, penalty: float) -> Tensor:
    x = x.double()
    weights: Tensor = torch.linalg.solve(
        x.T @ x + penalty * torch.eye(x.shape[1]).double(), x.T @ (2.0 * y - 1).double()
    )
    return weights
