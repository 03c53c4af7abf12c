"""Attributions of the predicted class's logit to the features of an input, by captum's implementations."""

import warnings

import torch
from amulet_core.components import NoParams, Params
from amulet_core.data import bounds
from amulet_core.explanations import Question
from captum.attr import DeepLift, IntegratedGradients, Saliency
from torch import Tensor, nn

from amulet_plugin_explanations.catalogue import IntegratedGradientsParams, SmoothGradParams

# Bounds the memory of methods that ask about many copies of each row.
_ROWS = 4096
_ADD_UP = 1e-3


def unchanged(probabilities: Tensor, params: Params) -> Tensor:  # noqa: ARG001 (every inference stage is called so)
    """Return the probabilities ``[n, classes]`` as they are: an explanation stands beside a prediction."""
    return probabilities


def integrated_gradients(question: Question, params: IntegratedGradientsParams) -> Tensor:
    """Return (x - baseline) times the mean gradient on the way from the baseline to x, shaped like x.

    They add up to the difference of the logits at both ends (completeness), to within the error of the sum over
    ``steps`` points. Source: arXiv:1703.01365, section 3.
    """
    method = IntegratedGradients(question.model)
    found: Tensor = method.attribute(
        question.x,
        baselines=baseline(question),
        target=question.classes,
        n_steps=params.steps,
        internal_batch_size=max(_ROWS, len(question.x)),
    )
    return found


def deep_lift(question: Question, params: NoParams) -> Tensor:  # noqa: ARG001 (every explanation is called so)
    """Return the contribution of each feature's difference to the baseline, by the rescale rule, shaped like x.

    Contributions add up to the difference of the logits. Where they do not, some activation of the model is out of
    reach: a function, say, and no module. Only captum's rule for max pooling does not keep to that, so nothing is
    checked where there is one. Source: arXiv:1704.02685, sections 3.2 and 3.5.1.

    Raises:
        ValueError: if contributions do not add up.
    """
    with warnings.catch_warnings():
        # It says that it sets hooks, which it removes.
        warnings.filterwarnings("ignore", "Setting forward, backward hooks", UserWarning)
        found: Tensor = DeepLift(question.model).attribute(
            question.x.clone().requires_grad_(), baselines=baseline(question), target=question.classes
        )
    found = found.detach()
    if not any(isinstance(part, nn.MaxPool2d) for part in question.model.modules()):
        _add_up(question, found)
    return found


def smooth_grad(question: Question, params: SmoothGradParams) -> Tensor:
    """Return the mean gradient at ``samples`` noisy copies of x, in logits a range of the feature, shaped like x.

    The noise is Gaussian, and its deviation a share of each feature's range. Source: arXiv:1706.03825, section 3.
    All rows get the same noise: who asks about a row many times in one call could average other noise away.
    """
    low, high = bounds(question.data_schema)
    scaled = _Scaled(question.model, low, high - low)
    units, method = scaled.units(question.x), Saliency(scaled)
    found = torch.zeros_like(units)
    noise = params.noise * torch.randn(params.samples, 1, *units.shape[1:])
    for some in noise.split(max(1, _ROWS // len(units))):
        copies = (units + some).flatten(0, 1).requires_grad_()
        gradients: Tensor = method.attribute(copies, target=question.classes.repeat(len(some)), abs=False)
        found += gradients.reshape(-1, *units.shape).sum(0)
    return found / params.samples


def baseline(question: Question) -> Tensor:
    """Return the input within the declared bounds that is nearest to zero, once for each row."""
    low, high = bounds(question.data_schema)
    return torch.zeros_like(question.x).clamp(low, high)


class _Scaled(nn.Module):
    """A model of inputs whose ranges are 0 .. 1."""

    def __init__(self, model: nn.Module, low: Tensor, span: Tensor) -> None:
        super().__init__()
        self.model, self.low, self.span = model, low, span

    def units(self, x: Tensor) -> Tensor:
        """Return rows in units of the ranges; a feature that has but one value is 0."""
        return torch.where(self.span > 0, (x - self.low) / self.span, torch.zeros_like(x))

    def forward(self, units: Tensor) -> Tensor:
        """Return the logits ``[n, classes]``."""
        logits: Tensor = self.model(self.low + units * self.span)
        return logits


def _add_up(question: Question, found: Tensor) -> None:
    with torch.no_grad():
        ends = [question.model(x).gather(1, question.classes[:, None])[:, 0] for x in (question.x, baseline(question))]
    change = ends[0] - ends[1]
    apart = float((found.flatten(1).sum(1) - change).abs().max())
    if apart > _ADD_UP * (1 + float(change.abs().max())):
        raise ValueError(
            f"the contributions differ by up to {apart:.3g} from the change of the logit that they are to explain: the "
            "model has activations that are no modules of their own, or of a kind that DeepLift has no rule for"
        )
