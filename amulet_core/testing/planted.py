"""Planted contests: victims whose vulnerability is known beforehand, for the games that attacks are checked in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from amulet_core.components import Params
from amulet_core.data import Data, bounds
from amulet_core.feasible import project, span
from amulet_core.games.attribute import AttributeAnswer
from amulet_core.games.contest import Bank, Contest
from amulet_core.games.evasion import EvasionAnswer, EvasionResult, EvasionView
from amulet_core.games.membership import MembershipAnswer, MembershipResult, MembershipView
from amulet_core.games.reconstruction import ReconstructionAnswer
from amulet_core.games.table import GAMES
from amulet_core.games.threats import EvasionThreat, MembershipThreat
from amulet_core.modules import Normalise
from amulet_core.statistics.membership import auc
from amulet_core.streams import generator
from amulet_core.testing import planted_attributes as attributes
from amulet_core.testing import planted_reconstruction
from amulet_core.testing.planted_attributes import Plant
from amulet_core.testing.toys import Toy, rows_at
from amulet_core.vocabulary import Norm

NORMS: Final[tuple[Norm, ...]] = ("linf", "l2")
EVASION_ROWS: Final = 40
CANDIDATES: Final = 600
POPULATION: Final = 200


@dataclass(frozen=True)
class Arena:
    """A game as attacks are checked in it.

    ``game`` is the module that plays it, ``threats(toy)`` gives its threat models by name, and
    ``contest(toy, plant, models)`` a victim with so many shadow models. ``power(result)`` is what an attack achieved,
    ``chance`` what nothing achieves, within ``noise``. ``size_problem(view, answer)`` tells how an answer has the
    wrong shape (nothing: it has not), ``blind(view)`` answers without knowing anything. ``advice`` says what an attack
    without power may have got wrong; ``bounded`` answers must keep to a budget.
    """

    game: str
    answer: type
    measured: str
    chance: float
    noise: float
    threats: Callable[[Toy], Mapping[str, Params]]
    contest: Callable[[Toy, Plant, int], Contest]
    power: Callable[[Any], float]
    size_problem: Callable[[Any, Any], str]
    blind: Callable[[Any], Any]
    advice: str
    bounded: bool = False


class Brightness(nn.Module):
    """A linear softmax model of the mean of a toy's carriers; the boundary of two classes lies midway between them."""

    mask: Tensor

    def __init__(self, toy: Toy) -> None:
        """Make the model, in eval mode, its parameters wanting no gradients."""
        super().__init__()
        self._axes = len(toy.schema.shape)
        self.normalise = Normalise(toy.schema)
        self.head = nn.Linear(toy.schema.width, len(toy.levels))
        levels, share = torch.tensor(toy.levels), torch.zeros(toy.schema.width)
        share[: toy.carriers] = 40 / toy.carriers
        with torch.no_grad():
            # -(b - level)^2 without its square of b: linear in b, and largest for the nearest level.
            self.head.weight.copy_(2 * levels[:, None] * share)
            self.head.bias.copy_(-40 * levels.square())
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, classes]``."""
        logits: Tensor = self.head(self.normalise(x).flatten(-self._axes))
        return logits


class Memory(nn.Module):
    """A model that knows the logits of every row by heart, and a row by its first feature."""

    def __init__(self, toy: Toy, logits: Tensor) -> None:
        """Take the logits ``[rows, classes]``."""
        super().__init__()
        low, high = bounds(toy.schema)
        self._low, self._range = float(low.flatten()[0]), float((high - low).flatten()[0])
        self.known = nn.Parameter(logits, requires_grad=False)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, classes]`` of known rows."""
        place = (x.flatten(1)[:, 0] - self._low) / self._range * len(self.known)
        # An input has no influence nearby: its gradient is zero, not missing.
        return self.known[place.detach().long().clamp(0, len(self.known) - 1)] + 0 * place[:, None]


def _evasion_contest(toy: Toy, plant: Plant, models: int) -> Contest:  # noqa: ARG001 - the game has no lab
    """Return rows a fortieth from the boundary, half of the budget, or more than twice the budget away from it."""
    draws = generator("planted evasion", toy.label)
    levels = torch.tensor(toy.levels)
    y = torch.arange(EVASION_ROWS) % len(levels)
    if plant == "vulnerable":
        towards = torch.where(y > 0, y - 1, y + 1)
        margin = 0.02 + 0.01 * torch.rand(EVASION_ROWS, generator=draws)
        brightness = (levels[y] + levels[towards]) / 2 + margin * (levels[y] - levels[towards]).sign()
    else:
        brightness = levels[y]
    rows = rows_at(toy, brightness, y=y, key=("evasion",))
    return _contest(Brightness(toy), rows, rows, torch.zeros(len(rows), dtype=torch.bool), rows, _no_bank(toy, rows))


def _evasion_threats(toy: Toy) -> Mapping[str, Params]:
    """Return one threat model for each norm; both budgets move the mean of all carriers equally far."""
    scale = {"linf": 1.0, "l2": toy.carriers**0.5}
    return {
        norm: EvasionThreat(norm=norm, epsilon=0.05 * scale[norm], curve=(0.01 * scale[norm],), rows=EVASION_ROWS)
        for norm in NORMS
    }


def _fooled(result: EvasionResult) -> float:
    # Not only of the rows that are classified correctly: these depend on labels, which an attack could change.
    return float((~result.robust[result.primary]).float().mean())


def _evasion_size(view: EvasionView, answer: EvasionAnswer) -> str:
    found, expected = list(answer.x.shape), [len(view.epsilons), *view.x.shape]
    return "" if found == expected else f"x {found}, not [budgets, n, ...] = {expected}"


