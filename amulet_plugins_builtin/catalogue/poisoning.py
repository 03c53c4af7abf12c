"""What the built-in plugin offers on poisoning. Light: imports nothing heavy."""

from typing import Final, Literal

from pydantic import Field

from amulet_core.components import Attack, Component, Measure, Metric, Params, Reference

BADNETS: Final = Reference(
    title="BadNets: Identifying Vulnerabilities in the Machine Learning Model Supply Chain", where="arXiv:1708.06733"
)
WILSON: Final = Reference(
    title="Probable Inference, the Law of Succession, and Statistical Inference",
    where="doi:10.1080/01621459.1927.10502953",
)


class BadnetsParams(Params):
    """What the trigger looks like."""

    size: int = Field(3, ge=1, le=64, description="images: side of the square patch, in pixels")
    position: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = Field(
        "bottom-right", description="images: the corner of the patch"
    )
    value: float = Field(
        1.0, ge=0, le=1, description="what is written, as a fraction of each feature's range (0: lowest, 1: highest)"
    )
    blend: float = Field(1.0, gt=0, le=1, description="how much of it: 1 replaces, less mixes with what was there")
    features: int = Field(3, ge=1, le=100, description="tables: how many features are set, the least used values first")


COMPONENTS: tuple[Component, ...] = (
    Attack(
        name="badnets",
        summary="A fixed patch (images) or feature values (tables) as a trigger, labelled as the target class.",
        target="amulet_plugins_builtin.poisoning.badnets:attack",
        params=BadnetsParams,
        risk="poisoning",
        access="training-data",
        threat=(
            "The adversary replaces a share of the training rows: it stamps its trigger on rows of other classes and "
            "labels them as its target, so that the trained model answers the target wherever it sees the trigger."
        ),
        references=(BADNETS,),
    ),
    Metric(
        name="poisoning",
        summary="Success of a trigger over rows of other classes than its target, and what poisoning costs in accuracy.",
        target="amulet_plugins_builtin.poisoning.metric:measure",
        risk="poisoning",
        measures=(
            Measure(
                name="attack_success_rate",
                summary="share of the triggered rows of other classes that get the target class",
                better="lower",
            ),
            Measure(
                name="success_rate_without_poison",
                summary="the same of the model trained on clean rows: what the trigger alone does",
                better="lower",
            ),
            Measure(name="clean_accuracy", summary="accuracy of the poisoned model without trigger", better="higher"),
            Measure(
                name="accuracy_without_poison", summary="accuracy of the model trained on clean rows", better="higher"
            ),
            Measure(name="accuracy_under_trigger", summary="accuracy on triggered rows", better="higher"),
            Measure(name="changed_inputs", summary="share of test inputs that the trigger changes", better="lower"),
        ),
        references=(BADNETS, WILSON),
    ),
)
