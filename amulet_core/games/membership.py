"""The membership game: candidates come shuffled and unlabelled; the adversary scores each, higher meaning "member"."""

from typing import Annotated

import torch
from pydantic import FiniteFloat
from torch import Tensor
from torch.nn.functional import log_softmax

from amulet_core.games.artifacts import Artifact, shaped
from amulet_core.games.contest import Contest, accessible
from amulet_core.games.threats import MembershipThreat
from amulet_core.schema import DataSchema
from amulet_core.streams import generator
from amulet_core.victims import LabelOracle, ProbabilityOracle, WhiteBox, logits_of
from amulet_core.vocabulary import Access


class Lab(Artifact):
    """Shadow models as the adversary has them: what each says of every candidate, and which were its training rows.

    Log-probabilities, not logits: all that a probability oracle could tell. ``population`` are rows of the adversary's
    own, which no shadow model (and no victim) was trained on. With no shadow models, ``models`` is 0.
    """

    candidates: Annotated[Tensor, shaped(torch.float32, "models", "n", "classes")]
    members: Annotated[Tensor, shaped(torch.bool, "models", "n")]
    population: Annotated[Tensor, shaped(torch.float32, "models", "m", "classes")]


class MembershipView(Artifact):
    """What the adversary gets; ``observed`` and ``observed_population`` are the victim's log-probabilities, all finite.

    For a probability of 0 that a defense releases stands the logarithm of the smallest normal float32, -87.34.
    """

    model: WhiteBox | ProbabilityOracle | LabelOracle | None
    x: Annotated[Tensor, shaped(torch.float32, "n", ...)]
    y: Annotated[Tensor, shaped(torch.int64, "n")]
    observed: Annotated[Tensor, shaped(torch.float32, "n", "classes")]
    population_x: Annotated[Tensor, shaped(torch.float32, "m", ...)]
    population_y: Annotated[Tensor, shaped(torch.int64, "m")]
    observed_population: Annotated[Tensor, shaped(torch.float32, "m", "classes")]
    lab: Lab
    data_schema: DataSchema


class MembershipAnswer(Artifact):
    """What it hands back: one score a candidate, higher for likelier members.

    An attack may add a threshold that it fixed beforehand (on shadow models, or on rows of its own): balanced accuracy
    is measured there, a score at or above it calling the candidate a member.
    """

    score: Annotated[Tensor, shaped(torch.float64, "n")]
    threshold: FiniteFloat | None = None
    warnings: tuple[str, ...] = ()


class MembershipResult(Artifact):
    """The answer joined with the truth."""

    score: Annotated[Tensor, shaped(torch.float64, "n")]
    member: Annotated[Tensor, shaped(torch.bool, "n")]
    threshold: float | None = None
    warnings: tuple[str, ...] = ()


def view(contest: Contest, threat: MembershipThreat, access: Access) -> MembershipView:
    """Return the adversary's view; the order of the candidates is the seed's draw, the same for every defense."""
    order = _order(contest)
    own = torch.randperm(len(contest.aux), generator=generator(*contest.draws, "population"))[: threat.population]
    candidates, population = contest.pool.take(order), contest.aux.take(own)
    sees = access in ("white-box", "probabilities")
    observed, observed_population = (
        log_softmax(logits_of(contest.model, rows.x), 1) if sees else torch.zeros(len(rows), 0)
        for rows in (candidates, population)
    )
    return MembershipView(
        model=accessible(contest, access),
        x=candidates.x,
        y=candidates.y,
        observed=observed,
        population_x=population.x,
        population_y=population.y,
        observed_population=observed_population,
        lab=Lab(
            candidates=log_softmax(contest.bank.pool[:, order], 2),
            members=contest.bank.members[:, order],
            population=log_softmax(contest.bank.population[:, own], 2),
        ),
        data_schema=candidates.schema,
    )


def judge(contest: Contest, answer: MembershipAnswer, _threat: MembershipThreat) -> MembershipResult:
    """Join the scores with who was a member.

    Raises:
        ValueError: if there is not one score a candidate.
    """
    if len(answer.score) != len(contest.pool):
        raise ValueError(f"the answer has {len(answer.score)} scores for {len(contest.pool)} candidates")
    return MembershipResult(
        score=answer.score, member=contest.member[_order(contest)], threshold=answer.threshold, warnings=answer.warnings
    )


def _order(contest: Contest) -> Tensor:
    return torch.randperm(len(contest.pool), generator=generator(*contest.draws, "membership"))
