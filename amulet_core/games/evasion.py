"""The evasion game: the adversary gets a model, rows and a budget, and hands back changed rows for every budget.

The budget and what may be changed at all are the data set's ``Feasible``; the core checks that an answer keeps to
them, scores it on the deployed model against the *true* labels, and carries a success at one budget to the larger ones.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor, nn

from amulet_core.data import Data, bounds
from amulet_core.feasible import distance, project
from amulet_core.games.artifacts import Artifact, shaped
from amulet_core.games.contest import Contest, accessible
from amulet_core.games.threats import EvasionThreat
from amulet_core.schema import DataSchema
from amulet_core.streams import generator
from amulet_core.victims import LabelOracle, ProbabilityOracle, WhiteBox, logits_of
from amulet_core.vocabulary import Access, Norm

_TOLERANCE = 1e-4
_ROUNDING = 1e-6


class EvasionView(Artifact):
    """What the adversary gets: a model by its access, rows with their true labels, and its budgets, ascending."""

    model: WhiteBox | ProbabilityOracle | LabelOracle | None
    x: Annotated[Tensor, shaped(torch.float32, "n", ...)]
    y: Annotated[Tensor, shaped(torch.int64, "n")]
    norm: Norm
    epsilons: tuple[float, ...]
    data_schema: DataSchema


class EvasionAnswer(Artifact):
    """What it hands back: for every budget, every row, changed or not; warnings of its own are shown to the reader."""

    x: Annotated[Tensor, shaped(torch.float32, "budgets", "n", ...)]
    warnings: tuple[str, ...] = ()


class CertificateQuestion(Artifact):
    """Where is the trained model's prediction ``y``, whatever is done to ``x`` within each of the budgets, ascending?

    ``model`` is the deployed one (a copy). What may be done to a row is the schema's ``Feasible``; epsilons are
    fractions of each feature's range.
    """

    model: nn.Module
    x: Annotated[Tensor, shaped(torch.float32, "n", ...)]
    y: Annotated[Tensor, shaped(torch.int64, "n")]
    norm: Norm
    epsilons: tuple[float, ...]
    data_schema: DataSchema


class EvasionResult(Artifact):
    """The answer joined with the truth: which rows are still classified correctly at each budget.

    ``certified``: which rows a defense proved right at each budget, whatever the attack (none: no defense certifies).
    """

    epsilons: tuple[float, ...]
    primary: int
    norm: Norm
    clean: Annotated[Tensor, shaped(torch.bool, "n")]
    robust: Annotated[Tensor, shaped(torch.bool, "budgets", "n")]
    y: Annotated[Tensor, shaped(torch.int64, "n")]
    certified: Annotated[Tensor | None, shaped(torch.bool, "budgets", "n")] = None
    warnings: tuple[str, ...] = ()


def view(contest: Contest, threat: EvasionThreat, access: Access) -> EvasionView:
    """Return the adversary's view: the test rows that this seed attacks, the same for every defense."""
    rows = _attacked(contest.test, threat, contest.draws)
    return EvasionView(
        model=accessible(contest, access),
        x=rows.x,
        y=rows.y,
        norm=threat.norm,
        epsilons=threat.epsilons,
        data_schema=rows.schema,
    )


def certifiable(
    model: nn.Module, test: Data, threat: EvasionThreat, draws: tuple[str | int, ...]
) -> CertificateQuestion:
    """Return what certifying defenses are asked: the rows that this seed attacks, and all that its judge lets pass."""
    rows = _attacked(test, threat, draws)
    return CertificateQuestion(
        model=model,
        x=rows.x,
        y=rows.y,
        norm=threat.norm,
        epsilons=tuple(epsilon * (1 + _TOLERANCE) + _ROUNDING for epsilon in threat.epsilons),
        data_schema=rows.schema,
    )


