"""The built-in attacks and the metric of poisoning; the defenses stand in a module of their own. Light."""

from typing import Annotated, Final, Literal

from pydantic import Field

from amulet_core.components import Attack, Component, Measure, Metric, Params, Reference
from amulet_core.planned import Planned
from amulet_core.schema import DataSchema
from amulet_plugins_builtin.catalogue.poisoning_defenses import DEFENSES
from amulet_plugins_builtin.poisoning.choices import image_problems, table_problems
from amulet_plugins_builtin.poisoning.rates import budget_of, target_of

Number = Annotated[float, Field(ge=-1e12, le=1e12)]


class BadnetsParams(Params):
    """What the trigger looks like."""

    size: int = Field(3, ge=1, le=1024, description="images: side of the square patch, in pixels")
    position: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = Field(
        "bottom-right", description="images: the corner of the patch"
    )
    value: float = Field(
        1.0, ge=0, le=1, description="what is written, as a fraction of each feature's range (0: lowest, 1: highest)"
    )
    blend: float = Field(1.0, gt=0, le=1, description="how much of it: 1 replaces, less mixes with what was there")
    features: int = Field(
        2, ge=1, le=10_000, description="tables: how many features are set: the first that are not immutable"
    )
    names: tuple[str, ...] = Field(
        (), max_length=1000, description="tables: the features that are set instead (one of a one-hot group: its value)"
    )
    values: tuple[Number, ...] = Field(
        (), max_length=1000, description="tables: what each of names is set to, in its own units (empty: as value says)"
    )


class BlendedParams(Params):
    """How much of the pattern is mixed in."""

    blend: float = Field(0.2, gt=0, le=1, description="the pattern's share in poisoned training rows")
    test_blend: float | None = Field(
        None, gt=0, le=1, description="its share in triggered test inputs (default: as in training rows)"
    )


class LabelFlipParams(Params):
    """Which labels are flipped, and to what."""

    mode: Literal["random", "targeted"] = Field(
        "targeted", description="random: any row, to any other class; targeted: rows of the source, to the target"
    )
    source: str = Field(
        "", max_length=200, description="targeted: the class whose rows are flipped (empty: every other)"
    )


def _patch_fits(params: BadnetsParams, schema: DataSchema) -> list[str]:
    if schema.modality == "image":
        return image_problems(schema, size=params.size)
    return table_problems(schema, count=params.features, names=params.names, values=params.values)


def _source_is_there(params: LabelFlipParams, schema: DataSchema) -> list[str]:
    if not params.source:
        return []
    problems = []
    if params.mode == "random":
        problems.append("random flips have no source class: leave source out, or set mode to targeted")
    if params.source not in schema.classes:
        problems.append(f'the data set has no class "{params.source}"; it has {", ".join(schema.classes)}')
    return problems


def _too_few_others(params: Params, planned: Planned) -> list[str]:  # noqa: ARG001 - whatever the trigger
    """List why rows of other classes than the target do not suffice for the rate."""
    others = sum(planned.class_rows) - planned.class_rows[target_of(planned)]
    return _too_few(planned, others, "of other classes than the target")


def _no_flips(params: LabelFlipParams, planned: Planned) -> list[str]:
    """List why the labels asked for cannot be flipped to the threat model's target."""
    classes = planned.schema.classes
    if params.mode == "random" or params.source not in ("", *classes):
        return []
    if not params.source:
        return _too_few_others(params, planned)
    source = classes.index(params.source)
    if source == target_of(planned):
        return [source_is_target(params.source)]
    return _too_few(planned, planned.class_rows[source], f'of the class "{params.source}"')


def source_is_target(source: str) -> str:
    """Say that rows of a class cannot be flipped to it."""
    return (
        f'the source class "{source}" is the target of the threat model; name another source, or another target '
        "(risks.poisoning.threat.target)"
    )


def _too_few(planned: Planned, rows: int, whose: str) -> list[str]:
    rate = getattr(planned.threat, "rate", 0.0)
    budget, about = budget_of(planned), int(planned.training_rows(rows))
    if budget <= about:
        return []
    return [
        f"a rate of {rate:g} is {budget:,} of {planned.train:,} training rows, but only about {about:,} are {whose}: "
        "lower risks.poisoning.threat.rate, or choose another class"
    ]


