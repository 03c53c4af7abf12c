"""Victims that can be imitated, and victims that cannot, for the checks of the attacks on model ownership."""

from collections.abc import Callable
from functools import cache, partial
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from amulet_core.data import Data, make_data
from amulet_core.games.theft import TheftAnswer, TheftView, accept
from amulet_core.modules import Normalise
from amulet_core.oracles import BudgetOracle, Oracle
from amulet_core.schema import DataSchema, Feasible
from amulet_core.settings import TrainingSettings
from amulet_core.streams import generator, isolated
from amulet_core.training.imitation import imitated
from amulet_core.victims import WhiteBox, logits_of
from amulet_core.vocabulary import Access

FEATURES: Final = 10
SCHEMA: Final = DataSchema(
    modality="tabular", shape=(FEATURES,), classes=("a", "b", "c", "d"), feasible=Feasible(low=-3.0, high=5.0)
)
SETTINGS: Final = TrainingSettings(epochs=20, batch_size=64, learning_rate=0.01)
OWN: Final = 600
"""So many rows has the thief."""

Attack = Callable[[TheftView], TheftAnswer]
Build = Callable[[], nn.Module]


def build() -> nn.Module:
    """Build the architecture of the planted victims: one hidden layer."""
    return nn.Sequential(Normalise(SCHEMA), nn.Linear(FEATURES, 32), nn.ReLU(), nn.Linear(32, len(SCHEMA.classes)))


def rows(count: int, *, seed: int) -> Data:
    """Return rows of four classes, the quadrants of two features, with a quarter of the labels drawn anew."""
    draws = generator("planted theft", seed)
    x = (1 + 1.5 * torch.randn(count, FEATURES, generator=draws)).clamp(-3, 5)
    y = 2 * (x[:, 0] > 1).long() + (x[:, 1] > 1).long()
    anew = torch.rand(count, generator=draws) < 0.25
    return make_data(x, torch.where(anew, torch.randint(0, 4, (count,), generator=draws), y), SCHEMA)


@cache
def contrary() -> nn.Module:
    """Return a victim of habits of its own: it looks at other features than the ones that carry the labels."""
    x = rows(1000, seed=1).x
    y = 2 * (x[:, 2] + x[:, 3] > 2).long() + (x[:, 4] > 1).long()
    with isolated("planted victim"):
        return imitated(build, x, one_hot(y, 4).float(), SETTINGS, schema=SCHEMA, key=("planted victim",))


class Whim(nn.Module):
    """A victim that answers each input by a hash of its bits: sure of itself, and without any rule to learn."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, classes]``."""
        weights = torch.linspace(1.0, 2.0, FEATURES)
        place = (torch.sin(9173.0 * (x.double() @ weights.double())) * 43758.5453).frac().abs()
        return 8 * one_hot((4 * place).long().clamp(0, 3), 4).float()


def view_of(victim: nn.Module, *, access: Access, budget: int, tells: Oracle = "probabilities") -> TheftView:
    """Return a thief's view of a victim, with 600 own rows."""
    own = rows(OWN, seed=2)
    model: BudgetOracle | WhiteBox | None = None
    if access == "white-box":
        model = WhiteBox(victim)
    elif access != "none":
        model = BudgetOracle(victim, tells=tells, top_k=2, budget=budget)
    return TheftView(
        model=model,
        budget=budget,
        x=own.x,
        y=own.y,
        architecture=build,
        settings=SETTINGS,
        data_schema=SCHEMA,
    )


def stolen(attack: Attack, view: TheftView) -> nn.Module:
    """Return the model that an attack hands back, by the rules of the game."""
    with isolated("planted thief"):
        return accept(view, attack(view)).model


def agreement(model: nn.Module, victim: nn.Module) -> float:
    """Return how often two models agree on a thousand fresh rows."""
    x = rows(1000, seed=3).x
    return float((logits_of(model, x).argmax(1) == logits_of(victim, x).argmax(1)).float().mean())


def fidelity(
    attack: Attack, victim: nn.Module, *, access: Access, budget: int, tells: Oracle = "probabilities"
) -> float:
    """Return how often the model that an attack hands back agrees with the victim."""
    return agreement(stolen(attack, view_of(victim, access=access, budget=budget, tells=tells)), victim)


asks = partial(view_of, access="labels")
"""A view with an oracle."""
