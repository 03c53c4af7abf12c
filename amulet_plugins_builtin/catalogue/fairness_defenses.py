"""The built-in fairness defenses that put the trained model inside another: descriptors and parameters. Light."""

from typing import Final, Literal

from pydantic import Field

from amulet_core.components import Defense, Params, Reference
from amulet_core.planned import Planned
from amulet_core.schema import DataSchema
from amulet_plugins_builtin.fairness.attributes import SMALLEST_GROUP, attribute_column, attribute_problems

_ATTRIBUTE: Final = "the sensitive attribute (empty: the data set's first)"


class ExponentiatedGradientParams(Params):
    """The settings of exponentiated gradient."""

    attribute: str = Field("", max_length=80, description=_ATTRIBUTE)
    constraint: Literal["demographic-parity", "equalized-odds"] = Field(
        "demographic-parity", description="the rates that are to be alike in all groups"
    )
    difference: float = Field(
        0.01, gt=0, le=1, description="how far a group's rate may lie from that of all rows, on the training rows"
    )
    max_iter: int = Field(5, ge=1, le=50, description="rounds; each trains two models or more")


class ThresholdOptimizerParams(Params):
    """The settings of the threshold optimizer."""

    attribute: str = Field("", max_length=80, description=_ATTRIBUTE)
    constraint: Literal["demographic-parity", "equal-opportunity"] = Field(
        "demographic-parity",
        description="the rate that is to be alike in all groups: of predictions of the second class, among all rows or "
        "among those of that class",
    )
    tolerance: float = Field(
        0.01, ge=0, le=1, description="how far apart the groups' rates may lie on the validation rows"
    )
    objective: Literal["accuracy", "balanced-accuracy"] = Field(
        "accuracy", description="what the thresholds maximise within the tolerance"
    )


class CorrelationRemoverParams(Params):
    """The settings of the correlation remover."""

    attribute: str = Field("", max_length=80, description=_ATTRIBUTE)
    alpha: float = Field(1.0, ge=0, le=1, description="how much of the correlation is removed (0: nothing)")


def slots(params: ExponentiatedGradientParams, schema: DataSchema) -> int:
    """Return how many models a mixture can hold.

    A mixture of the gradient's own is a mean over the rounds so far. One of the linear programme is a vertex: it has no
    more members than there are pairs of group and event (of each pair at most one of two bounds is tight), and one.
    """
    groups = len(schema.sensitive[attribute_column(params.attribute, schema)].categories)
    events = 1 if params.constraint == "demographic-parity" else len(schema.classes)
    return max(params.max_iter, groups * events + 1)


def _two_classes(schema: DataSchema) -> list[str]:
    if len(schema.classes) == 2:
        return []
    return [f"it works on two classes, and the data set has {len(schema.classes)}: choose another defense or data set"]


def _gradient_problems(params: ExponentiatedGradientParams, schema: DataSchema) -> list[str]:
    return _two_classes(schema) + attribute_problems(params.attribute, schema)


def _threshold_problems(params: ThresholdOptimizerParams, schema: DataSchema) -> list[str]:
    return _two_classes(schema) + _attribute_in_x(params.attribute, schema)


def _remover_problems(params: CorrelationRemoverParams, schema: DataSchema) -> list[str]:
    return _attribute_in_x(params.attribute, schema)


def _attribute_in_x(name: str, schema: DataSchema) -> list[str]:
    """Return why the deployed model cannot read a row's group from the row."""
    problems = attribute_problems(name, schema)
    if problems or not schema.sensitive:
        return problems
    column = attribute_column(name, schema)
    if schema.one_hot_of(column):
        return []
    held = schema.sensitive[column]
    among = "not among the inputs"
    if held.features:
        among = "among the inputs, but not as one feature for each of its values"
    readable = [own.name for at, own in enumerate(schema.sensitive) if schema.one_hot_of(at)]
    others = f"; attributes it can read: {', '.join(readable)}" if readable else ""
    return [
        f'it must know the group of each row that it answers, and the sensitive attribute "{held.name}" is {among}'
        f"{others}: put the sensitive columns among the inputs (sensitive_in_x, where the data set has it) or choose "
        "another attribute or defense"
    ]


def _beside_gradient(_params: ExponentiatedGradientParams, chain: tuple[Defense, ...]) -> list[str]:
    names = [defense.name for defense in chain]
    private = [defense.name for defense in chain if defense.accounts_privacy]
    problems = []
    if private:
        problems.append(
            f"it trains several models on the same rows, and {' and '.join(private)} accounts for one: leave one out"
        )
    if "reweighing" in names:
        problems.append("it sets the weights of the rows itself, which reweighing does too: leave one out")
    if "early-stopping" in names:
        problems.append(
            "its members know no early stopping, as the validation rows carry other labels than those they learn: "
            "leave early-stopping out"
        )
    if "threshold-optimizer" in names[: names.index("exponentiated-gradient")]:
        problems.append("thresholds are set for the finished model: let threshold-optimizer stand after it")
    return problems


def _hurried(_params: ExponentiatedGradientParams, planned: Planned) -> list[str]:
    if not planned.training.patience:
        return []
    return [
        "its members know no early stopping, as the validation rows carry other labels than those they learn: set "
        "training.patience to 0"
    ]


