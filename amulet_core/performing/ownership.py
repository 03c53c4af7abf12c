"""Performing the jobs of ownership: theft, the comparison with the victim, and the owner's claims."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from amulet_core.configuration.chains import trained
from amulet_core.configuration.request import RowPlan, attack_of, defense_of, verifiers
from amulet_core.data import Data
from amulet_core.errors import ComponentError, RequestError
from amulet_core.games import theft as theft_game
from amulet_core.games import verification as game
from amulet_core.games.theft import TheftAnswer, TheftResult, TheftView
from amulet_core.games.threats import TheftThreat, VerificationThreat
from amulet_core.games.verification import VerificationAnswer, VerificationResult, VerificationView
from amulet_core.oracles import BudgetOracle
from amulet_core.performing.ground import Ground
from amulet_core.performing.measuring import measured_play
from amulet_core.performing.outputs import FitOutput, IndependentOutput, PlayOutput, TheftOutput
from amulet_core.performing.recipes import blamed, built, deployed, evidence_json, maker_of
from amulet_core.planning.jobs import IndependentWork, TheftPlayWork, TheftWork, VerificationPlayWork
from amulet_core.streams import generator
from amulet_core.training.fit import DivergedError
from amulet_core.training.imitation import imitated
from amulet_core.training.values import Fitted
from amulet_core.victims import ModelOutputError, WhiteBox, logits_of, with_access

Draws = tuple[str | int, ...]


def theft(work: TheftWork, inputs: Sequence[Any], ground: Ground) -> TheftOutput:
    """Have a thief make a model; its draws depend on the seed alone, so that budgets ask about the same rows first.

    Raises:
        ComponentError: blaming the thief, if it raises or hands back no model.
    """
    draws, use = ("draws", work.root_seed, work.seed), work.attack
    own = theft_game.own_rows(ground.rows(ground.blocks[work.victim.block].aux), draws)
    victim = _victim(work, inputs)
    view = TheftView(
        model=victim,
        budget=work.interface.budget,
        x=own.x,
        y=own.y,
        architecture=partial(built, work.recipe.model, own.schema),
        settings=work.recipe.settings,
        data_schema=own.schema,
    )

    def call() -> TheftAnswer:
        answer = use.entry.load()(view, use.params)
        if not isinstance(answer, TheftAnswer):
            raise TypeError(f"it returned {type(answer).__name__}, expected a TheftAnswer")
        return theft_game.accept(view, answer)

    answer = blamed(use.id, call, (*draws, "theft"))
    queries = victim.queries if isinstance(victim, BudgetOracle) else 0
    return TheftOutput(_still(answer.model), queries, answer.warnings)


def _victim(work: TheftWork, inputs: Sequence[Any]) -> BudgetOracle | WhiteBox | None:
    """Return the victim as the thief may ask it: deployed, or given away whole, or not at all."""
    sees, told = attack_of(work.attack).access, work.interface
    if sees == "none":
        return None
    beneath = inputs[0].fitted[work.victim].model
    if sees == "white-box":
        return WhiteBox(beneath)
    model = deployed(work.recipe, beneath)
    return BudgetOracle(model, tells=told.oracle, top_k=told.top_k, budget=told.budget)


def _still(model: nn.Module) -> nn.Module:
    return model.eval().requires_grad_(False)


def theft_play(work: TheftPlayWork, inputs: Sequence[Any], ground: Ground) -> PlayOutput:
    """Ask the victim, the stolen models and the independent one about the same test rows; measure.

    Raises:
        ComponentError: blaming the metric, the defense or the thief at fault.
    """
    threat, draws = work.risk.threat, ("draws", work.root_seed, work.seed)
    assert isinstance(threat, TheftThreat)
    fit, *models = inputs
    assert isinstance(fit, FitOutput)
    victim = fit.fitted[work.victim]
    test = theft_game.asked(ground.rows(ground.blocks[work.victim.block].test), threat, draws)
    controls, stolen = models[: -len(threat.budgets)], models[-len(threat.budgets) :]
    result = TheftResult(
        budgets=threat.budgets,
        primary=threat.budgets.index(threat.budget),
        y=test.y,
        victim=_predicted(deployed(work.recipe, victim.model), test.x, by=maker_of(work.recipe)),
        stolen=torch.stack([_predicted(one.model, test.x, by=work.attack.id) for one in stolen]),
        independent=_predicted(controls[0].model, test.x, by=work.controls[0].id) if controls else test.y[:0],
        queries=tuple(one.queries for one in stolen),
        # Those at the other budgets say nothing of the primary value, of which a warning can block a verdict.
        warnings=stolen[threat.budgets.index(threat.budget)].warnings,
    )
    played = measured_play(work.risk, result, (*draws, "theft"))
    return replace(played, evidence=victim.evidence)


def independent(work: IndependentWork, inputs: Sequence[Any], ground: Ground) -> IndependentOutput:
    """Have the owner score models that have nothing to do with its own: what a claim is compared with.

    Raises:
        ComponentError: blaming the defense that verifies, or who made a model without finite answers.
    """
    fit, *fits = inputs
    found = {place: one.model for output in fits for place, one in output.fitted.items()}
    models = [found[place] for place in work.places]
    defended = torch.arange(len(models)) < len(models) // 2
    makers = [maker_of(work.recipe) if own else work.recipe.model.id for own in defended.tolist()]
    # First of all, since a model that gives no finite answers is its maker's fault, not the owner's.
    accuracy = _accuracies(models, makers, ground.rows(ground.blocks[work.victim.block].test))
    answer = _claims(work, fit.fitted[work.victim], models, ground)
    return IndependentOutput(answer.score, answer.p, defended, accuracy, answer.warnings)


def verification_play(work: VerificationPlayWork, inputs: Sequence[Any], ground: Ground) -> PlayOutput:
    """Have the owner score what a thief made of its model, unnamed and in random order; join the truth; measure.

    Raises:
        ComponentError: blaming the defense that verifies, the thief or the metric.
    """
    threat, draws = work.risk.threat, ("draws", work.root_seed, work.seed)
    assert isinstance(threat, VerificationThreat)
    fit, undefended, stolen, pool = inputs
    block = ground.blocks[work.victim.block]
    own = theft_game.own_rows(ground.rows(block.aux), draws)
    name = work.attack.entry.component.name
    suspects = {
        f"{name}, as it is": stolen.model,
        f"{name}, fine-tuned": _fine_tuned(work, stolen.model, own, threat.fine_tuning_epochs, draws),
        f"{name}, pruned": pruned(stolen.model, threat.pruned),
    }
    if _retrained_differs(work):
        suspects[RETRAINED] = undefended.fitted[work.victim].model
    names = list(suspects)
    makers = [work.recipe.model.id if name == RETRAINED else work.attack.id for name in names]
    # First of all, as above: the retrained model is the architecture's own, no defense had a hand in it.
    accuracy = _accuracies([suspects[name] for name in names], makers, ground.rows(block.test))
    order = torch.randperm(len(names), generator=generator(*draws, "suspects"))
    answer = _claims(work, fit.fitted[work.victim], [suspects[names[at]] for at in order.tolist()], ground)
    back = order.argsort()
    result = VerificationResult(
        names=tuple(names),
        derived=torch.tensor([one != RETRAINED for one in names]),
        score=answer.score[back],
        p=None if answer.p is None else answer.p[back],
        accuracy=accuracy,
        null=pool.score,
        null_p=pool.p,
        null_accuracy=pool.accuracy,
        defended=pool.defended,
        fpr=threat.fpr,
        warnings=tuple(dict.fromkeys((*stolen.warnings, *pool.warnings, *answer.warnings))),
    )
    played = measured_play(work.risk, result, (*draws, "verification"))
    return replace(played, evidence=fit.fitted[work.victim].evidence)


RETRAINED = "retrained without the defense"
"""The suspect that is trained on the owner's rows, but not with its defense."""


