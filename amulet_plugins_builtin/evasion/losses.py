"""What the attacks climb: losses of the logits that grow as a row gets closer to being fooled, and their gradients."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from amulet_plugins_builtin.evasion.ascent import Logits, lead

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``loss(logits [n, classes], y [n], target [n]) -> [n]``; untargeted ones ignore the target."""

# Two logits that are equal make no scale to divide by.
_TINY = 1e-12


class Slope(NamedTuple):
    """At each row: the gradient of the loss ``[n, ...]``, the loss ``[n]`` and the logits ``[n, classes]``."""

    gradient: Tensor
    value: Tensor
    scores: Tensor


def ce(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:  # noqa: ARG001 - every loss is called so
    """Return the lead of the other classes that grows with the cross-entropy (``ascent.lead``)."""
    return lead(logits, y, loss="ce")


def margin(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:  # noqa: ARG001 - every loss is called so
    """Return the largest other logit minus the true one."""
    return lead(logits, y, loss="margin")


def dlr(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:  # noqa: ARG001 - every loss is called so
    """Return the difference-of-logits ratio (arXiv:2003.01690, equation 6): the margin over z_1 - z_3, sorted."""
    top = logits.topk(3, dim=1).values
    return lead(logits, y, loss="margin") / (top[:, 0] - top[:, 2]).clamp_min(_TINY)


def towards(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """Return the target's logit minus the true one."""
    ahead = logits.gather(1, target[:, None]) - logits.gather(1, y[:, None])
    return ahead[:, 0]


def targeted_dlr(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """Return the targeted ratio (arXiv:2003.01690, equation 7): z_t - z_y over z_1 - (z_3 + z_4) / 2, sorted."""
    top = logits.topk(4, dim=1).values
    return towards(logits, y, target) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2).clamp_min(_TINY)


def loss_named(name: Literal["ce", "margin", "dlr", "targeted-dlr"], *, classes: int) -> Loss:
    """Return a loss by name, or what takes its place where there are too few classes for its scale.

    The ratio needs 3 classes, the targeted one 4: below that, the difference of the two logits without a scale.
    """
    if name == "targeted-dlr":
        return targeted_dlr if classes >= 4 else towards
    if name == "dlr":
        return dlr if classes >= 3 else margin
    return {"ce": ce, "margin": margin}[name]


def slope(logits: Logits, x: Tensor, y: Tensor, *, loss: Loss, target: Tensor) -> Slope:
    """Return the gradient of each row's loss in its own input ``x [n, ...]``; memory is bounded by working in parts."""
    size = rows_at_once(x)
    parts = [
        _slope(logits, *part, loss=loss) for part in zip(x.split(size), y.split(size), target.split(size), strict=True)
    ]
    return Slope(*(torch.cat(column) for column in zip(*parts, strict=True)))


def rows_at_once(x: Tensor) -> int:
    """Return how many rows a network is given at once: the wider the rows, the fewer."""
    return max(32, min(1024, 2**18 // max(1, x[0].numel() if len(x) else 1)))


def without_gradients(logits: Logits) -> Logits:
    """Return the same function without gradients, working in parts."""

    def ask(x: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([logits(part) for part in x.split(rows_at_once(x))])

    return ask


def _slope(logits: Logits, x: Tensor, y: Tensor, target: Tensor, *, loss: Loss) -> Slope:
    at, scores = tracked(logits, x)
    with torch.enable_grad():
        value = loss(scores, y, target)
    return Slope(pulled_back(value.sum(), at), value.detach(), scores.detach())


def tracked(logits: Logits, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return a copy of ``x`` and the logits there, ready for gradients of the copy.

    By the autograd engine, not by ``torch.func``: models that take gradients of their own while they predict refuse to
    run inside its transforms.
    """
    with torch.enable_grad():
        at = x.detach().clone().requires_grad_()
        return at, logits(at)


def pulled_back(value: Tensor, at: Tensor, *, along: Tensor | None = None) -> Tensor:
    """Return the gradient of ``value`` in ``at``, zero where it has no influence; ``along`` keeps the graph."""
    if not value.requires_grad:
        return torch.zeros_like(at)
    more = along is not None
    (gradient,) = torch.autograd.grad(
        value, at, grad_outputs=along, retain_graph=more, allow_unused=True, materialize_grads=True
    )
    return gradient
