"""A network as a chain of layers, each the weights between its neurons and those of the layer before."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn


class Layer(NamedTuple):
    """One layer of a network, or of many stacked in front: ``weight`` ``[neurons, neurons before, k]``, ``bias``.

    ``k`` numbers are between two neurons: one in an affine layer, those of the kernel in a convolution, one for each
    place of the picture in the affine layer behind it. The inputs of the first layer have an order, and are one neuron.
    """

    weight: Tensor
    bias: Tensor


def layers_of(module: nn.Module) -> list[Layer]:
    """Return the layers of a network in which affine layers and convolutions stand one after the other.

    Raises:
        ValueError: if anything else has parameters, members stand in a list, or a layer does not fit the one before.
    """
    found: list[Layer] = []
    for part in module.modules():
        if isinstance(part, nn.ModuleList | nn.ModuleDict):
            kind = type(part).__name__
            raise ValueError(f"pim reads layers one after the other, and members of a {kind} stand in no order")  # noqa: TRY004
        if isinstance(part, nn.Linear | nn.Conv2d):
            found.append(_layer(part, len(found[-1].bias) if found else 1))
        elif next(part.parameters(recurse=False), None) is not None:
            raise ValueError(f"pim reads affine layers and convolutions, and {type(part).__name__} has parameters too")
    if not found:
        raise ValueError("pim reads affine layers and convolutions, and the model has none")
    return found


def standardised(layers: Sequence[Layer], own: Sequence[Layer]) -> list[Layer]:
    """Return layers (stacked) with the means of the adversary's ``own`` taken off, and over their deviations.

    Of victims nothing is asked: what one victim is scored does not depend on who is scored beside it.
    """
    scaled = []
    for layer, known in zip(layers, own, strict=True):
        k = known.weight.shape[-1]
        values = known.weight.reshape(-1, k)
        weight = (layer.weight - values.mean(0)) / values.std(0).clamp_min(_LEAST)
        bias = (layer.bias - known.bias.mean()) / known.bias.std().clamp_min(_LEAST)
        scaled.append(Layer(weight, bias))
    return scaled


_LEAST = 1e-6


def _layer(part: nn.Linear | nn.Conv2d, before: int) -> Layer:
    weight = part.weight.detach().flatten(1)
    if weight.shape[1] % before:
        raise ValueError(
            f"pim reads a chain of layers, and one of {weight.shape[1]} inputs a neuron does not fit the {before} "
            "neurons before it"
        )
    bias = weight.new_zeros(len(weight)) if part.bias is None else part.bias.detach()
    return Layer(weight.reshape(len(weight), before, -1), bias)
