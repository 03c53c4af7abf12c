"""MI-FACE: descend the victim's cost of a class in the input, all classes at once (Fredrikson et al. 2015)."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from amulet_core.games.reconstruction import ReconstructionAnswer, ReconstructionView, class_means
from amulet_core.victims import WhiteBox
from amulet_plugins_builtin.catalogue.reconstruction import MiFaceParams
from amulet_plugins_builtin.reconstruction.units import from_units, to_units, total_variation, unscaled


def attack(view: ReconstructionView, params: MiFaceParams) -> ReconstructionAnswer:
    """Return the input of lowest cost on the way down, for each class asked for.

    Algorithm 1 of doi:10.1145/2810103.2813677, with the class' negative log-probability for its cost 1 - f(x), which is
    flat where the class is unlikely, Adam for its fixed step, projection onto the bounds after each step, and total
    variation for its AuxTerm on images.
    """
    schema = view.data_schema
    u = _start(view, params).clone().requires_grad_()
    optimizer = torch.optim.Adam([u], lr=params.learning_rate)
    best, lowest = u.detach().clone(), torch.full((view.size,), torch.inf)
    for _ in range(params.steps + 1):
        cost = _cost(view, u, params)
        found = cost.detach()
        better = found < lowest
        best[better], lowest = u.detach()[better], torch.where(better, found, lowest)
        (u.grad,) = torch.autograd.grad(cost.sum(), u)
        optimizer.step()
        with torch.no_grad():
            u.clamp_(0, 1)
    return ReconstructionAnswer(x=from_units(best, schema))


def _start(view: ReconstructionView, params: MiFaceParams) -> Tensor:
    if params.start == "grey":
        return torch.full((view.size, *view.data_schema.shape), 0.5)
    means = class_means(view.aux_x, view.aux_y, len(view.data_schema.classes))
    return to_units(means[view.y], view.data_schema).clamp(0, 1)


def _cost(view: ReconstructionView, u: Tensor, params: MiFaceParams) -> Tensor:
    """Return the cost ``[n]`` of each input."""
    assert isinstance(view.model, WhiteBox)
    cost = cross_entropy(view.model.logits(unscaled(u, view.data_schema)), view.y, reduction="none")
    if view.data_schema.modality == "image" and params.smoothness:
        cost = cost + params.smoothness * total_variation(u)
    return cost
