"""Conformance of architectures under a privacy account: each row's gradient is counted where its layers are called."""

import copy
import warnings
from typing import Final

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn.functional import cross_entropy

from amulet_core.errors import cause_of
from amulet_core.streams import isolated
from amulet_core.testing.findings import ConformanceError, NotCheckedError

CLIPPABLE: Final = "the gradient of each row can be clipped"
_NEAR: Final = 1e-3
"""What rounding may make of a row's norm, as a share of it."""
_CLIP: Final = 0.5
"""A row of the median norm is clipped to this share of it: some rows are clipped for certain."""


def clips(model: nn.Module, x: Tensor, y: Tensor, *, where: str) -> None:
    """Check that the sum of clipped gradients is the same by ghost clipping, as in dp-sgd, and row by row.

    Ghost clipping (Li et al. 2110.05679, section 4) takes norms from what hooks see of the layers' calls.

    Raises:
        ConformanceError: if the two differ, or a row's norm cannot be counted, as where a layer with weights of its own
            draws in training: opacus runs it again, and would not draw the same.
        NotCheckedError: if the model draws at random, or nothing of it is trained.
    """
    model = _listening(model)
    expected = _row_by_row(model, x, y)
    if not expected.any():
        raise NotCheckedError("not checked, as no weight of it is trained")
    drawn = not torch.allclose(expected, _row_by_row(model, x, y, key="again"), rtol=_NEAR)
    bound = _CLIP * vector_norm(expected, dim=1).median()
    try:
        norms = _counted(model, x, y)
    except Exception as error:
        said = f"counting the gradient of each row raised {cause_of(error).rstrip('.')}"
        raise (_drawing if drawn else _wrong)(where, said) from error
    if drawn:
        raise NotCheckedError("not checked, as its answers are drawn at random")
    found, own = (_clipped(expected, of, bound) for of in (norms, vector_norm(expected, dim=1)))
    off = float(vector_norm(found - own) / vector_norm(own))
    if not off <= _NEAR:
        raise _wrong(
            where, f"the sum of clipped gradients is off by {100 * off:.2g}% from that of rows clipped one by one"
        )


def _wrong(where: str, found: str) -> ConformanceError:
    return ConformanceError(
        found=f"on {where} {found}",
        expected="weights that are used by the calls of their layers alone, each layer called once, or clippable=False",
        fix="call layers instead of taking their weights by hand (layer.weight), let no two layers share weights and "
        "leave out those without use; or set clippable=False in the descriptor: dp-sgd then refuses the model",
    )


def _drawing(where: str, found: str) -> ConformanceError:
    return ConformanceError(
        found=f"on {where} {found}",
        expected="layers with weights of their own that draw nothing at random, or clippable=False",
        fix="leave draws to layers without weights, such as nn.Dropout; or set clippable=False in the descriptor: "
        "dp-sgd then refuses the model",
    )


def _listening(model: nn.Module) -> nn.Module:
    """Return a copy that trains nothing at random: layers with weights alone are in training, for the hooks' sake."""
    model = copy.deepcopy(model).eval().requires_grad_(requires_grad=True)
    for part in model.modules():
        part.training = any(True for _ in part.parameters(recurse=False))
    return model


def _row_by_row(model: nn.Module, x: Tensor, y: Tensor, *, key: str = "first") -> Tensor:
    """Return the gradient of each row by itself, ``[n, weights]``: the definition, slow and plain."""
    weights = list(model.parameters())
    if not weights:
        return torch.zeros(len(x), 1)
    rows = []
    for row in range(len(x)):
        with isolated("conformance", "row by row", key), torch.enable_grad():
            loss = cross_entropy(model(x[row : row + 1]), y[row : row + 1])
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        both = zip(found, weights, strict=True)
        rows.append(torch.cat([(torch.zeros_like(own) if one is None else one).flatten() for one, own in both]))
    return torch.stack(rows)


def _counted(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the norm of each row's gradient as opacus' hooks count it, ``[n]``."""
    from opacus.grad_sample import GradSampleModuleFastGradientClipping

    counting = GradSampleModuleFastGradientClipping(model, max_grad_norm=1.0, use_ghost_clipping=True)
    with warnings.catch_warnings(), isolated("conformance", "counted"), torch.enable_grad():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        cross_entropy(counting(x), y).backward()
    norms: Tensor = counting.get_norm_sample().detach()
    return norms


def _clipped(gradients: Tensor, norms: Tensor, bound: Tensor) -> Tensor:
    return (bound / norms.clamp(min=1e-12)).clamp(max=1) @ gradients
