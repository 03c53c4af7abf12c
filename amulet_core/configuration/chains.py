"""Chains of defenses: their order, and whether their members can stand together. Light."""

from collections.abc import Callable, Sequence
from typing import Any

from amulet_core.components import Defense
from amulet_core.configuration.request import Use, defense_of
from amulet_core.errors import cause_of, doing
from amulet_core.planned import Planned
from amulet_core.schema import DataSchema
from amulet_core.settings import TrainingSettings
from amulet_core.vocabulary import STAGES


def in_stage_order(chain: Sequence[Use]) -> tuple[Use, ...]:
    """Return the defenses by the first stage each acts in; those of one stage keep their order."""
    return tuple(sorted(chain, key=_first_stage))


def _first_stage(use: Use) -> int:
    """Return where a defense stands: one that only verifies comes last."""
    return min((STAGES.index(stage) for stage in defense_of(use).stages), default=len(STAGES))


def trained(chain: Sequence[Use]) -> tuple[Use, ...]:
    """Leave out the defenses that act on predictions alone, or only verify: no training depends on them."""
    return tuple(use for use in chain if set(defense_of(use).stages) - {"inference"})


def alike(chain: Sequence[Use], other: Sequence[Use]) -> bool:
    """Say whether two chains make and release the same models: what only verifies makes no difference."""
    one, two = (tuple(use for use in some if defense_of(use).stages or _releases(use)) for some in (chain, other))
    return one == two


def released(chain: Sequence[Use]) -> tuple[Use, ...]:
    """Return the defenses that have a say in what is released of a trained model: predictions, and explanations."""
    return tuple(use for use in chain if _releases(use))


def _releases(use: Use) -> bool:
    """Say so also of a defense that explains and has no stage, or one for training alone."""
    return "inference" in defense_of(use).stages or defense_of(use).explain is not None


def remaking(chain: Sequence[Use]) -> tuple[Use, ...]:
    """Return the defenses that put the architecture into a module of their own, the innermost first."""
    makers = [use for use in chain if defense_of(use).rebuild]
    return tuple(sorted(makers, key=lambda use: "model" in defense_of(use).stages))


def chain_problems(chain: Sequence[Use], training: TrainingSettings, model: Use) -> list[str]:
    """List why the members of a chain cannot stand together on such a model, whatever the data."""
    problems = []
    ids = [use.id for use in chain]
    problems += [f"{one} stands in the chain twice" for one in sorted({one for one in ids if ids.count(one) > 1})]
    problems += [
        f"{use.id} answers at random, and AMULET does not measure randomised defenses yet: leave it out"
        for use in chain
        if defense_of(use).randomised
    ]
    problems += _needs_problems(chain, model) + _explaining_problems(chain, model) + beside_problems(chain)
    return problems + _privacy_problems(chain, training, model)


def _needs_problems(chain: Sequence[Use], model: Use) -> list[str]:
    problems = []
    made, unmade = set(model.entry.component.produces), dict[str, str]()
    for use in chain:
        defense = defense_of(use)
        lacking = [need for need in defense.requires if need not in made]
        gone = [need for need in lacking if need in unmade]
        never = [need for need in lacking if need not in unmade]
        problems += [f"{use.id} needs {need}, and the models that {unmade[need]} makes have none" for need in gone]
        if never:
            problems.append(
                f"{use.id} needs {', '.join(never)}, which neither {model.id} nor a defense before it in the chain "
                f"makes (made so far: {', '.join(sorted(made)) or 'nothing'})"
            )
        unmade |= dict.fromkeys(made & set(defense.unmakes), use.id)
        made = made - set(defense.unmakes) | set(defense.produces)
    return problems


def _explaining_problems(chain: Sequence[Use], model: Use) -> list[str]:
    explaining = [use.id for use in chain if defense_of(use).explain]
    problems = []
    if len(explaining) > 1:
        problems.append(f"{' and '.join(explaining)} each explain the model's predictions: leave one of them out")
    if explaining and not getattr(model.entry.component, "differentiable", True):
        problems.append(
            f"{explaining[0]} explains predictions by gradients, and {model.id} has none: choose another model"
        )
    return problems


def beside_problems(chain: Sequence[Use]) -> list[str]:
    """List what the members of a chain themselves say against standing in it."""
    descriptors = tuple(defense_of(use) for use in chain)
    return [f"{use.id}: {reason}" for use in chain for reason in _beside(use, descriptors)]


def _beside(use: Use, chain: tuple[Defense, ...]) -> list[str]:
    try:
        return defense_of(use).beside(use.params, chain)
    except Exception as error:  # noqa: BLE001  # whatever a plugin raises, the request names it
        return [f"its beside() failed: {cause_of(error)}. Update or report {use.entry.distribution}."]


