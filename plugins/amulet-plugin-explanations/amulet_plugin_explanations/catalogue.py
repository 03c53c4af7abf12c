"""What the plugin offers: explaining defenses and their settings, and attacks on what they release. Light."""

from collections.abc import Callable
from typing import Any, Final

from amulet_core.components import Attack, Component, Defense, NoParams, Params, Reference
from pydantic import Field


class IntegratedGradientsParams(Params):
    """The settings of integrated gradients."""

    steps: int = Field(50, ge=2, le=1000, description="points on the way from the baseline to the input")


class SmoothGradParams(Params):
    """The settings of SmoothGrad."""

    samples: int = Field(50, ge=1, le=10_000, description="noisy copies of each input")
    noise: float = Field(0.15, gt=0, le=1, description="their deviation, as a share of each feature's range")


_PACKAGE: Final = "amulet_plugin_explanations"
_CAPTUM: Final = Reference(
    title="Captum: A unified and generic model interpretability library for PyTorch", where="arXiv:2009.07896"
)
_SOK: Final = Reference(
    title="SoK: Unintended Interactions among Machine Learning Defenses and Risks", where="arXiv:2312.04542"
)
_OWN: Final = "models of its own trained under either hypothesis on other rows, and rows of both kinds"


def _beside_deep_lift(_params: NoParams, chain: tuple[Defense, ...]) -> list[str]:
    """Name what is put around a chain of layers and is not affine; what leaves no chain is refused as such."""
    return [
        f"it has no rule for what {defense.name} puts around the layers of a model: leave one of them out"
        for defense in chain
        if "affine-logits" in defense.unmakes and "layer-chain" not in defense.unmakes
    ]


def _explains(
    name: str,
    summary: str,
    paper: Reference,
    *,
    params: type[Params] = NoParams,
    requires: tuple[str, ...] = (),
    beside: Callable[[Any, tuple[Defense, ...]], list[str]] = lambda _params, _chain: [],
) -> Defense:
    function = name.replace("-", "_")
    return Defense(
        name=name,
        summary=summary,
        target=f"{_PACKAGE}.explain:unchanged",
        stages={"inference": f"{_PACKAGE}.explain:unchanged"},
        explain=f"{_PACKAGE}.explain:{function}",
        params=params,
        risk="discriminatory-behavior",
        sok="FD2",
        requires=requires,
        beside=beside,
        references=(paper, _CAPTUM),
        checks=f"{_PACKAGE}.checks_of_explanations:{function}",
    )


def _reads(name: str, summary: str, threat: str, *, explanations: bool) -> Attack:
    function = name.replace("-", "_")
    return Attack(
        name=name,
        summary=summary,
        target=f"{_PACKAGE}.nearest_mean:{function}",
        risk="distribution-inference",
        access="probabilities",
        reads_explanations=explanations,
        threat=f"Tells which share a value had among a model's training rows. Knows {threat}, {_OWN}.",
        references=(_SOK,),
        checks=f"{_PACKAGE}.checks:{function}",
    )


COMPONENTS: Final[tuple[Component, ...]] = (
    _explains(
        "integrated-gradients",
        "Releases, beside each prediction, integrated gradients of the predicted class's logit.",
        Reference(title="Axiomatic Attribution for Deep Networks", where="arXiv:1703.01365"),
        params=IntegratedGradientsParams,
    ),
    _explains(
        "deep-lift",
        "Releases, beside each prediction, DeepLift's contributions to the predicted class's logit.",
        Reference(
            title="Learning Important Features Through Propagating Activation Differences", where="arXiv:1704.02685"
        ),
        requires=("layer-chain",),
        beside=_beside_deep_lift,
    ),
    _explains(
        "smooth-grad",
        "Releases, beside each prediction, SmoothGrad's mean gradient of the predicted class's logit.",
        Reference(title="SmoothGrad: removing noise by adding noise", where="arXiv:1706.03825"),
        params=SmoothGradParams,
    ),
    _reads(
        "released-outputs",
        "Which hypothesis's own models are nearer to a victim, in all it releases: predictions and any attributions.",
        "the probabilities that the model gives, and attributions where it releases them",
        explanations=False,
    ),
    _reads(
        "attributions",
        "Which hypothesis's own models are nearer to a victim, in attributions alone; for models that release any.",
        "the attributions that the model releases",
        explanations=True,
    ),
)
