"""Training without gradients: models that learn from rows by a method of their own, in the place of the loop."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from amulet_core.data import Data
from amulet_core.streams import isolated
from amulet_core.training.parts import MeanGradient, ShuffledBatches, weighted_cross_entropy
from amulet_core.training.values import Fitted, Streams, Training


@runtime_checkable
class Learner(Protocol):
    """A module that learns by itself."""

    def learn(self, data: Data, val: Data) -> Mapping[str, Any]:
        """Fit to the rows, by draws from the global generators alone, and return evidence as JSON.

        What was learnt must be in the module's state dict, for the cache keeps nothing else.
        """


def fit_by_itself(
    training: Training, rows: Sequence[Data], val: Sequence[Data], streams: Sequence[Streams]
) -> list[Fitted]:
    """Build one model for each of ``rows``, and let it learn; the settings of the gradient loop play no part.

    Raises:
        ValueError: if a defense changed a part of the training that does not exist here.
        TypeError: if the model cannot learn by itself.
    """
    changed = _changed_parts(training)
    if changed:
        raise ValueError(f"the model trains itself: a defense cannot change its {' and '.join(changed)}")
    return [_learnt(training, *own) for own in zip(rows, val, streams, strict=True)]


def _changed_parts(training: Training) -> list[str]:
    plain = {
        "objective": training.objective is weighted_cross_entropy and not training.draws,
        "sampler": isinstance(training.sampler, ShuffledBatches),
        "gradient rule": isinstance(training.gradient, MeanGradient),
        "networks": set(training.parts) == {"model"},
    }
    return [part for part, unchanged in plain.items() if not unchanged]


def _learnt(training: Training, data: Data, val: Data, streams: Streams) -> Fitted:
    with isolated(*streams.key, "init", "model"):
        model = training.parts["model"]()
    if not isinstance(model, Learner):
        raise TypeError(f"{type(model).__name__} has no method learn(data, val), as trains_itself=True promises")
    with isolated(*streams.key, "learn"):
        evidence = dict(model.learn(data, val))
    return Fitted(model=model.eval().requires_grad_(False), evidence={**training.evidence, **evidence})
