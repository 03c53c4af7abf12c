"""A model behind an interface that answers so many queries and no more, as a thief meets it."""

import copy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from amulet_core.victims import Offering, logits_of

Oracle = Literal["probabilities", "top-k", "labels"]
"""What the interface tells: all probabilities, the largest few, or the class alone."""


class BudgetSpentError(ValueError):
    """More was asked than the budget allows."""


class BudgetOracle(Offering):
    """A model that answers at most ``budget`` queries; each input asked about is one, asked before or not."""

    def __init__(self, model: nn.Module, *, tells: Oracle, top_k: int, budget: int) -> None:
        """Wrap a private copy of ``model``; the victim itself cannot be changed through it."""
        self._model = copy.deepcopy(model).eval().requires_grad_(False)
        self._tells, self._top_k, self._budget, self._queries = tells, top_k, budget, 0

    @property
    def tells(self) -> Oracle:
        """Say what the answers hold."""
        return self._tells

    @property
    def budget(self) -> int:
        """Return how many queries are answered in all."""
        return self._budget

    @property
    def queries(self) -> int:
        """Count the queries answered so far."""
        return self._queries

    def ask(self, x: Tensor) -> Tensor:
        """Return what is told of each input, float32 ``[n, classes]``.

        Probabilities; with ``top-k`` the largest of them, the rest as zeros, so that rows may sum to less than one;
        with ``labels`` a one at the predicted class. Of equal probabilities the first comes first, as in ``argmax``.

        Raises:
            BudgetSpentError: before any of them is answered, if they are more than the budget leaves.
            ValueError: if an input is not finite.
        """
        if not torch.isfinite(x).all():
            raise ValueError("the attack asked about inputs that are not finite")
        if self._queries + len(x) > self._budget:
            raise BudgetSpentError(
                f"{len(x)} queries were asked for, and {self._budget - self._queries} of {self._budget} are left"
            )
        self._queries += len(x)
        logits = logits_of(self._model, x)
        if self._tells == "labels":
            return one_hot(logits.argmax(1), logits.shape[1]).float()
        probabilities = torch.softmax(logits, 1)
        if self._tells == "probabilities":
            return probabilities
        # Not topk, which takes any of equal values: rounded answers have many.
        told = logits.argsort(dim=1, descending=True, stable=True)[:, : self._top_k]
        return torch.zeros_like(probabilities).scatter_(1, told, probabilities.gather(1, told))
