"""Jobs: the units of work, and what each is a function of. Equal jobs have equal keys. Light: performs nothing."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from amulet_core.components import Resources
from amulet_core.configuration.request import RiskPlan, Use, attack_of
from amulet_core.games.audit_threat import AuditThreat
from amulet_core.games.threats import Interface
from amulet_core.planning.layout import Place
from amulet_core.planning.ratios import Hypotheses
from amulet_core.settings import TrainingSettings


@dataclass(frozen=True)
class Recipe:
    """All that determines a trained model but its rows and its seed."""

    model: Use
    chain: tuple[Use, ...]
    settings: TrainingSettings


@dataclass(frozen=True)
class FitWork:
    """Train the models of these places by a recipe; ``placebo`` gives them other random streams."""

    recipe: Recipe
    places: tuple[Place, ...]
    placebo: bool
    root_seed: int
    poisoned: bool = False
    """Whether the job's inputs are, place by place, what an adversary made of the training rows."""
    audited: AuditThreat | None = None
    """The audit whose rows stand among the training rows, if there is one."""


@dataclass(frozen=True)
class PoisonWork:
    """Have an attack replace training rows of one place, before anything is trained on them."""

    risk: RiskPlan
    attack: Use
    place: Place
    seed: int
    root_seed: int


@dataclass(frozen=True)
class PoisonedPlayWork:
    """Compare a victim trained on poisoned rows with one trained on clean rows; inputs: poison, its fit, the fit."""

    recipe: Recipe
    risk: RiskPlan
    victim: Place
    seed: int
    root_seed: int


@dataclass(frozen=True)
class BankWork:
    """Compute the logits of all models of one fit on the pool and the aux rows of their blocks."""

    recipe: Recipe


@dataclass(frozen=True)
class AttackWork:
    """Play one game once: one victim, one attack (or none, where the game has none), all metrics."""

    recipe: Recipe
    risk: RiskPlan
    attack: Use | None
    seed: int
    root_seed: int
    victim: Place
    shadows: tuple[Place, ...]
    adaptive: bool
    placebo: bool = False


@dataclass(frozen=True)
class CertifyWork:
    """Ask the certifying defenses of a chain where a victim's predictions are provably right, once for all attacks."""

    recipe: Recipe
    certifiers: tuple[Use, ...]
    risk: RiskPlan
    victim: Place
    seed: int
    root_seed: int


@dataclass(frozen=True)
class TheftWork:
    """Have a thief make a model of its own of one victim, through its interface; a control sees no victim.

    Inputs: the fit of the victim, if there is one.
    """

    recipe: Recipe
    risk: RiskPlan
    attack: Use
    interface: Interface
    victim: Place
    seed: int
    root_seed: int


@dataclass(frozen=True)
class TheftPlayWork:
    """Compare the models stolen at each budget with the victim; inputs: its fit, the controls' models, the thefts."""

    recipe: Recipe
    risk: RiskPlan
    attack: Use
    controls: tuple[Use, ...]
    victim: Place
    seed: int
    root_seed: int


@dataclass(frozen=True)
class IndependentWork:
    """Have the owner score models that do not derive from its own; inputs: its fit, fits of ``places``.

    The first half of ``places`` were trained by the recipe, the other half without a defense.
    """

    recipe: Recipe
    risk: RiskPlan
    places: tuple[Place, ...]
    victim: Place
    seed: int
    root_seed: int


@dataclass(frozen=True)
class VerificationPlayWork:
    """Have the owner score what a thief made of the victim; inputs: its fit, the undefended fit, theft, scores."""

    recipe: Recipe
    risk: RiskPlan
    attack: Use
    victim: Place
    seed: int
    root_seed: int


@dataclass(frozen=True)
class AuditPlayWork:
    """Have an attack guess which audit rows a model was trained on; input: its fit.

    The run has ``audits`` of them (0 for a control, which raises no alarm).
    """

    recipe: Recipe
    risk: RiskPlan
    attack: Use
    victim: Place
    seed: int
    root_seed: int
    audits: int


@dataclass(frozen=True)
class DistributionPlayWork:
    """Have an attack tell which hypothesis each victim was trained under; inputs: fits of both populations' models.

    ``victims`` and ``models`` (the adversary's own, trained by the recipe ``own``) are half of the first hypothesis,
    then half of the second.
    """

    recipe: Recipe
    own: Recipe
    risk: RiskPlan
    attack: Use
    victims: tuple[Place, ...]
    models: tuple[Place, ...]
    told: Hypotheses
    seed: int
    root_seed: int


@dataclass(frozen=True)
class WorstWork:
    """Join the results of several attacks of one risk, and measure the worst case."""

    risk: RiskPlan
    root_seed: int
    seed: int


Work = (
    FitWork
    | PoisonWork
    | BankWork
    | CertifyWork
    | AttackWork
    | PoisonedPlayWork
    | TheftWork
    | TheftPlayWork
    | IndependentWork
    | VerificationPlayWork
    | DistributionPlayWork
    | AuditPlayWork
    | WorstWork
)


@dataclass(frozen=True)
class Job:
    """A unit of work: ``spec`` is JSON and says all that it depends on, ``needs`` are the keys of earlier jobs."""

    work: Work
    label: str
    spec: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    like: tuple[Mapping[str, Any], ...] = ()
    """What jobs of about the same duration have in common, from most to least alike."""
    size: float = 1.0
    """How much work the job is, among those that are like it only by the second of these."""
    resources: Resources = field(default_factory=Resources)

    @property
    def joined(self) -> bool:
        """Say whether a later job needs this one's result whole."""
        if isinstance(self.work, VerificationPlayWork):
            return self.work.risk.game.joins
        if not isinstance(self.work, AttackWork) or self.work.attack is None:
            return False
        game = self.work.risk.game
        return game.joins or (game.compares and attack_of(self.work.attack).control)

    @cached_property
    def key(self) -> str:
        """Return the content hash of the job: its kind, its spec and the keys of what it needs."""
        text = json.dumps([type(self.work).__name__, self.spec, self.needs], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
