"""The attacks that the plugin offers: descriptors. Light."""

from typing import Final

from amulet_core.components import Attack, LabRequest
from amulet_core.schema import DataSchema

from amulet_plugin_art import limits, references
from amulet_plugin_art.settings import (
    BoundaryDistanceParams,
    CleanLabelParams,
    CopycatParams,
    HopSkipJumpParams,
    ShadowClassifierParams,
    SimbaParams,
)


def _lab(params: ShadowClassifierParams, schema: DataSchema) -> tuple[LabRequest, ...]:  # noqa: ARG001 - any data
    return (LabRequest(models=params.shadow_models),)


COMPONENTS: Final[tuple[Attack, ...]] = (
    Attack(
        name="hop-skip-jump",
        summary="The nearest change of class by labels alone: a walk along the decision boundary, linf or L2.",
        target="amulet_plugin_art.evasion:hop_skip_jump",
        params=HopSkipJumpParams,
        risk="evasion",
        access="labels",
        threat="The adversary asks for the class of inputs, knows a row's true label and rows of other classes, and "
        "changes the row within a budget, so that another class is predicted.",
        references=(references.HOP_SKIP_JUMP, references.ART),
        applicable=limits.evasion_problems,
        checks="amulet_plugin_art.checks:hop_skip_jump_checks",
    ),
    Attack(
        name="simba",
        summary="Single features moved one after the other, by probabilities alone, linf or L2.",
        target="amulet_plugin_art.evasion:simba",
        params=SimbaParams,
        risk="evasion",
        access="probabilities",
        threat="The adversary asks for the probabilities of the classes, knows a row's true label, and changes the row "
        "within a budget, so that another class is predicted.",
        references=(references.SIMBA, references.ART),
        applicable=limits.evasion_problems,
        checks="amulet_plugin_art.checks:simba_checks",
    ),
    Attack(
        name="clean-label-backdoor",
        summary="A backdoor whose poisoned rows keep their true label: they are made hard to classify, and marked.",
        target="amulet_plugin_art.poisoning:clean_label_backdoor",
        params=CleanLabelParams,
        risk="poisoning",
        access="training-data",
        modality=("image",),
        threat="Replaces some training rows of the class it wants, whose labels stay true, trains a model of its own, "
        "and sets four pixels of the inputs that it later hands in.",
        references=(references.CLEAN_LABEL, references.ART),
        applicable=limits.room_for_the_pattern,
        checks="amulet_plugin_art.checks_of_training:clean_label_checks",
    ),
    Attack(
        name="copycat",
        summary="A model trained on the labels alone that the victim gives to the thief's inputs.",
        target="amulet_plugin_art.theft:copycat",
        params=CopycatParams,
        risk="unauthorized-model-ownership",
        access="labels",
        threat="Asks the victim about inputs of its own, a counted number of times, looks at the likeliest class "
        "alone, and knows the architecture and the training settings.",
        references=(references.COPYCAT, references.ART),
        checks="amulet_plugin_art.checks_of_training:copycat_checks",
    ),
    Attack(
        name="shadow-classifier",
        summary="A classifier that learned from shadow models what answers to members look like.",
        target="amulet_plugin_art.membership:shadow_classifier",
        params=ShadowClassifierParams,
        risk="membership-inference",
        access="probabilities",
        threat="Tells members of the training rows from rows of the same distribution. Knows the probabilities that "
        "the victim gives, the true labels, and shadow models trained by the victim's recipe on rows drawn likewise.",
        references=(references.SHADOWS, references.ART),
        needs=_lab,
        checks="amulet_plugin_art.checks_of_membership:shadow_classifier_checks",
    ),
    Attack(
        name="boundary-distance",
        summary="How far a row lies from the decision boundary, found by labels alone; members lie farther.",
        target="amulet_plugin_art.membership:boundary_distance",
        params=BoundaryDistanceParams,
        risk="membership-inference",
        access="labels",
        threat="Tells members of the training rows from rows of the same distribution. Asks for the class of any "
        "input, and knows the true labels and rows of its own.",
        references=(references.LABEL_ONLY, references.EXPOSURES, references.HOP_SKIP_JUMP, references.ART),
        applicable=limits.images_of_channels,
        checks="amulet_plugin_art.checks_of_membership:boundary_distance_checks",
    ),
)
