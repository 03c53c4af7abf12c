"""Checks of the explanations: closed forms of a linear model, a product and a kink, and what must stay as it is."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.explanations import Question
from amulet_core.schema import DataSchema, Feasible
from amulet_core.streams import isolated
from torch import Tensor, nn

from amulet_plugin_explanations import explain
from amulet_plugin_explanations.catalogue import IntegratedGradientsParams, SmoothGradParams

Method = Callable[[Question, Any], Tensor]

# The input nearest to zero is (0, 0.5, 0), and the ranges are 2, 1.5 and 4.
SCHEMA: Final = DataSchema(
    modality="tabular",
    shape=(3,),
    classes=("a", "b", "c"),
    feasible=Feasible(low=(-1.0, 0.5, 0.0), high=(1.0, 2.0, 4.0)),
)
_CLOSE: Final = 1e-4


def integrated_gradients() -> tuple[Check, ...]:
    """Return the checks of integrated gradients."""
    method, params = explain.integrated_gradients, IntegratedGradientsParams(steps=200)
    return (
        *_shared(method, params),
        _linear(method, params, _change, "its weights times the change from the baseline"),
        Check(
            name="a product of two features is halved between them",
            why="the path from the baseline is straight: x y is x y / 2 for each",
            run=partial(halves_a_product, method, params),
        ),
        _adds_up(method, params, within=0.01),
    )


def deep_lift() -> tuple[Check, ...]:
    """Return the checks of DeepLift."""
    method, params = explain.deep_lift, NoParams()
    return (
        *_shared(method, params),
        _linear(method, params, _change, "its weights times the change from the baseline, as integrated gradients"),
        _adds_up(method, params, within=1e-4),
    )


def smooth_grad() -> tuple[Check, ...]:
    """Return the checks of SmoothGrad."""
    method, params = explain.smooth_grad, SmoothGradParams(samples=100)
    return (
        *_shared(method, params),
        _linear(method, params, _ranges, "its gradient over the ranges, whatever the noise"),
        Check(
            name="beside the kink of a ReLU it is the share of the noise that lands on the slope",
            why="a gradient that is not smoothed is 0 or 1 there",
            run=partial(smooths_a_kink, method, SmoothGradParams(samples=2000)),
        ),
    )


def is_linear(method: Method, params: Any, by: Callable[[Tensor], Tensor]) -> None:
    """Compare with the closed form on a linear model: the weights of the explained class, times ``by(x)``."""
    model, question = _asked(network(hidden=False))
    weight = next(model.parameters())
    found, expected = _found(method, params, question), weight[question.classes] * by(question.x)
    apart = float((found - expected).abs().max())
    assert apart < _CLOSE, f"attributions are up to {apart:.3g} from the closed form, expected {_CLOSE:g}"


def halves_a_product(method: Method, params: Any) -> None:
    """Compare with (x z / 2, 0, x z / 2), where the logits are (x z, 0, 0) and the baseline of both is 0."""
    _, question = _asked(_Product(), classes=torch.zeros(20, dtype=torch.int64))
    half = question.x[:, 0] * question.x[:, 2] / 2
    found, expected = _found(method, params, question), torch.stack([half, torch.zeros(20), half], 1)
    apart = float((found - expected).abs().max())
    assert apart < _CLOSE, f"attributions are up to {apart:.3g} from half of the product each, expected {_CLOSE:g}"


def adds_up(method: Method, params: Any, *, within: float) -> None:
    """Compare the sum of a row's attributions with the change of its logit from the baseline (completeness)."""
    model, question = _asked(network(hidden=True))
    ends = [model(x).gather(1, question.classes[:, None])[:, 0] for x in (question.x, explain.baseline(question))]
    change = ends[0] - ends[1]
    apart = float((_found(method, params, question).sum(1) - change).abs().max() / change.abs().max())
    assert apart < within, f"sums are up to {apart:.3g} of the largest change from it, expected {within:g}"


