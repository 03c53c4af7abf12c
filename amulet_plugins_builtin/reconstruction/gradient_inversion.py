"""Gradient inversion: the rows behind a released gradient, solved exactly where possible, else found by matching."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import log_softmax, one_hot

from amulet_core.games.reconstruction import ReconstructionAnswer, ReconstructionView
from amulet_core.victims import WhiteBox
from amulet_plugins_builtin.catalogue.reconstruction import GradientInversionParams
from amulet_plugins_builtin.reconstruction.first_layer import solved
from amulet_plugins_builtin.reconstruction.units import from_units, total_variation, unscaled

_DECAYS = (3 / 8, 5 / 8, 7 / 8)
_TINY = 1e-12

Gradients = Callable[[Tensor, Tensor], Tensor]
"""``gradients(units [g, batch, ...], targets [g, batch, classes]) -> [g, parameters]``."""


def attack(view: ReconstructionView, params: GradientInversionParams) -> ReconstructionAnswer:
    """Return the rows behind each gradient, ``batch`` after ``batch``.

    One row behind a fully connected first layer with bias is solved for. Anything else is searched for, all gradients
    at once: inputs (and labels, where they cannot be inferred) whose gradient is like the one released.
    """
    assert isinstance(view.model, WhiteBox)
    module, exact = view.model.module, None
    if view.batch == 1 and params.method == "auto":
        exact = solved(module, view.gradient, view.data_schema)
    units = matched(view, module, params) if exact is None else exact
    return ReconstructionAnswer(x=from_units(units, view.data_schema))


def matched(view: ReconstructionView, module: nn.Module, params: GradientInversionParams) -> Tensor:
    """Return the inputs whose gradients come closest to those released, in units ``[size, *schema.shape]``.

    DLG (Zhu et al. 1906.08935, algorithm 1) with L-BFGS, squared distance and joint labels; Geiping et al. 2003.14053,
    equation 4, with signed Adam, a step that falls to a tenth at 3/8, 5/8 and 7/8 of the way, cosine and smoothness.
    """
    schema, classes = view.data_schema, len(view.data_schema.classes)
    wanted = _flat(view.gradient, list(view.gradient))
    gradients, groups = _gradients(view, module), (len(wanted), view.batch)
    labels = inferred(view, module) if params.labels == "infer" and view.batch == 1 else None
    units = torch.rand(*groups, *schema.shape).requires_grad_()
    scores = torch.randn(*groups, classes).requires_grad_()
    free = [units] if labels is not None else [units, scores]

    def distance() -> Tensor:
        targets = one_hot(labels, classes).float()[:, None] if labels is not None else torch.softmax(scores, -1)
        cost = _apart(gradients(units, targets), wanted, params).sum()
        if schema.modality == "image" and params.smoothness:
            cost = cost + params.smoothness * total_variation(units.flatten(0, 1)).sum()
        return cost

    _descend(distance, free, params)
    return units.detach().reshape(view.size, *schema.shape)


def inferred(view: ReconstructionView, module: nn.Module) -> Tensor | None:
    """Return the label of the one row behind each gradient, int64 ``[gradients]``; None where no head tells it.

    Zhao et al. 2001.02610, section 3: dL/db_c = p_c - 1[c = y] is negative at the true label alone.
    """
    classes = len(view.data_schema.classes)
    heads = [
        name
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and layer.out_features == classes and layer.bias is not None
    ]
    released = view.gradient.get(f"{heads[-1]}.bias") if heads else None  # nothing is, of a head that is not trained
    return None if released is None else released.argmin(1)


def _gradients(view: ReconstructionView, module: nn.Module) -> Gradients:
    parameters = {name: value.detach() for name, value in module.named_parameters()}
    buffers, schema, names = dict(module.named_buffers()), view.data_schema, list(view.gradient)

    def loss(values: dict[str, Tensor], units: Tensor, targets: Tensor) -> Tensor:
        logits = functional_call(module, values | buffers, (unscaled(units, schema),))
        return -(targets * log_softmax(logits, -1)).sum(1).mean()

    each = vmap(grad(loss), in_dims=(None, 0, 0))
    return lambda units, targets: _flat(each(parameters, units, targets), names)


def _flat(gradient: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
    return torch.cat([gradient[name].flatten(1) for name in names], 1)


def _apart(found: Tensor, wanted: Tensor, params: GradientInversionParams) -> Tensor:
    """Return the distance ``[g]`` of gradients ``[g, parameters]``."""
    if params.distance == "l2":
        return (found - wanted).square().sum(1)
    sizes = found.square().sum(1).clamp_min(_TINY).sqrt() * wanted.square().sum(1).clamp_min(_TINY).sqrt()
    return 1 - (found * wanted).sum(1) / sizes


def _descend(distance: Callable[[], Tensor], free: list[Tensor], params: GradientInversionParams) -> None:
    """Change the free tensors in place so that the distance falls.

    Adam keeps the first of them, the inputs, in 0 .. 1. L-BFGS knows no bounds: its inputs are put back afterwards.
    """
    if params.optimizer == "lbfgs":
        optimizer: torch.optim.Optimizer = torch.optim.LBFGS(
            free, lr=params.learning_rate, max_iter=params.steps, line_search_fn="strong_wolfe"
        )
        optimizer.step(lambda: _differentiated(distance, free, signed=False))
    else:
        optimizer = torch.optim.Adam(free, lr=params.learning_rate)
        falls = torch.optim.lr_scheduler.MultiStepLR(optimizer, [round(part * params.steps) for part in _DECAYS])
        for _ in range(params.steps):
            _differentiated(distance, free, signed=True)
            optimizer.step()
            falls.step()
            with torch.no_grad():
                free[0].clamp_(0, 1)


def _differentiated(distance: Callable[[], Tensor], free: list[Tensor], *, signed: bool) -> float:
    cost = distance()
    for value, slope in zip(free, torch.autograd.grad(cost, free), strict=True):
        value.grad = slope.sign() if signed else slope
    return float(cost.detach())
