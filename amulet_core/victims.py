"""A victim's model as an attack may see it: each access level offers what it names and no more, and counts queries."""

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from amulet_core.vocabulary import Access

Explain = Callable[[Tensor], Tensor]
"""What a model releases of inputs beside its predictions."""

_BATCH = 4096


class NotOfferedError(AttributeError):
    """An attack asked a model in its view for what its access does not offer."""


class Offering:
    """What offers its public names and no more: asked for another, it says which there are, and who offers that one."""

    if not TYPE_CHECKING:  # or a type checker would take every name for offered

        def __getattr__(self, name: str) -> NoReturn:
            """Refuse a name that is not there.

            Raises:
                NotOfferedError: with what is offered (an AttributeError, so that ``hasattr`` works).
            """
            if name.startswith("_"):  # copying and the like look for these
                raise AttributeError(name)
            raise NotOfferedError(
                f'the model in the view has no "{name}". With this access it offers {", ".join(offered(type(self)))}'
                + _elsewhere(type(self), name)
            )


def offered(kind: type) -> list[str]:
    """Return the public names of a kind of model in a view, in order."""
    return sorted(name for name in dir(kind) if not name.startswith("_"))


def _elsewhere(kind: type, name: str) -> str:
    """Return which access offers a name; of a thief's oracle, which answers by budget, no access offers more."""
    if kind not in ORACLES.values():
        return ""
    fit = [access for access, kind in ORACLES.items() if name in offered(kind)]
    return f'; "{name}" needs access={" or ".join(fit)}' if fit else ""


class ModelOutputError(ValueError):
    """A model gave outputs that are not finite."""


def logits_of(model: nn.Module, x: Tensor) -> Tensor:
    """Return the logits ``[n, classes]`` of ``model`` in eval mode on ``x``, without gradients, in batches.

    Each of its modules is put back into the mode that it was in.

    Raises:
        ModelOutputError: if any logit is not finite.
    """
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            logits = torch.cat([model(part) for part in x.split(_BATCH)])
    finally:
        for part, mode in modes:
            part.training = mode
    bad = ~torch.isfinite(logits).all(1)
    if bad.any():
        raise ModelOutputError(
            f"the model's logits are not finite for {int(bad.sum())} of {len(x)} inputs: its training diverged "
            "(lower the learning rate) or its architecture divides by zero"
        )
    return logits


class LabelOracle(Offering):
    """A model that tells only the class of an input."""

    def __init__(self, model: nn.Module, explain: Explain | None = None) -> None:
        """Wrap a private copy of ``model``; the victim itself cannot be changed through it."""
        self._model = copy.deepcopy(model).eval().requires_grad_(False)
        self._explain, self._queries = explain, 0

    @property
    def queries(self) -> int:
        """Count the inputs asked about so far."""
        return self._queries

    def labels(self, x: Tensor) -> Tensor:
        """Return the predicted class of each input, int64 ``[n]``."""
        return self._ask(x).argmax(1)

    @property
    def explains(self) -> bool:
        """Say whether attributions are released beside the predictions."""
        return self._explain is not None

    def attributions(self, x: Tensor) -> Tensor:
        """Return how much each feature of each input speaks for the class predicted, shaped like ``x``.

        Raises:
            ValueError: if the model releases no attributions.
        """
        if self._explain is None:
            raise ValueError("the model releases no attributions: ask explains before")
        self._count(x)
        return self._explain(x)

    def _ask(self, x: Tensor) -> Tensor:
        self._count(x)
        return logits_of(self._model, x)

    def _count(self, x: Tensor) -> None:
        if not torch.isfinite(x).all():
            raise ValueError("the attack asked about inputs that are not finite")
        self._queries += len(x)


class ProbabilityOracle(LabelOracle):
    """A model that tells the probability of each class."""

    def log_probabilities(self, x: Tensor) -> Tensor:
        """Return the log-probabilities of the classes, float32 ``[n, classes]``."""
        return log_softmax(self._ask(x), 1)

    def probabilities(self, x: Tensor) -> Tensor:
        """Return the probabilities of the classes, float32 ``[n, classes]``."""
        return self.log_probabilities(x).exp()


class WhiteBox(ProbabilityOracle):
    """A model given away whole: a copy of its module in eval mode, whose parameters want no gradients."""

    @property
    def module(self) -> nn.Module:
        """Return the module itself (a copy: the victim keeps its own)."""
        return self._model

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, classes]``, differentiable in ``x``."""
        self._count(x)
        logits: Tensor = self._model(x)
        return logits


ORACLES: Final[Mapping[str, type[LabelOracle]]] = {
    "labels": LabelOracle,
    "probabilities": ProbabilityOracle,
    "white-box": WhiteBox,
}
"""What a view's model is, by the access that an attack's descriptor names; with any other it is None."""


def with_access(model: nn.Module, access: Access, explain: Explain | None = None) -> LabelOracle | None:
    """Return ``model`` as an attack with ``access`` may see it (None where it sees no model)."""
    kind = ORACLES.get(access)
    return kind(model, explain) if kind else None
