"""The built-in defenses against poisoning: their descriptors and parameters. Light."""

from math import ceil
from typing import Final

from pydantic import Field

from amulet_core.components import Defense, Params, Reference
from amulet_core.planned import Planned
from amulet_plugins_builtin.poisoning.rates import FACTOR, Mixed, leaving, mixed


class OutlierRemovalParams(Params):
    """The settings of outlier removal."""

    share: float = Field(0.1, ge=0, le=0.9, description="the share of the training rows that is removed (rounded down)")
    neighbours: int = Field(5, ge=1, le=1000, description="K of the nearest-neighbour classifier whose rows are valued")


class FinePruningParams(Params):
    """The settings of fine-pruning."""

    accuracy_drop: float = Field(
        0.04,
        ge=0,
        le=1,
        description="units are pruned until balanced accuracy on the validation rows has fallen by this much",
    )
    epochs: int = Field(10, ge=0, le=10_000, description="passes of fine-tuning over the validation rows (0: none)")
    learning_rate: float | None = Field(
        None, gt=0, le=10, description="the step size of fine-tuning (default: that of training)"
    )


class ActivationClusteringParams(Params):
    """The settings of activation clustering."""

    components: int = Field(10, ge=1, le=1000, description="to how many dimensions the activations are reduced")
    largest_share: float = Field(
        0.35, gt=0, lt=0.5, description="a cluster with a larger share of its class is not suspected"
    )
    silhouette: float = Field(
        0.3, ge=-1, le=1, description="a class whose two clusters are less apart than this is not suspected"
    )


class SpectralSignaturesParams(Params):
    """The settings of spectral signatures."""

    share: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="the largest share of all training rows that may be poison; 1.5 times as many leave each class, so "
        "that of many classes each loses its largest_share: set it as low as poison allows",
    )
    largest_share: float = Field(
        0.5, gt=0, le=0.5, description="no class loses a larger share of its rows, however many may be poison"
    )


def _no_small_cluster(params: ActivationClusteringParams, planned: Planned) -> list[str]:
    """Say where poison may be a larger share of its class than any cluster that is suspected."""
    target = mixed(planned)
    if target.share <= params.largest_share:
        return []
    raised = f", or raise largest_share to {ceil(100 * target.share) / 100:g} or more" if target.share < _HALF else ""
    return [
        f"{target.told}, and no cluster of more than {100 * params.largest_share:.3g}% is suspected: lower "
        f"risks.poisoning.threat.rate to {target.rate_at(params.largest_share)} or less{raised}"
    ]


def _too_few_leave(params: SpectralSignaturesParams, planned: Planned) -> list[str]:
    """Say where poison may be no minority of its class, or more than the rows that leave it."""
    target = mixed(planned)
    count = leaving(target.own + target.poison, target.train, share=params.share, largest_share=params.largest_share)
    if target.poison and target.share >= _HALF:
        return [
            f"{target.told}, and what is no minority has no direction of its own: lower risks.poisoning.threat.rate "
            f"below {target.rate_at(_HALF)}"
        ]
    if target.poison <= count:
        return []
    return [f"{target.told}, and at most {count:,} of its rows will go: {_more(params, target)}"]


def _more(params: SpectralSignaturesParams, target: Mixed) -> str:
    few = [
        (FACTOR * params.share < target.rate, f"raise share to {target.rate:g}"),
        (params.largest_share < target.share, f"raise largest_share to {_HALF:g}"),
    ]
    return " and ".join(text for wrong, text in few if wrong)


_HALF: Final = 0.5
"""Neither its size nor its direction tells poison that is half of a class from the other half."""


_PACKAGE: Final = "amulet_plugins_builtin.poisoning"

DEFENSES: tuple[Defense, ...] = (
    Defense(
        name="outlier-removal",
        summary="Remove the training rows that help a nearest-neighbour classifier of clean rows least, then train.",
        target=f"{_PACKAGE}.outlier_removal:train",
        stages={"training": f"{_PACKAGE}.outlier_removal:train"},
        params=OutlierRemovalParams,
        risk="poisoning",
        sok="RD2",
        reads_private_rows=True,
        wraps_fit=True,
        produces=("outlier-removal",),
        checks=f"{_PACKAGE}.checks_of_defenses:outlier_removal_checks",
        references=(
            Reference(
                title="Jia et al.: Efficient Task-Specific Data Valuation for Nearest Neighbor Algorithms (theorem 1)",
                where="arXiv:1908.08619",
            ),
        ),
    ),
    Defense(
        name="fine-pruning",
        summary="Prune the hidden units that clean rows activate least, then fine-tune on the clean rows.",
        target=f"{_PACKAGE}.fine_pruning:train",
        stages={"training": f"{_PACKAGE}.fine_pruning:train"},
        params=FinePruningParams,
        risk="poisoning",
        reads_private_rows=True,
        wraps_fit=True,
        requires=("features",),
        produces=("fine-pruning",),
        checks=f"{_PACKAGE}.checks_of_defenses:fine_pruning_checks",
        references=(
            Reference(
                title="Liu et al.: Fine-Pruning: Defending Against Backdooring Attacks on Deep Neural Networks",
                where="arXiv:1805.12185",
            ),
        ),
    ),
    Defense(
        name="activation-clustering",
        summary="Split each class by a first model's activations; drop small clusters that stand apart, train again.",
        target=f"{_PACKAGE}.activation_clustering:train",
        stages={"training": f"{_PACKAGE}.activation_clustering:train"},
        version="2",
        params=ActivationClusteringParams,
        risk="poisoning",
        reads_private_rows=True,
        wraps_fit=True,
        requires=("features",),
        produces=("activation-clustering",),
        outmatched=_no_small_cluster,
        checks=f"{_PACKAGE}.checks_of_defenses:activation_clustering_checks",
        references=(
            Reference(
                title="Chen et al.: Detecting Backdoor Attacks on Deep Neural Networks by Activation Clustering",
                where="arXiv:1811.03728",
            ),
        ),
    ),
    Defense(
        name="spectral-signatures",
        summary="Drop each class's rows farthest along the top direction of a first model's activations, train again.",
        target=f"{_PACKAGE}.spectral_signatures:train",
        stages={"training": f"{_PACKAGE}.spectral_signatures:train"},
        version="2",
        params=SpectralSignaturesParams,
        risk="poisoning",
        reads_private_rows=True,
        wraps_fit=True,
        requires=("features",),
        produces=("spectral-signatures",),
        outmatched=_too_few_leave,
        checks=f"{_PACKAGE}.checks_of_defenses:spectral_signatures_checks",
        references=(Reference(title="Tran et al.: Spectral Signatures in Backdoor Attacks", where="arXiv:1811.00636"),),
    ),
)
