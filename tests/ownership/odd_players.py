"""Components for tests of the games of ownership: an owner who says what it is shown, a control that is of no use."""

import torch

from amulet_core.components import Attack, Defense
from amulet_core.discovery.entries import Entry
from amulet_core.games.verification import VerificationAnswer
from amulet_core.schema import Frozen
from amulet_core.training.values import Prepared


class Note(Frozen):
    text: str
    numbers: tuple[int, ...]


def noting(data, params):
    return Prepared(data, {"note": Note(text="mine", numbers=(1, 2)), "plain": {"pair": (3, 4)}})


def telling(view, params):
    """Say in a warning what the evidence is: how it looks, and of what types it is."""
    text = f"{dict(view.evidence)!r} of {[type(one).__name__ for one in view.evidence.values()]}"
    return VerificationAnswer(score=torch.zeros(len(view.suspects), dtype=torch.float64), warnings=(text,))


def weight_of(model):
    return torch.stack([value.double().abs().sum() for value in model.state_dict().values()]).sum()


def weighing(view, params):
    """Score each suspect by something known of it, whatever its name and its place among them."""
    score = torch.stack([weight_of(one.module) for one in view.suspects])
    return VerificationAnswer(score=score, p=1 / (1 + score))


def _entry(component):
    return Entry(component, plugin="made", distribution="amulet-plugin-made", version="1.0")


OWNER = _entry(
    Defense(
        name="telling",
        summary="Made for a test.",
        target="odd_players:noting",
        risk="unauthorized-model-ownership",
        stages={"data": "odd_players:noting"},
        produces=("note", "plain"),
        verify="odd_players:telling",
        verify_access="labels",
    )
)
WEIGHER = _entry(
    Defense(
        name="weighing",
        summary="Made for a test.",
        target="odd_players:noting",
        risk="unauthorized-model-ownership",
        stages={"data": "odd_players:noting"},
        verify="odd_players:weighing",
        verify_access="white-box",
    )
)
USELESS = _entry(
    Attack(
        name="useless",
        summary="Made for a test.",
        target="math:sqrt",
        risk="unauthorized-model-ownership",
        access="none",
        control=True,
        applicable=lambda params, schema: ["it works on no data"],
    )
)
