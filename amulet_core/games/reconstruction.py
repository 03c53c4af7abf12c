"""The reconstruction game: the adversary hands back inputs, and the core compares them with the training rows.

What it hands back is the attack's tag: a typical input of each ``class``, given ``row``s from what the victim says of
them, or the ``batch`` of rows behind a released gradient. The truth, and the answers that need no victim (the class
mean of the adversary's own rows, and an all-zero input), are joined by the core on the very same targets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot

from amulet_core.data import Data, bounds
from amulet_core.feasible import span
from amulet_core.games.artifacts import Artifact, shaped
from amulet_core.games.contest import Contest, accessible
from amulet_core.games.gradients import Batch, batch_of, released
from amulet_core.games.threats import ReconstructionThreat
from amulet_core.schema import DataSchema
from amulet_core.streams import generator
from amulet_core.victims import LabelOracle, ProbabilityOracle, WhiteBox, logits_of
from amulet_core.vocabulary import Access, Reconstructed

_SLACK = 1e-4
"""How far beyond the bounds an answer may lie by rounding, as a fraction of each feature's range."""


class ReconstructionView(Artifact):
    """What the adversary gets: what to reconstruct, the victim by its access, and rows of its own.

    ``size`` inputs are asked for. ``y`` are their classes: every class once, the true classes of the rows, or nothing
    for a batch (the control is told). ``observed`` and ``observed_aux`` are the deployed victim's log-probabilities on
    the rows to be reconstructed and on the adversary's own. ``gradient`` holds, by parameter of ``model``, what was
    released of each batch of ``batch`` rows, ``[size / batch, ...]``; ``model`` then is the one it was taken at.
    """

    kind: Reconstructed
    size: int
    model: WhiteBox | ProbabilityOracle | LabelOracle | None
    y: Annotated[Tensor, shaped(torch.int64, "told")]
    observed: Annotated[Tensor, shaped(torch.float32, "rows", "classes")]
    gradient: Mapping[str, Tensor]
    batch: int
    aux_x: Annotated[Tensor, shaped(torch.float32, "m", ...)]
    aux_y: Annotated[Tensor, shaped(torch.int64, "m")]
    observed_aux: Annotated[Tensor, shaped(torch.float32, "seen", "classes")]
    data_schema: DataSchema


class ReconstructionAnswer(Artifact):
    """What it hands back: one input within the data's bounds for each that was asked for.

    Rows of one batch may come in any order: the core pairs them with the truth as well as they can be paired.
    """

    x: Annotated[Tensor, shaped(torch.float32, "size", ...)]
    warnings: tuple[str, ...] = ()


class ReconstructionResult(Artifact):
    """The answer joined with the truth.

    ``x [size]`` answers the rows ``truth [m]`` with ``of == position``: all rows of a class, or a row each. ``member``
    tells which of those the victim was trained on. ``class_mean`` and ``zero`` stand in the place of ``x`` for an
    adversary without a victim. ``nearest_train`` and ``nearest_held_out`` are distances to the nearest of equally many
    training and held-out rows, with the same classes, in units of the features' ranges (none where no class has rows of
    both). ``verdict`` is what the column's verdict is about.
    """

    kind: Reconstructed
    verdict: Reconstructed
    x: Annotated[Tensor, shaped(torch.float32, "size", ...)]
    truth: Annotated[Tensor, shaped(torch.float32, "m", ...)]
    of: Annotated[Tensor, shaped(torch.int64, "m")]
    member: Annotated[Tensor, shaped(torch.bool, "m")]
    class_mean: Annotated[Tensor, shaped(torch.float32, "size", ...)]
    zero: Annotated[Tensor, shaped(torch.float32, "size", ...)]
    nearest_train: Annotated[Tensor, shaped(torch.float32, "found")]
    nearest_held_out: Annotated[Tensor, shaped(torch.float32, "found")]
    data_schema: DataSchema
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Targets:
    """What is asked for: classes ``y [size]``, and the rows that each shows; see ``ReconstructionResult``."""

    y: Tensor
    rows: Data
    of: Tensor
    member: Tensor


def view(contest: Contest, threat: ReconstructionThreat, access: Access) -> ReconstructionView:
    """Return the adversary's view; which rows are asked for is the seed's draw, the same for every defense.

    Raises:
        ComponentError: blaming the defense or the architecture, if no gradient comes out of the recipe.
    """
    kind = contest.reconstructs or threat.verdict
    batch = batch_of(contest, threat) if kind == "batch" else None
    targets, aux = _targets(contest, threat, batch), contest.aux
    sees, nothing = access in ("white-box", "probabilities"), torch.zeros(0, len(aux.schema.classes))
    taken = released(contest, batch, threat) if batch and access == "gradients" else None
    model, gradient = taken or (accessible(contest, access), {})
    return ReconstructionView(
        kind=kind,
        size=len(targets.y),
        model=model,
        y=targets.y if kind != "batch" or access == "none" else targets.y[:0],
        observed=_log_probabilities(contest.model, targets.rows.x) if sees and kind == "row" else nothing,
        gradient=gradient,
        batch=threat.batch,
        aux_x=aux.x,
        aux_y=aux.y,
        observed_aux=_log_probabilities(contest.model, aux.x) if sees else nothing,
        data_schema=aux.schema,
    )


