"""Conformance of defenses: their stages one by one, what the whole leaves behind, and the owner's verification."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Final

import torch
from torch import nn

from amulet_core.components import Defense
from amulet_core.configuration.request import Use, defense_of
from amulet_core.errors import cause_of
from amulet_core.performing.recipes import fit_recipe, rebuilt
from amulet_core.planning.jobs import Recipe
from amulet_core.testing import explained, objectives, stages, verifying, wrapped_fits
from amulet_core.testing.findings import ConformanceCheck, ConformanceError, NotCheckedError, conformance
from amulet_core.testing.manners import Trial, manners, working
from amulet_core.testing.stages import PLAIN, Staged, staged
from amulet_core.testing.toys import NETWORK, SETTINGS, Toy, task_rows
from amulet_core.testing.verifying import Verified
from amulet_core.testing.watching import contents, differing
from amulet_core.training.values import Fitted, Streams
from amulet_core.vocabulary import Stage

Fits = Callable[[Toy, int], list[Fitted]]
"""Trains two models on a toy; the number is that of the repetition."""

_OF_STAGE: dict[Stage, tuple[tuple[str, str, Callable[[Sequence[Staged]], None]], ...]] = {
    "data": (
        ("its data stage returns valid rows", "training takes them as they are", stages.valid_rows),
        (
            "its data stage keeps the ids of the rows",
            "members are found by their ids: an id on another row fakes a leak",
            stages.ids_are_kept,
        ),
    ),
    "training": (
        ("its training stage returns a Training", "it is what the recipe fits", stages.a_training),
        (
            "it composes with another training defense",
            "a defense that drops another's part of the training would be measured in its name",
            stages.composes,
        ),
        (
            "it says if it does more than its objective says",
            "a gradient of the objective alone would be attacked in the recipe's place",
            wrapped_fits.as_declared,
        ),
        *objectives.CHECKS,
    ),
    "model": (("its model stage returns a Fitted", "it is what is attacked", stages.a_fitted),),
    "inference": (
        (stages.PROBABILITIES, "everything behind it reads its output as probabilities", stages.probabilities),
        (
            "it is random, or releases labels only, just where its descriptor says so",
            "metrics take expectations, and attacks are skipped, by what is declared",
            stages.as_declared,
        ),
    ),
}

_OF_VERIFICATION: tuple[tuple[str, str, Callable[[Sequence[Verified]], None]], ...] = (
    (verifying.SCORES, "who is claimed is decided by it", verifying.scores_all),
    (
        "its verification scores each suspect for itself",
        "suspects and the independent models they are compared with are scored in different calls",
        verifying.scores_alone,
    ),
)
_VAL = stages.ROWS
_OBJECTIVES: Final = (
    "; objectives run under torch.func.vmap: branch with torch.where, "
    "ask for draws with Draw, return one loss a row, [n]"
)


def defense_checks(component: str, use: Use, toys: Callable[[], Sequence[Toy]]) -> tuple[ConformanceCheck, ...]:
    """Return the checks of a defense, for the stages that it acts in and for its verification."""
    fits = cache(partial(_fits, use))

    @cache
    def tried() -> list[Staged]:
        return [staged(use, toy, stage) for toy in toys() for stage in defense_of(use).stages]

    explanations = cache(lambda: explained.explanations(use, toys()))

    @cache
    def verified() -> list[Verified]:
        owned = defense_of(use).verify is not None
        return [verifying.verified(use, toy, _trained(fits, toy), val=_VAL) for toy in toys()] if owned else []

    def trials() -> list[Trial]:
        try:
            return [*(one.trial for one in tried()), *explanations(), *(one.trial for one in verified())]
        except NotCheckedError:  # "the trained model is finite and plain" says why
            return [*(one.trial for one in tried()), *explanations()]

    def of_verification(examine: Callable[[Sequence[Verified]], None]) -> None:
        working(trials)
        examine(verified())

    def of_stage(stage: Stage, examine: Callable[[Sequence[Staged]], None]) -> None:
        working(trials)
        examine([one for one in tried() if one.stage == stage])

    def of_whole(examine: Callable[[Sequence[Toy], Fits], None]) -> None:
        working(trials)
        for stage in defense_of(use).stages:
            name, _, proper = _OF_STAGE[stage][0]
            try:
                of_stage(stage, proper)
            except ConformanceError as error:
                raise NotCheckedError(f'not checked, because "{name}" fails') from error
        examine(toys(), fits)

    own = [
        conformance(component, name=name, why=why, examine=partial(of_stage, stage, examine))
        for stage in defense_of(use).stages
        for name, why, examine in _OF_STAGE[stage]
    ]
    beside = explained.checks(component, use, toys=toys, trials=trials, own=explanations)
    whole = [
        conformance(component, name=name, why=why, examine=partial(of_whole, examine))
        for name, why, examine in _of_whole(use)
    ]
    verification = [
        conformance(component, name=name, why=why, examine=partial(of_verification, examine))
        for name, why, examine in (_OF_VERIFICATION if defense_of(use).verify else ())
    ]
    return (*manners(component, trials), *own, *beside, *whole, *verification)


def _of_whole(use: Use) -> tuple[tuple[str, str, Callable[[Sequence[Toy], Fits], None]], ...]:
    return (
        (PLAIN, "hooks, wrappers or NaN left in it break attacks and storage", partial(_plain, use)),
        (
            "it leaves exactly the evidence that it declares",
            "other components require evidence by name",
            partial(_evidence, defense_of(use)),
        ),
        (
            "the same seed trains the same bits",
            "a result that cannot be repeated cannot be checked, cached or resumed",
            _same_models,
        ),
    )


def _fits(use: Use, toy: Toy, repetition: int) -> list[Fitted]:  # noqa: ARG001 - the repetition makes the cache fit again
    """Train two models by the recipe with this defense alone, each on rows and with streams of its own."""
    rows = [task_rows(toy, rows=stages.ROWS, key=("train", model)) for model in range(2)]
    val = [task_rows(toy, rows=_VAL, key=("val", model)) for model in range(2)]
    streams = [Streams(("conformance", model)) for model in range(2)]
    return fit_recipe(_recipe(use), rows, val, streams)


def _recipe(use: Use) -> Recipe:
    return Recipe(NETWORK, (use,), SETTINGS)


def _trained(fits: Fits, toy: Toy, repetition: int = 1) -> list[Fitted]:
    try:
        return fits(toy, repetition)
    except Exception as error:
        raise NotCheckedError(f'not checked, because "{PLAIN}" fails') from error


def _plain(use: Use, toys: Sequence[Toy], fits: Fits) -> None:
    for toy in toys:
        try:
            fitted = fits(toy, 1)
        except Exception as error:
            raise ConformanceError(
                found=f"on {toy.label} training raised {cause_of(error).rstrip('.')}",
                expected="two trained models",
                fix="train them by the recipe as amulet_core.performing.recipes.fit_recipe does, "
                "and mend what is raised" + _OBJECTIVES * ("training" in defense_of(use).stages),
            ) from error
        for problem in filter(None, (_model_problem(one.model, rebuilt(_recipe(use), toy.schema)) for one in fitted)):
            raise ConformanceError(
                found=f"on {toy.label} {problem}",
                expected="the architecture as it was built, in eval mode, without hooks, with finite weights",
                fix="work on a copy, and hand back the plain module (or say in rebuild what it is put into)",
            )


def _model_problem(model: nn.Module, plain: nn.Module) -> str:
    strange = sorted(set(model.state_dict()) ^ set(plain.state_dict()))
    if type(model) is not type(plain) or strange:
        return f"the model is a {type(model).__name__} whose state differs in {', '.join(strange[:3]) or 'nothing'}"
    broken = [name for name, value in model.state_dict().items() if not torch.isfinite(value).all()]
    if broken:
        return f"the model's {broken[0]} is not finite"
    if any(part.training for part in model.modules()):
        return "the model is in train mode"
    hooks = sorted(
        {kind for part in model.modules() for kind in vars(part) if kind.endswith("_hooks") and vars(part)[kind]}
    )
    return f"the model has {hooks[0]}" if hooks else ""


def _evidence(defense: Defense, toys: Sequence[Toy], fits: Fits) -> None:
    for toy in toys:
        for fitted in _trained(fits, toy):
            found, declared = sorted(fitted.evidence), sorted(defense.produces)
            if found != declared:
                raise ConformanceError(
                    found=f"on {toy.label} the evidence left is {', '.join(found) or 'none'}",
                    expected=f"{', '.join(declared) or 'none'}, as produces declares",
                    fix="declare it in produces, and put it into Training.evidence or Fitted.evidence under that name",
                )


def _same_models(toys: Sequence[Toy], fits: Fits) -> None:
    toy = toys[0]
    first, again = (contents([one.model for one in _trained(fits, toy, repetition)]) for repetition in (1, 2))
    different = differing(first, again)
    if different:
        raise ConformanceError(
            found=f"on {toy.label} two trainings with one seed differ in {different[0]}",
            expected="equal bits",
            fix="draw from the streams it is given, or from the global generators; keep nothing between calls",
        )
