"""The defenses that the plugin offers: descriptors. Light."""

from typing import Final

from amulet_core.components import Defense

from amulet_plugin_art import limits, references
from amulet_plugin_art.defense_settings import (
    FeatureSqueezingParams,
    GaussianAugmentationParams,
    ReverseSigmoidParams,
    SpatialSmoothingParams,
)

COMPONENTS: Final[tuple[Defense, ...]] = (
    Defense(
        name="reverse-sigmoid",
        summary="Release what is sure as less sure, so that a thief's model learns a wrong slope.",
        target="amulet_plugin_art.postprocessors:reverse_sigmoid",
        stages={"inference": "amulet_plugin_art.postprocessors:reverse_sigmoid"},
        params=ReverseSigmoidParams,
        risk="unauthorized-model-ownership",
        references=(references.DECEPTION, references.ART),
        checks="amulet_plugin_art.checks_of_defenses:reverse_sigmoid_checks",
    ),
    Defense(
        name="feature-squeezing",
        summary="Round every feature to a few levels before the model sees it.",
        target="amulet_plugin_art.preprocessors:squeeze",
        stages={"model": "amulet_plugin_art.preprocessors:squeeze"},
        rebuild="amulet_plugin_art.preprocessors:rebuild_squeezed",
        unmakes=("affine-logits",),
        params=FeatureSqueezingParams,
        risk="evasion",
        references=(references.SQUEEZING, references.ART),
        checks="amulet_plugin_art.checks_of_defenses:feature_squeezing_checks",
    ),
    Defense(
        name="spatial-smoothing",
        summary="Replace every pixel by the median of its neighbours before the model sees it.",
        target="amulet_plugin_art.preprocessors:smooth",
        stages={"model": "amulet_plugin_art.preprocessors:smooth"},
        rebuild="amulet_plugin_art.preprocessors:rebuild_smoothed",
        unmakes=("affine-logits",),
        params=SpatialSmoothingParams,
        modality=("image",),
        risk="evasion",
        references=(references.SQUEEZING, references.ART),
        applicable=limits.room_for_the_window,
        checks="amulet_plugin_art.checks_of_defenses:spatial_smoothing_checks",
    ),
    Defense(
        name="gaussian-augmentation",
        summary="Train on noisy copies of the rows, too.",
        target="amulet_plugin_art.augmentation:augment",
        stages={"data": "amulet_plugin_art.augmentation:augment"},
        params=GaussianAugmentationParams,
        risk="evasion",
        reads_private_rows=True,
        references=(references.AUGMENTATION, references.ART),
        applicable=limits.images_of_channels,
        checks="amulet_plugin_art.checks_of_defenses:gaussian_augmentation_checks",
    ),
)
