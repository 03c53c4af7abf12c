"""The privacy audit: a membership game about rows that fair coins put among the training rows, guesses fixed before.

The number of right guesses bounds from below the epsilon of any account that holds (arXiv:2305.08846).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import torch
from pydantic import Field
from torch import Tensor

from amulet_core.games import membership
from amulet_core.games.artifacts import Artifact, shaped
from amulet_core.games.audit_threat import AuditThreat
from amulet_core.games.contest import Contest
from amulet_core.games.membership import MembershipAnswer, MembershipView
from amulet_core.games.threats import MembershipThreat
from amulet_core.schema import Finite, Frozen
from amulet_core.vocabulary import Access

EPSILONS: Final = ("epsilon", "epsilon_prv", "epsilon_rdp")
"""The names of what an account claims for the whole training; whatever else it tells (of one step, say) is no claim."""


class Claim(Frozen):
    """What an account says of a model: (epsilon, delta) privacy, given the output of the stages ``conditional_on``."""

    epsilon: Finite = Field(ge=0)
    delta: Finite = Field(ge=0, le=1)
    conditional_on: tuple[str, ...] = ()


class AuditResult(Artifact):
    """Which audit rows were trained on, what was guessed of them, and what the defense claims of that very model.

    ``guess`` is 1 for "in", -1 for "out" and 0 for no guess. ``confidence`` is that of this audit's bound, ``audits``
    how many of them the run has: 0 for a control, which raises no alarm.
    """

    included: Annotated[Tensor, shaped(torch.bool, "n")]
    guess: Annotated[Tensor, shaped(torch.int64, "n")]
    epsilon: float
    delta: float
    conditional_on: tuple[str, ...]
    confidence: float
    audits: int
    warnings: tuple[str, ...] = ()


def view(contest: Contest, threat: AuditThreat, access: Access) -> MembershipView:
    """Return what the attack gets: the audit rows as candidates of membership, and no shadow models."""
    return membership.view(contest, _as_membership(threat), access)


def judge(
    contest: Contest, answer: MembershipAnswer, threat: AuditThreat, *, claim: Claim, audits: int, attacks: int
) -> AuditResult:
    """Guess by the scores, as many as were fixed beforehand, and join the guesses with the coins.

    The bound's error is shared out among ``attacks``, so that the largest of their bounds holds too.

    Raises:
        ValueError: if there is not one score a row.
    """
    told = membership.judge(contest, answer, _as_membership(threat))
    return AuditResult(
        included=told.member,
        guess=guesses(told.score, guessed_in=threat.guessed_in, guessed_out=threat.guessed_out),
        epsilon=claim.epsilon,
        delta=claim.delta,
        conditional_on=claim.conditional_on,
        confidence=1 - (1 - threat.confidence) / attacks,
        audits=audits,
        warnings=told.warnings,
    )


def guesses(score: Tensor, *, guessed_in: int, guessed_out: int) -> Tensor:
    """Guess the highest scores to be in (1) and the lowest to be out (-1); of equal ones those that come first."""
    guess = torch.zeros(len(score), dtype=torch.int64)
    order = score.argsort(descending=True, stable=True)
    guess[order[:guessed_in]] = 1
    guess[order[len(order) - guessed_out :]] = -1
    return guess


def claimed(evidence: Mapping[str, Any]) -> Claim:
    """Return what the evidence ``privacy`` claims: the smallest of its ``EPSILONS``, as each is said to hold.

    Raises:
        ValueError: if it names none of them, or no delta.
    """
    spent = evidence.get("privacy")
    spent = spent if isinstance(spent, Mapping) else {}
    epsilons = [spent[name] for name in EPSILONS if name in spent]
    if not epsilons or "delta" not in spent:
        raise ValueError(
            f'it accounts for privacy, but its evidence "privacy" names no epsilon ({" or ".join(EPSILONS)}) and delta '
            "that could be audited"
        )
    return Claim(epsilon=min(epsilons), delta=spent["delta"], conditional_on=tuple(spent.get("conditional_on", ())))


def _as_membership(threat: AuditThreat) -> MembershipThreat:
    return MembershipThreat(population=threat.population)