def model_problems(model: Use, chain: Sequence[Use]) -> list[str]:
    """List why the members of a chain cannot defend such a model."""
    if not getattr(model.entry.component, "trains_itself", False):
        return []
    return [
        f"{use.id} changes how a model is trained, but {model.id} trains itself: leave the defense out, or choose "
        "another model"
        for use in chain
        if {"training", "model"} & set(defense_of(use).stages)
    ]


def _privacy_problems(chain: Sequence[Use], training: TrainingSettings, model: Use) -> list[str]:
    problems = []
    for use in chain:
        if not defense_of(use).accounts_privacy:
            continue
        problems += [
            f"{use.id} clips the gradient of each row, which {other.id} does not allow: leave one of them out"
            for other in chain
            if not defense_of(other).clippable
        ]
        if not getattr(model.entry.component, "clippable", True):
            problems.append(
                f"{use.id} clips the gradient of each row, which the model {model.id} does not allow: choose another "
                "model, or leave the defense out"
            )
        problems += [
            f"{use.id} clips the gradient of each row, and {model.id} cannot read the several inputs of a row that "
            f"{other.id} gives at once: choose a model without convolutions, or leave one of them out"
            for other in chain
            if defense_of(other).stacks_inputs and getattr(model.entry.component, "convolves", False)
        ]
        looking = _looking(chain, training)
        undeclared = [name for name in looking if name not in _declared(use)]
        if undeclared:
            problems.append(
                f"{use.id} accounts for privacy, but {doing(undeclared, 'sees', 'see')} private rows outside its "
                f"account: leave them out, or declare that epsilon holds only on condition of them: "
                f"params.conditional_on: [{', '.join(looking)}]"
            )
    return problems


def condition_problems(chain: Sequence[Use], chains: Sequence[Sequence[Use]], training: TrainingSettings) -> list[str]:
    """List what a chain's accounts are declared to hold on condition of, and which sees no private rows in it.

    A condition nobody needs would turn off the alarm of an audit. ``chains`` are all that a configuration names: what a
    defense declares in one of them it declares alone too, where it stands beside the chain as a member.
    """
    problems = []
    for use in chain:
        here = _looking(chain, training) if defense_of(use).accounts_privacy else []
        known = {name for other in chains if use in other for name in _looking(other, training)}
        strange = [name for name in _declared(use) if name not in known.union(here)]
        if strange:
            problems.append(
                f"{use.id}: params.conditional_on names {' and '.join(strange)}, and in this chain "
                f"{doing(here, 'sees', 'see') if here else 'nothing sees'} private rows outside its account: leave out "
                f"{' and '.join(strange)}"
            )
    return problems


def _looking(chain: Sequence[Use], training: TrainingSettings) -> list[str]:
    """Return the names of what looks at private rows outside the account."""
    looking = [use.entry.component.name for use in chain if defense_of(use).reads_private_rows]
    return looking + ["early-stopping"] * (bool(training.patience) and "early-stopping" not in looking)


def _declared(use: Use) -> tuple[str, ...]:
    return tuple(getattr(use.params, "conditional_on", ())) if defense_of(use).accounts_privacy else ()


def data_problems(use: Use, schema: DataSchema, path: str) -> list[str]:
    """List why a component cannot work on data of this schema, each under ``path``."""
    component = use.entry.component
    problems = []
    if schema.modality not in component.modality:
        problems.append(f"{path}: {use.id} works on {' and '.join(component.modality)} data, this is {schema.modality}")
    if getattr(component, "uses_sensitive", False) and not schema.sensitive:
        problems.append(f"{path}: {use.id} needs a sensitive attribute, and the data set declares none")
    return problems + _reasons(use, "applicable", component.applicable, schema, path)


def run_problems(use: Use, planned: Planned, path: str) -> list[str]:
    """List why a component cannot work on such data, or not in such a run, each under ``path``."""
    against = _reasons(use, "impossible", use.entry.component.impossible, planned, path)
    return data_problems(use, planned.schema, path) + against


def doubts(use: Use, planned: Planned, path: str) -> list[str]:
    """List what a defense cannot stand of the threat model of its own risk, which ``planned`` has; it still runs."""
    return _reasons(use, "outmatched", defense_of(use).outmatched, planned, path)


def _reasons(use: Use, what: str, ask: Callable[[Any, Any], list[str]], about: Any, path: str) -> list[str]:
    try:
        reasons = ask(use.params, about)
    except Exception as error:  # noqa: BLE001  # whatever a plugin raises, the request names it
        reasons = [f"its {what}() failed: {cause_of(error)}. Update or report {use.entry.distribution}."]
    return [f"{path}: {use.id}: {reason}" for reason in reasons]