def _retrained_differs(work: VerificationPlayWork) -> bool:
    """Say whether the defense that verifies acts in training; if not, who trains without it has not evaded it."""
    return bool(trained(verifiers(RowPlan("", "defense", work.recipe.chain))))


def pruned(model: nn.Module, share: float) -> nn.Module:
    """Return a copy whose smallest weights are zero: this share of all of them together, biases left alone."""
    copied = copy.deepcopy(model)
    weights = [value.detach() for value in copied.parameters() if value.dim() > 1]
    sizes = torch.cat([value.abs().flatten() for value in weights])
    count = int(share * len(sizes))
    if count:
        limit = sizes.kthvalue(count).values
        for value in weights:
            value[value.abs() <= limit] = 0
    return copied


def _fine_tuned(work: VerificationPlayWork, model: nn.Module, own: Data, epochs: int, draws: Draws) -> nn.Module:
    settings = work.recipe.settings.model_copy(update={"epochs": epochs})
    targets = one_hot(own.y, len(own.schema.classes)).float()
    key = (*draws, "fine-tuning")
    try:
        return imitated(partial(_trainable, model), own.x, targets, settings, schema=own.schema, key=key)
    except (ModelOutputError, DivergedError) as error:
        raise ComponentError(work.attack.id, error) from error


def _trainable(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).train().requires_grad_(True)


def _claims(
    work: IndependentWork | VerificationPlayWork, owner: Fitted, suspects: Sequence[nn.Module], ground: Ground
) -> VerificationAnswer:
    """Call the owner's ``verify`` on unnamed suspects, with the same draws each time."""
    (use,) = verifiers(RowPlan("", "defense", work.recipe.chain))
    defense, draws = defense_of(use), ("draws", work.root_seed, work.seed)
    train, val = ground.training_rows(work.victim), ground.rows(ground.blocks[work.victim.block].val)
    seen = [with_access(model, defense.verify_access) for model in suspects]
    view = VerificationView(
        suspects=tuple(one for one in seen if one is not None),
        evidence=evidence_json(owner.evidence),
        proof=owner.proof,
        model=WhiteBox(owner.model),
        x=train.x,
        y=train.y,
        val_x=val.x,
        val_y=val.y,
        data_schema=train.schema,
    )
    try:
        verify = use.entry.load(defense.verify)
    except RequestError as error:
        raise ComponentError(use.id, error) from error

    def call() -> VerificationAnswer:
        answer = verify(view, use.params)
        if not isinstance(answer, VerificationAnswer):
            raise TypeError(f"verify returned {type(answer).__name__}, expected a VerificationAnswer")
        return game.accept(view, answer)

    answer: VerificationAnswer = blamed(use.id, call, (*draws, "verification"))
    return answer


def _accuracies(models: Sequence[nn.Module], makers: Sequence[str], test: Data) -> Tensor:
    """Return each model's accuracy, float64 ``[models]``; ``makers`` are to blame for answers that are not finite."""
    predicted = [_predicted(model, test.x, by=maker) for model, maker in zip(models, makers, strict=True)]
    return torch.stack([(labels == test.y).double().mean() for labels in predicted])


def _predicted(model: nn.Module, x: Tensor, *, by: str) -> Tensor:
    """Return the classes that a model predicts, ``[n]``; answers that are not finite are the fault of who made it."""
    try:
        return logits_of(model, x).argmax(1)
    except ModelOutputError as error:
        raise ComponentError(by, error) from error
