"""Performing distribution inference: the view of unnamed victims of two populations, the answer, the truth."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from amulet_core.configuration.request import attack_of
from amulet_core.explanations import explainer
from amulet_core.games.distribution import DistributionAnswer, DistributionResult, DistributionView, Seen, accept
from amulet_core.performing.ground import Ground
from amulet_core.performing.measuring import measured_play
from amulet_core.performing.outputs import PlayOutput
from amulet_core.performing.recipes import blamed, deployed
from amulet_core.planning.jobs import DistributionPlayWork, Recipe
from amulet_core.streams import generator, isolated
from amulet_core.training.values import Fitted
from amulet_core.victims import logits_of, with_access

Draws = tuple[str | int, ...]


def distribution_play(work: DistributionPlayWork, inputs: Sequence[Any], ground: Ground) -> PlayOutput:
    """Have an attack score the victims of both hypotheses; join the truth; measure.

    Raises:
        ComponentError: blaming the attack, or the metric.
    """
    draws, use = ("draws", work.root_seed, work.seed, "distribution"), work.attack
    fitted = {place: one for output in inputs for place, one in output.fitted.items()}
    count = len(work.victims)
    order = torch.randperm(count, generator=generator(*draws, "victims"))
    victims = [fitted[work.victims[at]] for at in order.tolist()]
    view = _view(work, victims, [fitted[place] for place in work.models], ground, draws)
    with isolated(*draws, "judge"):
        balanced = _balanced(work.recipe, victims, view)

    def call() -> DistributionAnswer:
        answer = use.entry.load()(view, use.params)
        if not isinstance(answer, DistributionAnswer):
            raise TypeError(f"it returned {type(answer).__name__}, expected a DistributionAnswer")
        return accept(view, answer)

    answer: DistributionAnswer = blamed(use.id, call, draws)
    result = DistributionResult(
        score=answer.score,
        second=order >= count // 2,
        ratios=work.told.ratios,
        rows=work.told.rows,
        balanced=balanced,
        threshold=answer.threshold,
        warnings=answer.warnings,
    )
    # The evidence of a population's models is no evidence of the victim, which stands beside the row's results.
    return measured_play(work.risk, result, draws)


def _balanced(recipe: Recipe, victims: Sequence[Fitted], view: DistributionView) -> Tensor | None:
    """Return each victim's balanced accuracy ``[v]`` on the rows asked about; None where not every class is there."""
    x, y = view.x.flatten(0, 1), view.y.flatten()
    of_class = one_hot(y, len(view.data_schema.classes)).double()
    counts = of_class.sum(0)
    if not counts.all():
        return None
    right = torch.stack([logits_of(deployed(recipe, one.model), x).argmax(1) == y for one in victims])
    return (right.double() @ of_class / counts).mean(1)


def _view(
    work: DistributionPlayWork, victims: Sequence[Fitted], models: Sequence[Fitted], ground: Ground, draws: Draws
) -> DistributionView:
    told, block = work.told, work.victims[0].block
    asked = [ground.drawn(told.population("queries", side), block, (*draws, "queries", side)) for side in (0, 1)]
    return DistributionView(
        victims=tuple(_seen(work, work.recipe, one, ground) for one in victims),
        models=tuple(_seen(work, work.own, one, ground) for one in models),
        second=torch.arange(len(models)) >= len(models) // 2,
        x=torch.stack([rows.x for rows in asked]),
        y=torch.stack([rows.y for rows in asked]),
        z=torch.stack([rows.z for rows in asked]),
        ratios=told.ratios,
        attribute=told.column,
        value=told.value,
        data_schema=ground.data.schema,
    )


def _seen(work: DistributionPlayWork, recipe: Recipe, fitted: Fitted, ground: Ground) -> Seen:
    """Return a model as the attack's access lets it be seen: a white box is the one beneath its wrappers."""
    access = attack_of(work.attack).access
    explain = None if access == "none" else explainer(recipe, fitted.model, ground.data.schema)
    return with_access(fitted.model if access == "white-box" else deployed(recipe, fitted.model), access, explain)
