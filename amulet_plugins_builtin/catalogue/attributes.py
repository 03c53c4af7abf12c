"""The built-in attribute inference attacks and their metric: descriptors and parameters. Imports nothing heavy."""

from math import ceil, sqrt

from pydantic import Field

from amulet_core.components import Attack, Component, Measure, Metric, NoParams, Params, Reference
from amulet_core.games.threats import AttributeThreat
from amulet_core.planned import Planned
from amulet_plugins_builtin.fairness.attributes import SMALLEST_GROUP, attribute_column, attribute_problems


class LearnerParams(Params):
    """The settings of the network that tells the attribute; the control must have the attack's."""

    hidden: int = Field(64, ge=1, le=4096, description="the width of its only hidden layer")
    epochs: int = Field(100, ge=1, le=10_000, description="how often it sees the adversary's own rows, at most")
    weight_decay: float = Field(10.0, ge=0, le=1000, description="the L2 penalty (scikit-learn's alpha)")
    folds: int = Field(
        3, ge=2, le=20, description="of two values: parts of the own rows, each scored by training on the others"
    )


def _too_few_of_two_values(params: NoParams, planned: Planned) -> list[str]:  # noqa: ARG001 (it has none)
    """List why the metric would be withheld: fewer than two values of the attribute have enough candidates."""
    threat, schema = planned.threat, planned.schema
    if not isinstance(threat, AttributeThreat) or not schema.sensitive:
        return []
    if attribute_problems(threat.attribute, schema):
        return []  # the threat model is at fault
    column = attribute_column(threat.attribute, schema)
    attribute, counts = schema.sensitive[column], planned.group_rows[column]
    rows, second = sorted(zip(counts, attribute.categories, strict=True), reverse=True)[1]
    if not rows:
        return [f"all rows of the data set have one and the same {attribute.name}: choose another attribute"]
    asked, share = min(threat.candidates, 2 * planned.train), rows / sum(counts)
    drawn = SMALLEST_GROUP + 3 * sqrt(SMALLEST_GROUP * (1 - share))
    if asked * share >= (drawn if threat.candidates < 2 * planned.train else SMALLEST_GROUP):
        return []
    all_rows = ceil(SMALLEST_GROUP / share / 2)
    wanted = min(2 * ceil(drawn / share / 2), 2 * max(planned.train, all_rows))
    raised = [f"candidates to {wanted}"] if threat.candidates < wanted else []
    raised += [f"data.train to {all_rows}"] if planned.train < all_rows else []
    return [
        f'of {asked} candidates about {asked * share:.3g} have {attribute.name} "{second}", and it takes '
        f"{SMALLEST_GROUP} of each of two values to tell them apart (about {drawn:.0f} where candidates are drawn): "
        f"set {' and '.join(raised)} or more, or choose another attribute"
    ]


_PACKAGE = "amulet_plugins_builtin.attributes"
_RISK = "attribute-inference"
_IMPUTATION = Reference(title="Are Attribute Inference Attacks Just Imputation?", where="arXiv:2209.01292")
_ADAPTIVE = Reference(
    title="Leveraging Algorithmic Fairness to Mitigate Blackbox Attribute Inference Attacks", where="arXiv:2211.10209"
)
_OF = {"": "", "_members": ", on members", "_non_members": ", on non-members"}

COMPONENTS: tuple[Component, ...] = (
    Attack(
        name="attribute-mlp",
        summary="A network tells the attribute from a row, its label and what the victim says of it.",
        target=f"{_PACKAGE}.mlp:attack",
        params=LearnerParams,
        risk=_RISK,
        access="probabilities",
        threat=(
            "Infers a sensitive attribute of rows. Knows the other inputs and the true label, the probabilities that "
            "the victim gives, and the attribute of rows of its own."
        ),
        references=(_ADAPTIVE, _IMPUTATION),
        checks=f"{_PACKAGE}.checks:mlp",
    ),
    Attack(
        name="attribute-csmia",
        summary="Puts each value into the victim's inputs: the right one makes it say the true label, and surely.",
        target=f"{_PACKAGE}.csmia:attack",
        params=NoParams,
        risk=_RISK,
        access="probabilities",
        modality=("tabular",),
        sensitive_in_x=True,
        threat=(
            "Infers a sensitive attribute that is an input of the victim. Knows the other inputs and the true label, "
            "and asks the victim about the row with each value put in. Has no rows of its own."
        ),
        references=(
            Reference(
                title="Are Your Sensitive Attributes Private? Novel Model Inversion Attribute Inference Attacks on "
                "Classification Models",
                where="arXiv:2201.09370",
            ),
            Reference(
                title="Fredrikson et al.: Model Inversion Attacks that Exploit Confidence Information",
                where="doi:10.1145/2810103.2813677",
            ),
        ),
        checks=f"{_PACKAGE}.checks:csmia",
    ),
    Attack(
        name="imputation",
        summary="The control: the same network tells the attribute from a row and its label, without the victim.",
        target=f"{_PACKAGE}.imputation:attack",
        params=LearnerParams,
        risk=_RISK,
        access="none",
        control=True,
        settings_of="attribute-mlp",
        threat="Imputes a missing value from the other columns. What it tells, the victim did not reveal.",
        references=(_IMPUTATION,),
        checks=f"{_PACKAGE}.checks:imputation",
    ),
    Metric(
        name="attribute-inference",
        summary="How often an attribute is told right, and how much more often than by imputation: balanced accuracy.",
        target=f"{_PACKAGE}.metric:measure",
        params=NoParams,
        risk=_RISK,
        uses_sensitive=True,
        impossible=_too_few_of_two_values,
        measures=(
            *(
                measure
                for part, of in _OF.items()
                for measure in (
                    Measure(
                        name=f"advantage{part}",
                        summary=f"balanced accuracy less that of the best control on the same rows{of}",
                        better="lower",
                    ),
                    Measure(
                        name=f"balanced_accuracy{part}",
                        summary=f"mean over the values of the share of their rows told right{of}",
                        better="lower",
                    ),
                    Measure(
                        name=f"auc{part}",
                        summary=f"area under the ROC curve (more than two values: one against the others, mean){of}",
                        better="lower",
                    ),
                )
            ),
            Measure(
                name="advantage_gap",
                summary="the advantage on members less that on non-members: what training leaked",
                better="lower",
            ),
        ),
        references=(
            _IMPUTATION,
            Reference(
                title="Agresti, Min: Simple improved confidence intervals for comparing matched proportions",
                where="doi:10.1002/sim.1781",
            ),
        ),
        checks=f"{_PACKAGE}.metric_checks:metric",
    ),
)
