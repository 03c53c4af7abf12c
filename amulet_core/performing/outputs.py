"""What jobs hand on to other jobs: models, their logits, poisoned rows, and results with what was measured on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from amulet_core.games.poisoning import PoisoningAnswer
from amulet_core.planning.layout import Place
from amulet_core.results import Measured
from amulet_core.training.values import Fitted


@dataclass(frozen=True)
class FitOutput:
    """The models of a fit by place."""

    fitted: Mapping[Place, Fitted]


@dataclass(frozen=True)
class BankOutput:
    """Logits by place: of the pool ``[pool, classes]`` and of aux ``[aux, classes]``."""

    logits: Mapping[Place, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class CertifyOutput:
    """Where a victim's predictions are provably right, bool ``[budgets, n]``: the rows that evasion attacks."""

    certified: Tensor


@dataclass(frozen=True)
class PoisonOutput:
    """What an adversary made of the training rows of one place, and the test inputs with its trigger."""

    place: Place
    answer: PoisoningAnswer


@dataclass(frozen=True)
class TheftOutput:
    """The model that a thief made, how many queries it asked, and what it warned of."""

    model: nn.Module
    queries: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class IndependentOutput:
    """The owner's scores of models that do not derive from its own, ``[pool]``; which of them are ``defended``.

    ``accuracy`` is each one's, on test rows.
    """

    score: Tensor
    p: Tensor | None
    defended: Tensor
    accuracy: Tensor
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class PlayOutput:
    """A game's result, what its metrics say of it, and the evidence that the victim's defenses left."""

    result: Any
    measured: tuple[Measured, ...]
    warnings: tuple[str, ...]
    evidence: Mapping[str, Any] = field(default_factory=dict)
