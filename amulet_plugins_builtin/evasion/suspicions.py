"""Signs that an attack was hindered rather than a model robust (after arXiv:2003.01690 and arXiv:1902.06705).

Each function returns a warning for the reader, or nothing.
"""

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from amulet_core.feasible import mutable
from amulet_core.games.evasion import EvasionView
from amulet_plugins_builtin.evasion.ascent import Logits
from amulet_plugins_builtin.evasion.found import Found
from amulet_plugins_builtin.evasion.losses import Loss, margin, slope

_DIFFERENT = 1e-4
_SAMPLE = 32


def zero_gradients(
    logits: Logits, view: EvasionView, found: Found, *, attack: str, share: float, loss: Loss = margin
) -> tuple[str, ...]:
    """Warn if the gradient of the loss is exactly zero at more than ``share`` of the rows that are correct.

    ``loss`` is one without a target. The margin's gradient vanishes only if the network itself has none; it does not
    underflow as the cross-entropy's.
    """
    rows = (~found.fooled).nonzero()[:, 0]
    if not len(rows):
        return ()
    gradient = slope(logits, view.x[rows], view.y[rows], loss=loss, target=view.y[rows]).gradient
    free = mutable(view.data_schema, norm=view.norm, epsilon=view.epsilons[-1])
    zero = int((gradient * free == 0).flatten(1).all(1).sum())
    if zero <= share * len(rows):
        return ()
    text = (
        f"masked gradients: the gradient of the loss is exactly zero at {zero} of the {len(rows)} rows that the "
        f"model classifies correctly, so {attack} cannot see which way to go there and the robust accuracy may be too "
        "high; run an attack without gradients beside it"
    )
    return (text,)


def random_outputs(ask: Logits, x: Tensor) -> tuple[str, ...]:
    """Warn if the model answers the same question in two ways."""
    first, second = ask(x), ask(x)
    changed = int((first.argmax(1) != second.argmax(1)).sum())
    apart = float((first - second).abs().amax()) if len(x) else 0.0
    if not changed and apart <= _DIFFERENT * max(1.0, float(first.abs().amax()) if len(x) else 1.0):
        return ()
    text = (
        f"random outputs: asked twice about the same {len(x)} rows, the model's logits differ by up to {apart:.2g} and "
        f"its label for {changed} rows; autoattack takes each answer as it comes, so the robust accuracy says little: "
        "attack such a model in expectation"
    )
    return (text,)


def outputs_that_are_probabilities(scores: Tensor) -> tuple[str, ...]:
    """Warn if outputs ``[n, classes]`` are probabilities, which saturate, instead of logits."""
    alike = bool((scores >= 0).all()) and bool(((scores.sum(1) - 1).abs() <= _DIFFERENT).all())
    if not len(scores) or not alike:
        return ()
    text = (
        "outputs are probabilities: every row of the model's outputs is positive and sums to 1, as if a softmax came "
        "last; where it saturates there is no gradient and the robust accuracy may be too high: attack the model "
        "beneath, which gives logits"
    )
    return (text,)


def gradients_at_inference(logits: Logits, x: Tensor) -> tuple[str, ...]:
    """Warn if the model computes gradients of its own while it predicts, as defenses that optimise the input do.

    Such gradients need saved tensors, and a network that only predicts saves none while gradients are off.
    """
    saved: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tensor.numel())
        return tensor

    try:
        with torch.no_grad(), saved_tensors_hooks(pack, lambda tensor: tensor):
            logits(x[:_SAMPLE])
    except RuntimeError as error:
        # Gradients by torch.func refuse the hooks, and say so.
        if "saved tensor hooks" not in str(error):
            raise
        saved.append(0)
    if not saved:
        return ()
    text = (
        "gradients at inference: the model computes gradients while it predicts, as a defense that optimises its input "
        "does; autoattack follows only part of that, so the robust accuracy may be too high: attack such a defense "
        "with knowledge of it"
    )
    return (text,)


def black_box_wins(more: int, rows: int, *, epsilon: float, share: float) -> tuple[str, ...]:
    """Warn if random search fooled ``more`` rows than gradients, and that is more than ``share`` of ``rows``."""
    if more <= share * rows:
        return ()
    text = (
        f"masked gradients: at budget {epsilon:g} random search without gradients fools {more} of {rows} rows that "
        "withstood every attack with gradients, so these are hindered and the robust accuracy may be too high; give "
        "random search more queries, or attack with knowledge of the defense"
    )
    return (text,)


def more_steps_help(more: int, rows: int, *, epsilon: float, steps: int, share: float) -> tuple[str, ...]:
    """Warn if twice the ``steps`` fooled ``more`` rows, and that is more than ``share`` of ``rows``."""
    if more <= share * rows:
        return ()
    text = (
        f"too few steps: at budget {epsilon:g} a climb of {2 * steps} steps fools {more} of {rows} rows that withstood "
        f"the whole sequence with {steps}, so the robust accuracy may still be too high; set steps higher"
    )
    return (text,)
