"""Inputs changed by the toolbox's preprocessors before the trained model sees them."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from amulet_core.data import Data, bounds
from amulet_core.schema import DataSchema
from amulet_core.training.values import Fitted
from art.defences.preprocessor import FeatureSqueezing, SpatialSmoothing
from numpy.typing import NDArray
from torch import Tensor, nn

from amulet_plugin_art.defense_settings import FeatureSqueezingParams, SpatialSmoothingParams


class Preprocessor(Protocol):
    """A preprocessor of the toolbox."""

    def __call__(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float64], object]:
        """Return changed inputs, and their labels."""


class _Through(torch.autograd.Function):
    """A function without a derivative, to which it gives that of the identity; works in ``torch.func.grad``."""

    @staticmethod
    def forward(x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        return change(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep nothing."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004 - nothing is kept
        return gradients[0], None


class Preprocessed(nn.Module):
    """A model behind a preprocessor on inputs ``[n, *schema.shape]`` in units of their ranges.

    The gradient passes through as if nothing had been changed (Athalye et al., arXiv:1802.00420): an adversary who
    knows the defense would not let its steps hide it.
    """

    low: Tensor
    span: Tensor

    def __init__(self, model: nn.Module, preprocessor: Preprocessor, schema: DataSchema) -> None:
        """Put a preprocessor before ``model``."""
        super().__init__()
        self.model, self._change = model, preprocessor
        low, high = bounds(schema)
        self.register_buffer("low", low)
        self.register_buffer("span", high - low)

    def changed(self, x: Tensor) -> Tensor:
        """Return the inputs as the model sees them, without gradient."""
        units = ((x - self.low) / self.span).detach().numpy()
        return self.low + torch.from_numpy(np.asarray(self._change(units)[0])).to(x.dtype) * self.span

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, classes]``."""
        logits: Tensor = self.model(_Through.apply(x, self.changed))
        return logits


def squeeze(fitted: Fitted, data: Data, params: FeatureSqueezingParams) -> Fitted:
    """Return the model behind features rounded to ``2 ** bits`` levels (Xu et al., arXiv:1704.01155, section III.A)."""
    return Fitted(_squeezed(fitted.model, params, data.schema), fitted.evidence, fitted.proof)


def rebuild_squeezed(build: Callable[[], nn.Module], params: FeatureSqueezingParams, schema: DataSchema) -> nn.Module:
    """Return an untrained model behind rounded features."""
    return _squeezed(build(), params, schema)


def smooth(fitted: Fitted, data: Data, params: SpatialSmoothingParams) -> Fitted:
    """Return the model behind a median filter (Xu et al., arXiv:1704.01155, section III.B)."""
    return Fitted(_smoothed(fitted.model, params, data.schema), fitted.evidence, fitted.proof)


def rebuild_smoothed(build: Callable[[], nn.Module], params: SpatialSmoothingParams, schema: DataSchema) -> nn.Module:
    """Return an untrained model behind a median filter."""
    return _smoothed(build(), params, schema)


def _squeezed(model: nn.Module, params: FeatureSqueezingParams, schema: DataSchema) -> nn.Module:
    return Preprocessed(model, FeatureSqueezing(clip_values=(0.0, 1.0), bit_depth=params.bits), schema).eval()


def _smoothed(model: nn.Module, params: SpatialSmoothingParams, schema: DataSchema) -> nn.Module:
    return Preprocessed(model, SpatialSmoothing(window_size=params.window, channels_first=True), schema).eval()
