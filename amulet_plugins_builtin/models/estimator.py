"""Classifiers of scikit-learn as modules: what was fitted is plain tensors, and torch answers from these.

Nothing of scikit-learn stays in the module, so that it is copied, stored and read back like any other, and no pickle
is ever needed.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from amulet_core.data import Data
from amulet_core.modules import Normalise
from amulet_core.schema import DataSchema
from amulet_plugins_builtin.catalogue.more_models import SklearnParams
from amulet_plugins_builtin.models.estimator_answers import ANSWERS, LOWEST
from amulet_plugins_builtin.models.estimator_fits import fit_problems, fitted_tensors

_ROWS = 256
"""So many rows are asked about at once, lest the distances of kNN fill the memory."""


class Estimator(nn.Module):
    """A classifier that is fitted by ``learn``; before that it knows nothing, and all its logits are 0."""

    def __init__(self, params: SklearnParams, schema: DataSchema) -> None:
        """Prepare for rows of ``schema``; the tensors come with ``learn``, or from a state dict."""
        super().__init__()
        self._params, self._schema = params, schema
        self.normalise = Normalise(schema)
        self.learnt = Tensors()

    def learn(self, data: Data, val: Data) -> Mapping[str, Any]:  # noqa: ARG002 - every model that trains itself gets it
        """Fit to rows with their weights; return how the solver ended, where it may end too early.

        Raises:
            ValueError: if the rows are of one class, or too few for the estimator.
        """
        problems = fit_problems(self._params, data)
        if problems:
            raise ValueError("sklearn: " + "; ".join(problems))
        tensors, evidence = fitted_tensors(self._params, _rows(self.normalise(data.x)), data.y, w=data.w)
        self.learnt.become(tensors)
        return evidence

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits float32 ``[n, classes]`` of inputs ``[n, *schema.shape]``, without a gradient."""
        tensors, classes = self.learnt.all(), len(self._schema.classes)
        if not tensors:
            return torch.zeros(len(x), classes, device=x.device)
        answer, rows = ANSWERS[self._params.estimator], _rows(self.normalise(x.detach()))
        answers = torch.cat([answer(tensors, part) for part in rows.split(_ROWS)]).float()
        # A class that no training row had is as good as impossible.
        logits = (answers.amin(1, keepdim=True) + LOWEST).repeat(1, classes)
        logits[:, tensors["classes"]] = answers
        return logits


class Tensors(nn.Module):
    """Buffers whose names and shapes are those of whatever state dict is loaded."""

    def __init__(self) -> None:
        """Begin without any."""
        super().__init__()
        self.register_load_state_dict_pre_hook(_make_room)

    def become(self, tensors: Mapping[str, Tensor]) -> None:
        """Replace all tensors."""
        for name in self.all():
            delattr(self, name)
        for name, value in tensors.items():
            self.register_buffer(name, value)

    def all(self) -> dict[str, Tensor]:
        """Return the tensors by name."""
        return dict(self.named_buffers())


def _make_room(module: nn.Module, state: Mapping[str, Tensor], prefix: str, *_rest: Any) -> None:
    own = {
        name.removeprefix(prefix): torch.empty_like(value) for name, value in state.items() if name.startswith(prefix)
    }
    if isinstance(module, Tensors):
        module.become(own)


def _rows(x: Tensor) -> Tensor:
    return x.flatten(1).double()


def build(params: SklearnParams, schema: DataSchema) -> nn.Module:
    """Make a classifier that is yet to be fitted, for rows of any shape."""
    return Estimator(params, schema)