def judge(contest: Contest, answer: EvasionAnswer, threat: EvasionThreat) -> EvasionResult:
    """Score an answer on the deployed model, against the core's own copy of the rows.

    What the answer's rounding leaves outside of the possible inputs is projected back before the model is asked.

    Raises:
        ValueError: naming every budget that the answer exceeds, or if it has another shape than asked for.
    """
    rows = _attacked(contest.test, threat, contest.draws)
    settled = _possible_inputs(rows, answer, threat)
    clean = logits_of(contest.model, rows.x).argmax(1) == rows.y
    survives, robust = clean, []
    for changed in settled:
        survives = survives & (logits_of(contest.model, changed).argmax(1) == rows.y)
        robust.append(survives)
    certified = None if contest.certified is None else contest.certified & clean
    return EvasionResult(
        epsilons=threat.epsilons,
        primary=threat.epsilons.index(threat.epsilon),
        norm=threat.norm,
        clean=clean,
        robust=torch.stack(robust),
        y=rows.y,
        certified=certified,
        warnings=(*answer.warnings, *_alarms(certified, torch.stack(robust), threat)),
    )


def _alarms(certified: Tensor | None, robust: Tensor, threat: EvasionThreat) -> tuple[str, ...]:
    """Say at which budgets a row was fooled that a defense had proved right."""
    if certified is None:
        return ()
    fooled = (certified & ~robust).sum(1).tolist()
    return tuple(
        f"{count} of {int(proved.sum())} rows that are certified at budget {epsilon:g} were fooled within it: the "
        "certificate is wrong, or does not hold for the model as it is deployed"
        for epsilon, proved, count in zip(threat.epsilons, certified, fooled, strict=True)
        if count
    )


def worst(results: Sequence[EvasionResult]) -> EvasionResult:
    """Join attacks on the same rows: a row is robust only if it survives them all."""
    first = results[0]
    robust = torch.stack([result.robust for result in results]).all(0)
    return first.model_copy(
        update={"robust": robust, "warnings": tuple(text for result in results for text in result.warnings)}
    )


def _attacked(test: Data, threat: EvasionThreat, draws: tuple[str | int, ...]) -> Data:
    order = torch.randperm(len(test), generator=generator(*draws, "evasion"))
    return test.take(order[: threat.rows])


def _possible_inputs(rows: Data, answer: EvasionAnswer, threat: EvasionThreat) -> Tensor:
    """Return the answer as possible inputs ``[budgets, n, ...]``, or refuse it where that is more than rounding."""
    expected = (len(threat.epsilons), *rows.x.shape)
    if tuple(answer.x.shape) != expected:
        raise ValueError(f"the answer's x is {list(answer.x.shape)}, expected [budgets, n, ...] = {list(expected)}")
    low, high = bounds(rows.schema)
    problems, possible = [], []
    for epsilon, changed in zip(threat.epsilons, answer.x, strict=True):
        used = distance(changed, rows.x, rows.schema, norm=threat.norm)
        over = int((used > epsilon * (1 + _TOLERANCE) + _ROUNDING).sum())
        if over:
            problems.append(
                f"{over} rows lie up to {float(used.max()):.4g} away, the budget is {epsilon:g} ({threat.norm})"
            )
        slack = _TOLERANCE * (high - low)
        outside = int(((changed < low - slack) | (changed > high + slack)).flatten(1).any(1).sum())
        if outside:
            problems.append(f"{outside} rows leave the data's bounds at budget {epsilon:g}")
        settled = project(changed, rows.x, rows.schema, norm=threat.norm, epsilon=epsilon)
        possible.append(settled)
        unfeasible = int(((settled - changed).abs() > slack).flatten(1).any(1).sum())
        if unfeasible and not over and not outside:
            problems.append(
                f"{unfeasible} rows change features they must not, or to impossible values, at budget {epsilon:g}"
            )
    if problems:
        raise ValueError("the answer breaks the rules of the game: " + "; ".join(problems))
    return torch.stack(possible)
