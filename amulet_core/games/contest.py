"""What the core knows of one victim when a game is played. Never handed to a plugin."""

from dataclasses import dataclass

from torch import Tensor, nn

from amulet_core.data import Data
from amulet_core.explanations import explainer
from amulet_core.planning.jobs import Recipe
from amulet_core.training.values import Streams
from amulet_core.victims import LabelOracle, with_access
from amulet_core.vocabulary import Access, Reconstructed


@dataclass(frozen=True)
class Bank:
    """Shadow models' logits on all rows of the pool and on the adversary's own rows, computed once.

    ``pool`` float32 ``[models, rows of the pool, classes]``; ``members`` bool ``[models, rows of the pool]``;
    ``population`` float32 ``[models, rows of aux, classes]``; ``adaptive``: trained with the victim's defenses.
    """

    pool: Tensor
    members: Tensor
    population: Tensor
    adaptive: bool


@dataclass(frozen=True)
class Contest:
    """One victim, the rows of its block, and the key of the seed's draws.

    ``model`` is the deployed model, ``beneath`` the same without its inference-stage wrappers, which a white-box
    adversary sees too.
    ``member`` bool ``[rows of the pool]`` is the truth of membership inference. ``bank`` has no models where no attack
    asked for any. ``draws`` keys every draw of the game: it depends on the seed alone, never on the defense.
    ``puts_in``: the attack puts values of the sensitive attribute into rows, so answers to the rows are not for it.
    ``certified`` bool ``[budgets, n]``: which attacked rows a defense proved right, where one of the chain certifies.
    ``recipe`` and ``streams`` are what the victim was trained by, for games that train a step of it again;
    ``reconstructs`` is what the attack hands back, where games differ in it.
    """

    model: nn.Module
    beneath: nn.Module
    pool: Data
    member: Tensor
    test: Data
    aux: Data
    bank: Bank
    draws: tuple[str | int, ...]
    certified: Tensor | None = None
    recipe: Recipe | None = None
    streams: Streams | None = None
    reconstructs: Reconstructed | None = None
    puts_in: bool = False


def accessible(contest: Contest, access: Access) -> LabelOracle | None:
    """Return the victim as an attack with ``access`` may see it: the white box beneath wrappers, else as deployed."""
    known = contest.recipe if access != "none" else None
    explain = explainer(known, contest.beneath, contest.test.schema) if known else None
    return with_access(contest.beneath if access == "white-box" else contest.model, access, explain)
