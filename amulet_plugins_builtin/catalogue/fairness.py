"""The built-in fairness defenses and metric: their descriptors and parameters. Imports nothing heavy."""

from pydantic import Field

from amulet_core.components import Component, Defense, Measure, Metric, Params, Reference
from amulet_core.planned import Planned
from amulet_core.schema import DataSchema
from amulet_plugins_builtin.catalogue.fairness_defenses import DEFENSES
from amulet_plugins_builtin.fairness.attributes import attribute_problems

_ATTRIBUTE = "the sensitive attribute (empty: the data set's first)"


class ReweighingParams(Params):
    """The settings of reweighing."""

    attribute: str = Field(default="", max_length=80, description=_ATTRIBUTE)


class AdversarialDebiasingParams(Params):
    """The settings of adversarial debiasing."""

    attribute: str = Field(default="", max_length=80, description=_ATTRIBUTE)
    strength: float = Field(
        default=1.0, ge=0, le=100, description="how much the model works against the adversary (0: not at all)"
    )
    hidden: int = Field(default=32, ge=1, le=4096, description="the width of the adversary's only hidden layer")


class GroupFairnessParams(Params):
    """The settings of the group fairness metric."""

    positive: str = Field(
        default="",
        max_length=80,
        description="the class that counts as selected, against all others (empty: the last of two, each of more)",
    )
    permutations: int = Field(default=1000, ge=20, le=100_000, description="permutations behind each null distribution")


def _attribute(params: ReweighingParams | AdversarialDebiasingParams, schema: DataSchema) -> list[str]:
    return attribute_problems(params.attribute, schema)


def _missing_groups(params: AdversarialDebiasingParams, planned: Planned) -> list[str]:
    """List groups so rare that some model would train without them: the adversary could not learn to tell them."""
    names = [attribute.name for attribute in planned.schema.sensitive]
    if not names or params.attribute not in ("", *names):
        return []
    place = names.index(params.attribute) if params.attribute else 0
    attribute = planned.schema.sensitive[place]
    counts = zip(attribute.categories, planned.group_rows[place], strict=True)
    rare = [label for label, rows in counts if planned.training_rows(rows) < 1]
    return (
        [
            f"of {planned.train:,} training rows less than one has {attribute.name} {' or '.join(rare)}; train on more "
            "rows, or merge the groups of the data set"
        ]
        if rare
        else []
    )


def _positive_class(params: GroupFairnessParams, schema: DataSchema) -> list[str]:
    if params.positive and params.positive not in schema.classes:
        return [f'the data set has no class "{params.positive}"; it has {", ".join(schema.classes)}']
    return []


_PACKAGE = "amulet_plugins_builtin.fairness"

COMPONENTS: tuple[Component, ...] = (
    Defense(
        name="reweighing",
        summary="Weight the rows so that labels and groups look independent: w = P(s) P(y) / P(s, y).",
        target=f"{_PACKAGE}.reweighing:reweigh",
        stages={"data": f"{_PACKAGE}.reweighing:reweigh"},
        params=ReweighingParams,
        risk="discriminatory-behavior",
        sok="FD1",
        reads_private_rows=True,
        uses_sensitive=True,
        applicable=_attribute,
        checks=f"{_PACKAGE}.checks:reweighing",
        references=(
            Reference(
                title="Kamiran, Calders: Data preprocessing techniques for classification without discrimination",
                where="doi:10.1007/s10115-011-0463-8",
            ),
        ),
    ),
    Defense(
        name="adversarial-debiasing",
        summary="Train against an adversary that tells the group from the model's output, by gradient reversal.",
        target=f"{_PACKAGE}.adversarial_debiasing:train",
        stages={"training": f"{_PACKAGE}.adversarial_debiasing:train"},
        params=AdversarialDebiasingParams,
        risk="discriminatory-behavior",
        sok="FD1",
        uses_sensitive=True,
        applicable=_attribute,
        impossible=_missing_groups,
        checks=f"{_PACKAGE}.checks:adversarial_debiasing",
        references=(
            Reference(title="Ganin et al.: Domain-Adversarial Training of Neural Networks", where="arXiv:1505.07818"),
            Reference(
                title="Louppe et al.: Learning to Pivot with Adversarial Networks (the same minimax)",
                where="arXiv:1611.01046",
            ),
        ),
    ),
    *DEFENSES,
    Metric(
        name="group-fairness",
        summary="How differently a model treats groups: parity, equalized odds, equal opportunity, accuracy, p-rule.",
        target=f"{_PACKAGE}.metric:group_fairness",
        params=GroupFairnessParams,
        uses_sensitive=True,
        risk="discriminatory-behavior",
        applicable=_positive_class,
        measures=(
            Measure(
                name="demographic_parity_difference",
                summary="largest difference between groups in how often the positive class is predicted",
                better="lower",
            ),
            Measure(
                name="equalized_odds_difference",
                summary="the larger of the groups' differences in true positive and in false positive rate",
                better="lower",
            ),
            Measure(
                name="equal_opportunity_difference",
                summary="largest difference between groups in true positive rate",
                better="lower",
            ),
            Measure(name="accuracy_gap", summary="largest difference between groups in accuracy", better="lower"),
            Measure(
                name="p_rule",
                summary="smallest over largest rate at which the positive class is predicted in a group",
                better="higher",
            ),
        ),
        checks=f"{_PACKAGE}.checks:group_fairness_checks",
        references=(
            Reference(title="Dwork et al.: Fairness Through Awareness", where="arXiv:1104.3913"),
            Reference(title="Hardt et al.: Equality of Opportunity in Supervised Learning", where="arXiv:1610.02413"),
            Reference(
                title="Zafar et al.: Fairness Constraints: Mechanisms for Fair Classification (the p-rule)",
                where="arXiv:1507.05259",
            ),
            Reference(
                title="Newcombe: Interval estimation for the difference between independent proportions",
                where="doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I",
            ),
        ),
    ),
)