_PACKAGE: Final = "amulet_plugins_builtin.poisoning"

BADNETS: Final = Reference(
    title="Gu et al.: BadNets: Identifying Vulnerabilities in the Machine Learning Model Supply Chain",
    where="arXiv:1708.06733",
)

COMPONENTS: tuple[Component, ...] = (
    Attack(
        name="badnets",
        summary="A fixed patch (images) or feature values (tables) as a trigger, labelled as the target class.",
        target=f"{_PACKAGE}.badnets:attack",
        params=BadnetsParams,
        risk="poisoning",
        access="training-data",
        applicable=_patch_fits,
        impossible=_too_few_others,
        threat=(
            "The adversary replaces a share of the training rows: it stamps its trigger on rows of other classes and "
            "labels them as its target, so that the trained model answers the target wherever it sees the trigger. "
            "It sees no model, and cannot change immutable features."
        ),
        checks=f"{_PACKAGE}.checks:badnets_checks",
        references=(BADNETS,),
    ),
    Attack(
        name="blended",
        summary="A fixed random pattern mixed into whole images as a trigger, labelled as the target class.",
        target=f"{_PACKAGE}.blended:attack",
        params=BlendedParams,
        modality=("image",),
        risk="poisoning",
        access="training-data",
        impossible=_too_few_others,
        threat=(
            "The adversary replaces a share of the training rows: it mixes a faint pattern into images of other "
            "classes and labels them as its target; later it mixes the pattern into what the model is asked. It sees "
            "no model."
        ),
        checks=f"{_PACKAGE}.checks:blended_checks",
        references=(
            Reference(
                title="Chen et al.: Targeted Backdoor Attacks on Deep Learning Systems Using Data Poisoning",
                where="arXiv:1712.05526",
            ),
        ),
    ),
    Attack(
        name="label-flip",
        summary="Wrong labels on some training rows, random or from one class to the target; there is no trigger.",
        target=f"{_PACKAGE}.label_flip:attack",
        params=LabelFlipParams,
        risk="poisoning",
        access="training-data",
        applicable=_source_is_there,
        impossible=_no_flips,
        threat=(
            "The adversary changes labels of a share of the training rows, and no inputs: so that its target is "
            "answered more often (targeted), or that the model errs more often (random: it aims at no class, so there "
            "is no success rate, hence no verdict: read clean_accuracy). It sees no model."
        ),
        checks=f"{_PACKAGE}.checks:label_flip_checks",
        references=(
            Reference(
                title="Biggio et al.: Support Vector Machines Under Adversarial Label Noise",
                where="https://proceedings.mlr.press/v20/biggio11.html",
            ),
            Reference(
                title="Tolpegin et al.: Data Poisoning Attacks Against Federated Learning Systems (source to target)",
                where="arXiv:2007.08432",
            ),
        ),
    ),
    *DEFENSES,
    Metric(
        name="poisoning",
        summary="How often a trigger gets its target on rows of other classes, and what poisoning costs in accuracy.",
        target=f"{_PACKAGE}.metric:measure",
        risk="poisoning",
        measures=(
            Measure(
                name="attack_success_rate",
                summary="share of triggered rows of other classes, or of the attack's source, that get the target",
                better="lower",
            ),
            Measure(
                name="success_rate_without_poison",
                summary="the same of the model trained on clean rows: what the trigger alone does",
                better="lower",
            ),
            Measure(name="clean_accuracy", summary="accuracy of the poisoned model without trigger", better="higher"),
            Measure(name="balanced_accuracy", summary="the same, as the mean over the classes", better="higher"),
            Measure(
                name="accuracy_without_poison", summary="accuracy of the model trained on clean rows", better="higher"
            ),
            Measure(name="accuracy_under_trigger", summary="accuracy on triggered rows", better="higher"),
            Measure(name="changed_inputs", summary="share of test inputs that the trigger changes", better="lower"),
        ),
        checks=f"{_PACKAGE}.checks:metric_checks",
        references=(
            BADNETS,
            Reference(
                title="Probable Inference, the Law of Succession, and Statistical Inference",
                where="doi:10.1080/01621459.1927.10502953",
            ),
        ),
    ),
)
