"""Planted results of every game, good or bad for the defender, that metrics are checked on."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import torch
from torch import Tensor

from amulet_core.data import bounds
from amulet_core.games.attribute import AttributeResult
from amulet_core.games.audit import AuditResult
from amulet_core.games.behavior import BehaviorResult
from amulet_core.games.distribution import DistributionResult
from amulet_core.games.evasion import EvasionResult
from amulet_core.games.membership import MembershipResult
from amulet_core.games.poisoning import PoisoningResult
from amulet_core.games.reconstruction import ReconstructionResult
from amulet_core.games.theft import TheftResult
from amulet_core.games.verification import VerificationResult
from amulet_core.streams import generator
from amulet_core.testing.toys import Toy, task_rows

ROWS: Final = 600

Outcome = Literal["good", "bad"]
"""What a result is for the defender."""


def _evasion(toy: Toy, outcome: Outcome) -> EvasionResult:
    """Return a result in which every row is robust at every budget, or none at any."""
    y = torch.arange(ROWS) % len(toy.schema.classes)
    return EvasionResult(
        epsilons=(0.01, 0.05),
        primary=1,
        norm="linf",
        clean=torch.ones(ROWS, dtype=torch.bool),
        robust=torch.full((2, ROWS), outcome == "good"),
        y=y,
    )


def _membership(toy: Toy, outcome: Outcome) -> MembershipResult:
    """Return random scores, or those of members all above the others."""
    draws = generator("planted scores", toy.label)
    member = torch.randperm(ROWS, generator=draws) < ROWS // 2
    score = torch.rand(ROWS, generator=draws, dtype=torch.float64)
    return MembershipResult(score=score + (member if outcome == "bad" else 0), member=member, threshold=1.0)


def _attributes(toy: Toy, outcome: Outcome) -> AttributeResult:  # noqa: ARG001 - the same for every toy
    """Return the guesses of the control, or right ones: of all members, and of two non-members of three."""
    rows = torch.arange(ROWS)
    z, member, blind = rows % 2, rows % 4 < 2, rows // 4 % 2
    guess = blind if outcome == "good" else torch.where(member | (rows // 8 % 3 > 0), z, blind)
    return AttributeResult(
        score=torch.nn.functional.one_hot(guess, 2).double(),
        guess=guess,
        control=blind[None],
        z=z,
        member=member,
        values=("a", "b"),
    )


def _distribution(toy: Toy, outcome: Outcome) -> DistributionResult:  # noqa: ARG001 - the same for every toy
    """Return scores that are right for half of the victims of each hypothesis, or for nine of ten worse victims."""
    victims = torch.arange(ROWS)
    second, number = victims % 2 == 1, victims // 2
    right = number % 2 == 0 if outcome == "good" else number % 10 > 0
    score = (second == right).double()
    balanced = torch.full((ROWS,), 0.9 if outcome == "good" else 0.8, dtype=torch.float64)
    return DistributionResult(score=score, second=second, ratios=(0.5, 0.2), rows=100, balanced=balanced, threshold=0.5)


def _poisoning(toy: Toy, outcome: Outcome) -> PoisoningResult:
    """Return predictions that are all right, or the target under the trigger and wrong for every third row without."""
    classes = len(toy.schema.classes)
    y = torch.arange(ROWS) % classes
    good = outcome == "good"
    wrong = (y + (torch.arange(ROWS) % 3 == 0)) % classes
    return PoisoningResult(
        y=y,
        target=0,
        plain=y if good else wrong,
        triggered=y if good else torch.zeros_like(y),
        clean_plain=y,
        clean_triggered=y,
        changed=torch.ones(ROWS, dtype=torch.bool),
        poisoned=60,
        rows=ROWS,
        classes=toy.schema.classes,
    )


def _theft(toy: Toy, outcome: Outcome) -> TheftResult:
    """Return a stolen model that agrees with the victim on no row, or on all; another model does on every second."""
    classes = len(toy.schema.classes)
    y = torch.arange(ROWS) % classes
    wrong = (y + 1) % classes
    half = torch.where(torch.arange(ROWS) % 4 < 2, y, wrong)
    stolen = torch.stack([half, wrong if outcome == "good" else y])
    return TheftResult(budgets=(50, 200), primary=1, y=y, victim=y, stolen=stolen, independent=half, queries=(50, 200))


def _verification(toy: Toy, outcome: Outcome) -> VerificationResult:
    """Return derived suspects all above the pool, or below all of it; the retrained one the other way round.

    Good ones are of little use besides, and no independent model has a small p-value of the method's own.
    """
    draws = generator("planted suspects", toy.label)
    good, pool = outcome == "good", 40
    derived = torch.arange(8) < 6
    return VerificationResult(
        names=tuple(f"suspect {index}" for index in range(8)),
        derived=derived,
        score=torch.where(derived == good, 2.0, -1.0).double(),
        p=torch.where(derived == good, 0.001, 0.5).double(),
        accuracy=torch.full((8,), 0.5 if good else 0.9, dtype=torch.float64),
        null=torch.rand(pool, generator=draws, dtype=torch.float64),
        null_accuracy=torch.full((pool,), 0.9 if good else 0.5, dtype=torch.float64),
        null_p=torch.full((pool,), 0.5 if good else 0.001, dtype=torch.float64),
        defended=torch.arange(pool) % 2 == 0,
        fpr=0.05,
    )


def _audit(toy: Toy, outcome: Outcome) -> AuditResult:
    """Return guesses of which half is right, or all; more is claimed where they are right half of the time."""
    draws = generator("planted coins", toy.label)
    good = outcome == "good"
    guess = torch.where(torch.rand(ROWS, generator=draws) < 0.5, 1, -1)
    right = torch.arange(ROWS) % 2 == 0
    return AuditResult(
        included=(guess > 0) == (right if good else torch.ones_like(right)),
        guess=guess,
        epsilon=0.5 if good else 1.0,
        delta=1e-5,
        conditional_on=(),
        confidence=0.95,
        audits=10,
    )


def _utility(toy: Toy, outcome: Outcome) -> BehaviorResult:
    """Return predictions that are all right, or wrong for every second row."""
    rows = task_rows(toy, rows=ROWS, key=("utility",))
    classes = len(toy.schema.classes)
    wrong = (rows.y + (torch.arange(ROWS) % 2)) % classes
    return _behavior(toy, rows.y if outcome == "good" else wrong, rows.y, rows.z)


def _discrimination(toy: Toy, outcome: Outcome) -> BehaviorResult:
    """Return right predictions for groups that are alike, or the last class for the second group alone.

    In each group seven rows of ten are of the last class, so that the groups differ in accuracy too.
    """
    positive = len(toy.schema.classes) - 1
    y = torch.where(torch.arange(ROWS) % 10 < 7, positive, 0)
    z = (torch.arange(ROWS) // (ROWS // 2))[:, None].expand(-1, len(toy.schema.sensitive))
    return _behavior(toy, y if outcome == "good" else z[:, 0] * positive, y, z.contiguous())


def _behavior(toy: Toy, predictions: Tensor, y: Tensor, z: Tensor) -> BehaviorResult:
    sure = torch.nn.functional.one_hot(predictions, len(toy.schema.classes)).float()
    probabilities = 0.9 * sure + 0.1 / len(toy.schema.classes)
    return BehaviorResult(
        probabilities=probabilities, y=y, z=z, attribute=0 if toy.schema.sensitive else None, data_schema=toy.schema
    )


def _reconstruction(toy: Toy, outcome: Outcome) -> ReconstructionResult:
    """Return inputs in the middle of the bounds, or close to the rows that they should show."""
    draws = generator("planted reconstruction", toy.label)
    low, high = bounds(toy.schema)
    units = torch.rand(ROWS, *toy.schema.shape, generator=draws)
    nearby = 0.95 * units + 0.025
    member, near = torch.arange(ROWS) % 2 == 0, torch.full((ROWS,), 0.1)
    return ReconstructionResult(
        kind="row",
        verdict="row",
        x=low + (high - low) * (torch.full_like(units, 0.5) if outcome == "good" else nearby),
        truth=low + (high - low) * units,
        of=torch.arange(ROWS),
        member=member,
        class_mean=low + (high - low) * torch.full_like(units, 0.5),
        zero=low.expand(ROWS, *toy.schema.shape),
        nearest_train=near * (2 if outcome == "good" else 1),
        nearest_held_out=near * 2,
        data_schema=toy.schema,
    )


RESULTS: Final[Mapping[str, Callable[[Toy, Outcome], Any]]] = {
    "evasion": _evasion,
    "membership-inference": _membership,
    "attribute-inference": _attributes,
    "distribution-inference": _distribution,
    "poisoning": _poisoning,
    "unauthorized-model-ownership": _theft,
    "ownership-verification": _verification,
    "data-reconstruction": _reconstruction,
    "privacy-audit": _audit,
    "utility": _utility,
    "discriminatory-behavior": _discrimination,
}
"""By risk: ``plant(toy, outcome)`` makes a result."""