def smooths_a_kink(method: Method, params: SmoothGradParams) -> None:
    """Compare with Phi(x / deviation) of the slope, where the logit is relu(x): the deviation is noise x range."""
    _, question = _asked(_Kink(), classes=torch.zeros(20, dtype=torch.int64))
    found = _found(method, params, question)[:, 0] / 2  # of a range of 2
    share = 0.5 * (1 + torch.erf(question.x[:, 0] / (params.noise * 2 * math.sqrt(2))))
    apart, error = float((found - share).abs().max()), 4.5 * 0.5 / math.sqrt(params.samples)
    assert apart < error, f"attributions are up to {apart:.3g} from the share of the noise, expected {error:.3g}"


def explains_the_class_asked_about(method: Method, params: Any) -> None:
    """Expect other attributions of another class, for a row as for all rows."""
    _, question = _asked(network(hidden=True))
    other = Question(question.model, question.x, (question.classes + 1) % 3, SCHEMA)
    one, two = (_found(method, params, some) for some in (question, other))
    same = int(torch.isclose(one, two).all(1).sum())
    assert same == 0, f"{same} of {len(one)} rows have the same attributions for two classes"


def leaves_all_as_it_was(method: Method, params: Any) -> None:
    """Expect that neither the model nor the rows were changed: no hook, no attribute, no gradient, no other mode."""
    model, question = _asked(network(hidden=True))
    before = _state(model), question.x.clone()
    _found(method, params, question)
    assert _state(model) == before[0], "the model is not what it was"
    assert torch.equal(question.x, before[1]), "the rows are not what they were"
    assert not question.x.requires_grad, "the rows want gradients"


def network(*, hidden: bool) -> nn.Module:
    """Make a linear model without bias, or a network with a hidden layer, of random weights."""
    with isolated("check", "network"):
        layers = (nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 3)) if hidden else (nn.Linear(3, 3, bias=False),)
        return nn.Sequential(*layers)


class _Product(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        product = x[:, 0] * x[:, 2]
        return torch.stack([product, 0 * product, 0 * product], 1)


class _Kink(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x[:, :1]) * torch.tensor([1.0, 0.0, 0.0])


def _asked(model: nn.Module, classes: Tensor | None = None) -> tuple[nn.Module, Question]:
    model = model.eval().requires_grad_(False)
    with isolated("check", "rows"):
        x = torch.rand(20, 3) * torch.tensor([2.0, 1.5, 4.0]) + torch.tensor([-1.0, 0.5, 0.0])
    return model, Question(model, x, model(x).argmax(1) if classes is None else classes, SCHEMA)


def _found(method: Method, params: Any, question: Question) -> Tensor:
    with isolated("check", "explanations"):
        return method(question, params)


def _state(model: nn.Module) -> list[Any]:
    parts = []
    for part in model.modules():
        hooks = [name for name, value in vars(part).items() if name.endswith("_hooks") and value]
        tensors = [(value.tolist(), value.requires_grad, value.grad) for value in part.parameters(recurse=False)]
        parts.append((sorted(vars(part)), hooks, part.training, tensors))
    return parts


def _change(x: Tensor) -> Tensor:
    return x - torch.tensor([0.0, 0.5, 0.0])


def _ranges(x: Tensor) -> Tensor:
    return torch.tensor([2.0, 1.5, 4.0]).expand_as(x)


def _linear(method: Method, params: Any, by: Callable[[Tensor], Tensor], what: str) -> Check:
    return Check(
        name=f"of a linear model it is {what}",
        why="a closed form: another attribution is another method",
        run=partial(is_linear, method, params, by),
    )


def _adds_up(method: Method, params: Any, *, within: float) -> Check:
    return Check(
        name="attributions add up to the change of the logit from the baseline",
        why="the method's defining property (completeness)",
        run=partial(adds_up, method, params, within=within),
    )


def _shared(method: Method, params: Any) -> tuple[Check, ...]:
    return (
        Check(
            name="another class has other attributions",
            why="what is explained must be the class that is released",
            run=partial(explains_the_class_asked_about, method, params),
        ),
        Check(
            name="model and rows stay as they are",
            why="explanations are made by hooks and gradients; the victim must show no trace of them",
            run=partial(leaves_all_as_it_was, method, params),
        ),
    )