def judge(contest: Contest, answer: ReconstructionAnswer, threat: ReconstructionThreat) -> ReconstructionResult:
    """Join the inputs with the rows that they should show, and with what is known without any victim.

    Raises:
        TypeError: if it is no answer.
        ValueError: if there are not as many inputs as asked for, or some leave the data's bounds.
    """
    kind, schema = contest.reconstructs or threat.verdict, contest.pool.schema
    targets = _targets(contest, threat, batch_of(contest, threat) if kind == "batch" else None)
    x, truth = _accepted(answer, len(targets.y), schema), targets.rows.x
    low, high = bounds(schema)
    means = class_means(contest.aux.x, contest.aux.y, len(schema.classes))[targets.y].clamp(low, high)
    if kind == "batch":
        x, means = (_paired(given, truth, threat.batch, schema) for given in (x, means))
    train, held_out = _matched_halves(contest)
    return ReconstructionResult(
        kind=kind,
        verdict=threat.verdict,
        x=x,
        truth=truth,
        of=targets.of,
        member=targets.member,
        class_mean=means,
        zero=torch.zeros_like(x).clamp(low, high),
        nearest_train=_nearest(x, train, schema),
        nearest_held_out=_nearest(x, held_out, schema),
        data_schema=schema,
        warnings=answer.warnings,
    )


def class_means(x: Tensor, y: Tensor, classes: int) -> Tensor:
    """Return the mean row of each class, ``[classes, ...]``; a class without rows has the mean of all of them."""
    weights = one_hot(y, classes).to(x.dtype)
    counts = weights.sum(0)
    means = (weights.T @ x.flatten(1)) / counts.clamp_min(1)[:, None]
    return torch.where(counts[:, None] > 0, means, x.flatten(1).mean(0)).reshape(classes, *x.shape[1:])


def _targets(contest: Contest, threat: ReconstructionThreat, batch: Batch | None) -> _Targets:
    """Return what is asked for: the same rows for every attack of a kind, and every defense that keeps them."""
    if batch is not None:
        of = torch.arange(len(batch.rows))
        return _Targets(batch.rows.y, batch.rows, of, torch.ones(len(of), dtype=torch.bool))
    if (contest.reconstructs or threat.verdict) == "class":
        classes = torch.arange(len(contest.pool.schema.classes))
        return _Targets(classes, contest.pool, contest.pool.y, contest.member)
    chosen = _candidates(contest, threat.rows)
    rows = contest.pool.take(chosen)
    return _Targets(rows.y, rows, torch.arange(len(rows)), contest.member[chosen])


def _candidates(contest: Contest, rows: int) -> Tensor:
    """Return positions in the pool, half of them training rows, in random order."""
    order = torch.randperm(len(contest.pool), generator=generator(*contest.draws, "reconstruction"))
    halves = [order[contest.member[order] == side][: rows // 2] for side in (True, False)]
    # In the pool's random order, members and others mixed: the place of a row must not tell which it is.
    return order[torch.isin(order, torch.cat(halves))]


def _accepted(answer: ReconstructionAnswer, size: int, schema: DataSchema) -> Tensor:
    if not isinstance(answer, ReconstructionAnswer):
        raise TypeError(f"it returned {type(answer).__name__}, expected a ReconstructionAnswer")
    expected = (size, *schema.shape)
    if tuple(answer.x.shape) != expected:
        raise ValueError(f"the answer's x is {list(answer.x.shape)}, expected [size, ...] = {list(expected)}")
    low, high = bounds(schema)
    slack = _SLACK * (high - low)
    outside = int(((answer.x < low - slack) | (answer.x > high + slack)).flatten(1).any(1).sum())
    if outside:
        raise ValueError(f"the answer breaks the rules of the game: {outside} of {size} inputs leave the data's bounds")
    return answer.x.clamp(low, high)


def _paired(x: Tensor, truth: Tensor, batch: int, schema: DataSchema) -> Tensor:
    """Return the inputs of each batch in the order of the rows that they come closest to, all together."""
    flat = [(one / span(schema)).flatten(1).reshape(-1, batch, schema.width) for one in (x, truth)]
    costs = torch.cdist(flat[1], flat[0]).square().numpy()
    order = torch.stack([torch.from_numpy(linear_sum_assignment(cost)[1]) for cost in costs])
    return x[(order + batch * torch.arange(len(costs))[:, None]).flatten()]


def _matched_halves(contest: Contest) -> tuple[Tensor, Tensor]:
    """Return equally many training and held-out rows of each class: nearest neighbours depend on how many there are."""
    order = torch.randperm(len(contest.pool), generator=generator(*contest.draws, "reconstruction", "neighbours"))
    y, member = contest.pool.y[order], contest.member[order]
    chosen: tuple[list[Tensor], list[Tensor]] = ([], [])
    for label in y.unique():
        sides = [order[(y == label) & (member == side)] for side in (True, False)]
        least = min(map(len, sides))
        for kept, side in zip(chosen, sides, strict=True):
            kept.append(side[:least])
    train, held_out = (contest.pool.x[torch.cat(kept)] for kept in chosen)
    return train, held_out


def _nearest(x: Tensor, rows: Tensor, schema: DataSchema) -> Tensor:
    """Return the distance ``[size]`` of each input to the nearest of ``rows``, in units of the features' ranges.

    Without rows the distances are empty.
    """
    # In double precision: the distances of equal rows would come out as 5e-4 in single.
    scaled = [(one / span(schema)).flatten(1).double() for one in (x, rows)]
    return torch.cdist(scaled[0], scaled[1]).amin(1).float() if len(rows) else torch.zeros(0)


def _log_probabilities(model: nn.Module, x: Tensor) -> Tensor:
    return log_softmax(logits_of(model, x), 1)
