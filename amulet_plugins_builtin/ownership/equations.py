"""Equation solving: the weights of a softmax-linear victim from its probabilities (Tramer et al., arXiv:1609.02943)."""

from contextlib import ExitStack
from typing import Any, Final

import torch
from torch import Tensor, nn

from amulet_core.data import bounds
from amulet_core.games.theft import TheftAnswer, TheftView
from amulet_core.oracles import BudgetOracle
from amulet_core.schema import DataSchema
from amulet_plugins_builtin.catalogue.ownership import EquationSolvingParams

_ZERO: Final = 1e-30
"""What deployed models tell for a probability of zero is no less than the smallest float, and says as little."""


def attack(view: TheftView, params: EquationSolvingParams) -> TheftAnswer:
    """Ask about uniformly random inputs within the data's bounds, and solve for the weights (section 4.1.2).

    ``log p_c - mean over c of log p = (w_c - mean w) x + b_c - mean b``: a linear system in float64, solved by least
    squares. A shift common to all classes changes no probability, and is left out. ``d + 1`` answers determine the
    ``d`` weights and the bias of every class; fewer are a warning. Answers with a probability of zero, which has no
    logarithm, are left out if the others suffice; if not, zeros are taken for guesses, which is a warning, too.

    Raises:
        ValueError: if the oracle tells less than all probabilities, or the architecture is not one affine layer.
    """
    oracle = view.model
    if not isinstance(oracle, BudgetOracle) or oracle.tells != "probabilities":
        told = oracle.tells if isinstance(oracle, BudgetOracle) else "nothing"
        raise ValueError(f"equation-solving needs an oracle that tells all probabilities; this one tells {told}")
    stolen = view.architecture()
    layer = affine_layer(stolen, view.x)
    unknowns = layer.in_features + (layer.bias is not None)
    x = _within_bounds(view.data_schema, min(view.budget, round(params.oversampling * unknowns)))
    answers = oracle.ask(x).double()
    clean = (answers > _ZERO).all(1)
    used = clean if int(clean.sum()) >= min(unknowns, len(x)) else torch.ones_like(clean)
    inputs, _ = _seen_by(layer, stolen, x[used])
    logs = _logarithms(answers[used])
    _write(layer, affine_map(inputs.double(), logs - logs.mean(1, keepdim=True), bias=layer.bias is not None))
    warnings = _warnings(int(used.sum()), int((used & ~clean).sum()), unknowns)
    return TheftAnswer(model=stolen.eval().requires_grad_(False), warnings=warnings)


def affine_layer(model: nn.Module, x: Tensor) -> nn.Linear:
    """Return the affine layer whose outputs are the logits, and which holds all weights of the model.

    Raises:
        ValueError: if there is none, naming the layers with weights.
    """
    holders = {name: part for name, part in model.named_modules() if list(part.parameters(recurse=False))}
    layers = [part for part in holders.values() if isinstance(part, nn.Linear)]
    if len(holders) == len(layers) == 1:
        inputs, logits = _seen_by(layers[0], model, x)
        if inputs.ndim == 2 and torch.equal(logits, layers[0](inputs)):
            return layers[0]
    raise ValueError(
        "equation-solving needs an architecture whose weights are one affine layer that gives the logits; the weights "
        f"of this architecture are in {', '.join(holders) or 'no layer'}"
    )


def _seen_by(layer: nn.Linear, model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return what reaches the layer ``[n, d]``, and the model's logits."""
    seen: list[Tensor] = []

    def keep(_layer: nn.Module, given: tuple[Any, ...]) -> None:
        seen.append(given[0])

    with ExitStack() as stack, torch.no_grad():
        stack.callback(layer.register_forward_pre_hook(keep).remove)
        logits = model(x)
    return seen[0], logits


def _within_bounds(schema: DataSchema, rows: int) -> Tensor:
    low, high = bounds(schema)
    return low + torch.rand(rows, *schema.shape) * (high - low)


def _logarithms(answers: Tensor) -> Tensor:
    """Return the logarithms, those of zeros as if they were half of the smallest probability told otherwise."""
    zero = answers <= _ZERO
    least = answers.masked_fill(zero, torch.inf).amin()
    return torch.where(zero, least / 2, answers).log()


def affine_map(inputs: Tensor, logits: Tensor, *, bias: bool) -> Tensor:
    """Return the least-squares weights ``[d (+ 1), classes]`` from ``inputs [n, d]`` to ``logits [n, classes]``.

    Of several solutions, as with fewer than ``d + 1`` rows, the smallest.
    """
    system = torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1) if bias else inputs
    # gelsd works without full rank, too: fewer answers than unknowns.
    solution: Tensor = torch.linalg.lstsq(system, logits, driver="gelsd").solution
    return solution


def _write(layer: nn.Linear, solution: Tensor) -> None:
    with torch.no_grad():
        layer.weight.copy_(solution[: layer.in_features].T)
        if layer.bias is not None:
            layer.bias.copy_(solution[-1])


def _warnings(answers: int, guessed: int, unknowns: int) -> tuple[str, ...]:
    few = f"{answers} answers do not determine {unknowns} weights a class: the smallest solution was taken"
    zeros = (
        f"{guessed} of {answers} answers have probabilities of zero, and the others do not determine {unknowns} "
        "weights a class: zeros were taken for half of the smallest probability told"
    )
    return (few,) * (answers < unknowns) + (zeros,) * (guessed > 0)
