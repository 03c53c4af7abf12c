"""A defense whose wrapper changes every prediction, and attacks that keep what they are shown."""

from dataclasses import replace

import torch
from pydantic import Field

from amulet_core.components import Attack, Defense, LabRequest, Params
from amulet_core.configuration.request import Use
from amulet_core.discovery.entries import Entry
from amulet_core.games.attribute import AttributeAnswer
from amulet_core.games.distribution import DistributionAnswer
from amulet_core.games.evasion import EvasionAnswer
from amulet_core.games.membership import MembershipAnswer
from amulet_core.games.reconstruction import ReconstructionAnswer
from amulet_core.games.theft import TheftAnswer

SEEN = {}
"""The view of each game, by access."""

MEMBERSHIP, AUDIT = "membership-inference", "privacy-audit"


class Watching(Params):
    """Which game is watched, and with what access."""

    risk: str = Field(description="the risk")
    access: str = Field(description="the access")


def watch(view, params):
    SEEN[params.risk, params.access] = view
    return ANSWERS[params.risk](view)


def no_scores(*shape):
    return torch.zeros(*shape, dtype=torch.float64)


ANSWERS = {
    "evasion": lambda view: EvasionAnswer(x=torch.stack([view.x] * len(view.epsilons))),
    MEMBERSHIP: lambda view: MembershipAnswer(score=no_scores(len(view.y))),
    AUDIT: lambda view: MembershipAnswer(score=no_scores(len(view.y))),
    "attribute-inference": lambda view: AttributeAnswer(score=no_scores(len(view.y), len(view.values))),
    "distribution-inference": lambda view: DistributionAnswer(score=no_scores(len(view.victims))),
    "data-reconstruction": lambda view: ReconstructionAnswer(x=view.aux_x[:1].repeat(view.size, 1)),
    "unauthorized-model-ownership": lambda view: TheftAnswer(model=view.architecture()),
}


def watchers(risk):
    """Return an attack for each access, which changes, asks and says nothing."""
    return tuple(
        Use(_watcher(risk, access), Watching(risk=risk, access=access)) for access in ("white-box", "probabilities")
    )


def _watcher(risk, access):
    return _entry(
        Attack(
            name=f"watch-{access}",
            summary="Made for a test.",
            target="watchers:watch",
            params=Watching,
            risk=risk,
            access=access,
            reconstructs="row" if risk == "data-reconstruction" else None,
            needs=lambda params, schema: (LabRequest(models=2),) * (params.risk == MEMBERSHIP),
        )
    )


def _entry(component):
    return Entry(component, plugin="made", distribution="amulet-plugin-made", version="1.0")


def swapped(probabilities, params):
    """Release each of two classes' probability as the other's."""
    return probabilities.flip(1)


def claiming(training, params, context):
    """Claim an epsilon, so that the row can be audited."""
    return replace(training, evidence={**training.evidence, "privacy": {"epsilon_rdp": 1.0, "delta": 1e-5}})


SWAP = _entry(
    Defense(
        name="swap",
        summary="Made for a test.",
        target="watchers:claiming",
        stages={"training": "watchers:claiming", "inference": "watchers:swapped"},
        risk=MEMBERSHIP,
        accounts_privacy=True,
    )
)
