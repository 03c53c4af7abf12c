"""What a fully connected first layer gives away: the gradients of its weights are its input times those of its bias."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from amulet_core.schema import DataSchema
from amulet_plugins_builtin.reconstruction.units import unscaled

_TOLERANCE = 1e-4


def solved(module: nn.Module, gradient: Mapping[str, Tensor], schema: DataSchema) -> Tensor | None:
    """Return the one row behind each gradient, in units ``[gradients, *schema.shape]``; None if no layer tells.

    ``x = dL/dW_i / dL/db_i`` for every unit i (Geiping et al. 2003.14053, proposition 3.1; Phong et al. 2018, section
    3.1); units are averaged with weights (dL/db_i)^2, the least-squares solution where noise was added. A gradient
    whose bias part is zero, of a dead layer, tells nothing: its row is the middle of the bounds.
    """
    for name, layer in module.named_modules():
        released = {f"{name}.weight", f"{name}.bias"} <= gradient.keys()  # of a layer that is not trained nothing is
        if not isinstance(layer, nn.Linear) or not released or layer.in_features != schema.width:
            continue
        scaling = _scaling(module, layer, schema)
        if scaling is not None:
            weight, bias = gradient[f"{name}.weight"].double(), gradient[f"{name}.bias"].double()
            strength = bias.square().sum(1, keepdim=True)
            found = (bias[:, :, None] * weight).sum(1) / strength
            offset, scale = scaling
            units = torch.where(strength > 0, (found - offset) / scale, 0.5)
            return units.float().reshape(-1, *schema.shape)
    return None


def _scaling(module: nn.Module, layer: nn.Linear, schema: DataSchema) -> tuple[Tensor, Tensor] | None:
    """Return offset and scale, each ``[width]``, by which units become the layer's input; None if they do not so."""
    probes = torch.stack([torch.zeros(schema.width), torch.ones(schema.width), torch.rand(schema.width)])
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    try:
        with torch.no_grad():
            module(unscaled(probes.reshape(-1, *schema.shape), schema))
    finally:
        hook.remove()
    if not seen or seen[0].shape != probes.shape:
        return None
    low, high, between = seen[0].double()
    scale = high - low
    expected = low + probes[2].double() * scale
    if (scale == 0).any() or not torch.allclose(between, expected, atol=_TOLERANCE * float(scale.abs().max())):
        return None
    return low, scale
