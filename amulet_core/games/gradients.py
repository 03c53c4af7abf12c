"""The rows behind released gradients, and what the victim's own recipe releases of them."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from amulet_core.configuration.request import defense_of
from amulet_core.data import Data
from amulet_core.errors import ComponentError
from amulet_core.games.contest import Contest
from amulet_core.games.threats import ReconstructionThreat
from amulet_core.performing.recipes import blamed, maker_of, training_of
from amulet_core.performing.splits import positions
from amulet_core.planning.jobs import Recipe
from amulet_core.streams import generator
from amulet_core.training.fit import gradients_of
from amulet_core.training.values import Streams, Training
from amulet_core.victims import WhiteBox


@dataclass(frozen=True)
class Batch:
    """The rows behind gradients as they are, and as the recipe's data stage ``prepared`` them; what trains on them."""

    rows: Data
    prepared: Data
    training: Training
    recipe: Recipe
    streams: Streams


def batch_of(contest: Contest, threat: ReconstructionThreat) -> Batch:
    """Return the training rows behind the gradients, of those that the recipe's data stage keeps.

    Raises:
        ValueError: if the contest has no recipe.
        ComponentError: blaming the defense that raised, or kept too few rows.
    """
    if contest.recipe is None or contest.streams is None:
        raise ValueError("no gradient can be taken: the victim's recipe is not known")
    rows, wanted = contest.pool.take(contest.member), threat.gradients * threat.batch
    kept, training = training_of(contest.recipe, rows, contest.streams)
    order = torch.randperm(len(rows), generator=generator(*contest.draws, "reconstruction", "batch"))
    chosen = rows.take(order[torch.isin(rows.id[order], kept.id)][:wanted])
    if len(chosen) < wanted:
        text = (
            f"the defenses left {len(chosen)} of {len(rows)} training rows, too few for {threat.gradients} gradients "
            f"of {threat.batch} rows each: lower gradients or batch"
        )
        raise ComponentError(_dropper(contest.recipe), ValueError(text))
    return Batch(chosen, kept.take(positions(kept, chosen.id)), training, contest.recipe, contest.streams)


def _dropper(recipe: Recipe) -> str:
    """Return who is to blame for rows that are gone: the last defense with a data stage."""
    return next((use.id for use in reversed(recipe.chain) if "data" in defense_of(use).stages), maker_of(recipe))


def released(contest: Contest, batch: Batch, threat: ReconstructionThreat) -> tuple[WhiteBox, dict[str, Tensor]]:
    """Return a model, and what the victim's own recipe releases of each batch there: its objective, rule and draws."""
    places = torch.arange(len(batch.rows)).split(threat.batch)
    state = contest.beneath.state_dict() if threat.taken_at == "end" else None
    model, gradient = blamed(
        maker_of(batch.recipe),
        partial(gradients_of, batch.training, [batch.prepared.take(at) for at in places], batch.streams, state=state),
        (*batch.streams.key, "release"),
    )
    return WhiteBox(model), gradient