def _noise(view: EvasionView) -> EvasionAnswer:
    """Return a random sign of every feature: what the budget does without looking at the model."""
    signs = (torch.rand_like(view.x) - 0.5).sign()
    reach = [epsilon * span(view.data_schema) * signs for epsilon in view.epsilons]
    changed = [
        project(view.x + step, view.x, view.data_schema, norm=view.norm, epsilon=epsilon)
        for epsilon, step in zip(view.epsilons, reach, strict=True)
    ]
    return EvasionAnswer(x=torch.stack(changed))


def _membership_contest(toy: Toy, plant: Plant, models: int) -> Contest:
    """Return a victim and shadow models whose log-odds of the true label are Gaussian, and shifted by 4 on members.

    Rows differ in difficulty (N(0, 1), shared by all models), models in their noise (N(0, 1)). Safe: no shift.
    """
    draws = generator("planted membership", toy.label)
    n, classes = CANDIDATES + POPULATION, len(toy.levels)
    y = torch.randint(0, classes, (n,), generator=draws)
    member = torch.randperm(CANDIDATES, generator=draws) < CANDIDATES // 2
    coins = torch.rand((models + 1) // 2, CANDIDATES, generator=draws) < 0.5
    trained = torch.stack([coins, ~coins], 1).flatten(0, 1)[:models]
    inside = torch.cat([torch.cat([member[None], trained]), torch.zeros(1 + models, POPULATION, dtype=torch.bool)], 1)
    shift = 4.0 if plant == "vulnerable" else 0.0
    odds = torch.randn(n, generator=draws) + torch.randn(1 + models, n, generator=draws) + shift * inside
    logits = odds[..., None] * nn.functional.one_hot(y, classes)
    rows = _addressed(toy, rows_at(toy, torch.tensor(toy.levels)[y], y=y, key=("membership",)))
    pool, aux = rows.take(torch.arange(CANDIDATES)), rows.take(torch.arange(CANDIDATES, n))
    bank = Bank(pool=logits[1:, :CANDIDATES], members=trained, population=logits[1:, CANDIDATES:], adaptive=True)
    return _contest(Memory(toy, logits[0]), pool, aux, member, aux, bank)


def _addressed(toy: Toy, rows: Data) -> Data:
    """Return the rows with their positions in their first feature, where ``Memory`` reads them."""
    low, high = (bound.flatten()[0] for bound in bounds(toy.schema))
    rows.x.flatten(1)[:, 0] = low + (high - low) * (torch.arange(len(rows)) + 0.5) / len(rows)
    return rows


def _membership_threats(toy: Toy) -> Mapping[str, Params]:  # noqa: ARG001 - the same for every toy
    return {"": MembershipThreat(population=POPULATION)}


def _area(result: MembershipResult) -> float:
    return auc(result.score.numpy(), result.member.numpy()).estimate


def _membership_size(view: MembershipView, answer: MembershipAnswer) -> str:
    found, expected = len(answer.score), len(view.y)
    return "" if found == expected else f"{found} scores, not one for each of the {expected} candidates"


def _guesses(view: MembershipView) -> MembershipAnswer:
    return MembershipAnswer(score=torch.rand(len(view.y), dtype=torch.float64))


def _contest(model: nn.Module, pool: Data, aux: Data, member: Tensor, test: Data, bank: Bank) -> Contest:
    return Contest(
        model=model,
        beneath=model,
        pool=pool,
        member=member,
        test=test,
        aux=aux,
        bank=bank,
        draws=("conformance", "draws"),
    )


def _no_bank(toy: Toy, rows: Data) -> Bank:
    nothing = torch.zeros(0, len(rows), len(toy.levels))
    return Bank(nothing, torch.zeros(0, len(rows), dtype=torch.bool), nothing, adaptive=True)


ARENAS: Final[Mapping[str, Arena]] = {
    "evasion": Arena(
        game=GAMES["evasion"].module,
        answer=EvasionAnswer,
        measured="share of fooled rows",
        chance=0.0,
        noise=0.1,
        threats=_evasion_threats,
        contest=_evasion_contest,
        power=_fooled,
        size_problem=_evasion_size,
        blind=_noise,
        advice="it climbs the loss of the true label and spends the whole budget, for every norm and epsilon",
        bounded=True,
    ),
    "membership-inference": Arena(
        game=GAMES["membership-inference"].module,
        answer=MembershipAnswer,
        measured="AUC",
        chance=0.5,
        noise=0.11,
        threats=_membership_threats,
        contest=_membership_contest,
        power=_area,
        size_problem=_membership_size,
        blind=_guesses,
        advice="members score higher, not lower, and each score stands at its own candidate's place",
    ),
    "attribute-inference": Arena(
        game=GAMES["attribute-inference"].module,
        answer=AttributeAnswer,
        measured="balanced accuracy",
        chance=0.5,
        noise=0.11,
        threats=attributes.threats,
        contest=attributes.contest,
        power=attributes.balanced,
        size_problem=attributes.size_problem,
        blind=attributes.blind,
        advice="likelier values score higher, in the order of view.values, and what the victim says is used",
    ),
    "data-reconstruction": Arena(
        game=GAMES["data-reconstruction"].module,
        answer=ReconstructionAnswer,
        measured="error below that of the class mean",
        chance=0.0,
        noise=0.1,
        threats=planted_reconstruction.threats,
        contest=lambda toy, plant, _models: planted_reconstruction.contest(toy, vulnerable=plant == "vulnerable"),
        power=planted_reconstruction.power,
        size_problem=planted_reconstruction.size_problem,
        blind=planted_reconstruction.blind,
        advice="each input answers the row or class at its place, in the units of x",
    ),
}
"""The games that attacks are checked in, by risk."""