def _one_sided(params: ExponentiatedGradientParams, planned: Planned) -> list[str]:
    """Return why about all training rows are of one class, or of one group: there is nothing to compare."""
    column = _known_column(params.attribute, planned.schema)
    sides = [("class", planned.schema.classes, planned.class_rows)]
    if column is not None:
        attribute = planned.schema.sensitive[column]
        sides.append((attribute.name, attribute.categories, planned.group_rows[column]))
    return [
        f"it compares groups of both classes, and of {planned.train:,} training rows less than one has another {what} "
        f'than "{names[rows.index(max(rows))]}": train on more rows'
        for what, names, rows in sides
        if planned.training_rows(sorted(rows)[-2]) < 1
    ]


def _lopsided(params: ExponentiatedGradientParams, planned: Planned) -> list[str]:
    return _hurried(params, planned) + _one_sided(params, planned)


def _small_groups(params: ThresholdOptimizerParams, planned: Planned) -> list[str]:
    """Return why fewer than two groups have validation rows enough behind the rate that is to be alike."""
    column = _known_column(params.attribute, planned.schema)
    if column is None or len(planned.schema.classes) != 2:
        return []
    second = params.constraint == "equal-opportunity" and planned.cells
    rows = planned.cells[column][1] if second else planned.group_rows[column]
    sizes = [planned.val * count / max(1, sum(planned.class_rows)) for count in rows]
    if sorted(sizes)[-2] >= SMALLEST_GROUP:
        return []
    attribute = planned.schema.sensitive[column]
    listed = ", ".join(f"{label} about {size:.3g}" for label, size in zip(attribute.categories, sizes, strict=True))
    return [
        f"it needs {SMALLEST_GROUP} validation rows behind the rates of at least 2 groups ({attribute.name}: "
        f"{listed}): raise data.val"
    ]


def _known_column(name: str, schema: DataSchema) -> int | None:
    """Return the column of the sensitive attribute, if the data set has it; that it has none is said elsewhere."""
    if not schema.sensitive or attribute_problems(name, schema):
        return None
    return attribute_column(name, schema)


def _beside_remover(_params: CorrelationRemoverParams, chain: tuple[Defense, ...]) -> list[str]:
    names = [defense.name for defense in chain]
    wrapping = {"exponentiated-gradient", "threshold-optimizer"} & set(names[: names.index("correlation-remover")])
    bounding = [defense.name for defense in chain if "interval-bounds" in defense.requires]
    looking = [defense.name for defense in chain if "features" in defense.requires]
    return [
        f"it changes the architecture that {name} puts inside another: let it stand before {name}"
        for name in sorted(wrapping)
    ] + [
        *(f"{name} needs interval bounds, which do not go through its layer: leave one out" for name in bounding),
        *(f"{name} needs hidden features, which are out of reach behind its layer: leave one out" for name in looking),
    ]


_PACKAGE: Final = "amulet_plugins_builtin.fairness"

DEFENSES: Final[tuple[Defense, ...]] = (
    Defense(
        name="exponentiated-gradient",
        summary="Train on reweighted and relabelled rows until a mixture of models treats groups alike.",
        target=f"{_PACKAGE}.exponentiated_gradient:train",
        stages={"training": f"{_PACKAGE}.exponentiated_gradient:train"},
        rebuild=f"{_PACKAGE}.exponentiated_gradient:rebuild",
        params=ExponentiatedGradientParams,
        risk="discriminatory-behavior",
        sok="FD1",
        reads_private_rows=True,
        wraps_fit=True,
        uses_sensitive=True,
        produces=("exponentiated-gradient",),
        unmakes=("affine-logits", "features", "layer-chain"),
        applicable=_gradient_problems,
        impossible=_lopsided,
        beside=_beside_gradient,
        checks=f"{_PACKAGE}.checks_of_wrappers:exponentiated_gradient",
        references=(
            Reference(title="Agarwal et al.: A Reductions Approach to Fair Classification", where="arXiv:1803.02453"),
        ),
    ),
    Defense(
        name="threshold-optimizer",
        summary="Give each group a decision threshold of its own, chosen on the validation rows.",
        target=f"{_PACKAGE}.threshold_optimizer:train",
        stages={"training": f"{_PACKAGE}.threshold_optimizer:train"},
        rebuild=f"{_PACKAGE}.threshold_optimizer:rebuild",
        params=ThresholdOptimizerParams,
        modality=("tabular",),
        risk="discriminatory-behavior",
        sok="FD1",
        reads_private_rows=True,
        wraps_fit=True,
        uses_sensitive=True,
        produces=("threshold-optimizer",),
        unmakes=("affine-logits", "features"),
        applicable=_threshold_problems,
        impossible=_small_groups,
        checks=f"{_PACKAGE}.checks_of_wrappers:threshold_optimizer",
        references=(
            Reference(title="Hardt et al.: Equality of Opportunity in Supervised Learning", where="arXiv:1610.02413"),
        ),
    ),
    Defense(
        name="correlation-remover",
        summary="Put a layer before the model that takes from each feature its correlation with the group.",
        target=f"{_PACKAGE}.correlation_remover:train",
        stages={"training": f"{_PACKAGE}.correlation_remover:train"},
        rebuild=f"{_PACKAGE}.correlation_remover:rebuild",
        params=CorrelationRemoverParams,
        modality=("tabular",),
        risk="discriminatory-behavior",
        sok="FD1",
        reads_private_rows=True,
        wraps_fit=True,
        uses_sensitive=True,
        produces=("correlation-remover",),
        applicable=_remover_problems,
        beside=_beside_remover,
        checks=f"{_PACKAGE}.checks_of_wrappers:correlation_remover",
        references=(
            Reference(
                title="Weerts et al.: Fairlearn: Assessing and Improving Fairness of AI Systems",
                where="arXiv:2303.16626",
            ),
        ),
    ),
)
