"""Adversarial debiasing: an adversary learns the group from the model's output, and the model learns to mislead it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, count

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

from amulet_core.data import Data
from amulet_core.schema import Sensitive
from amulet_core.training.values import Batch, Call, Fit, Fitted, Objective, Streams, Training, TrainingContext
from amulet_plugins_builtin.catalogue.fairness import AdversarialDebiasingParams
from amulet_plugins_builtin.fairness.attributes import attribute_column


def train(training: Training, params: AdversarialDebiasingParams, context: TrainingContext) -> Training:
    """Return training with an adversary network beside the model, and a reversed gradient between the two.

    Ganin et al. 1505.07818, equations 9 and 10; the domain is the sensitive attribute. The adversary sees the model's
    log-probabilities: what a user sees, without the logits' free shift. It is thrown away after training.

    Raises:
        ValueError: if the data have no such attribute; when fitting, if a group has no training rows.
    """
    column = attribute_column(params.attribute, context.schema)
    attribute, classes = context.schema.sensitive[column], len(context.schema.classes)
    names = chain(("adversary",), (f"adversary{k}" for k in count(2)))
    name = next(name for name in names if name not in training.parts)

    def build() -> nn.Module:
        return nn.Sequential(
            nn.Linear(classes, params.hidden), nn.ReLU(), nn.Linear(params.hidden, len(attribute.categories))
        )

    return replace(
        training,
        parts={**training.parts, name: build},
        objective=debiased(training.objective, strength=params.strength, column=column, adversary=name),
        fit=_where_all_groups_are(training.fit, column, attribute),
    )


def debiased(objective: Objective, *, strength: float, column: int, adversary: str) -> Objective:
    """Return ``objective + w * cross-entropy`` of the adversary's guess of ``z[:, column]``, gradient reversed."""

    def both(call: Call, frozen: Call, batch: Batch) -> Tensor:
        calls: list[tuple[Tensor, Tensor]] = []
        model = _remembering(call, calls)
        losses = objective(model, frozen, batch)
        # Whatever the inner objective fed the model (adversarial examples, say), the adversary judges the same outputs.
        outputs = calls[0][1] if calls else model(batch.x)
        scores = call(reverse(log_softmax(outputs, -1), strength), part=adversary)
        return losses + batch.w * _cross_entropy(scores, batch.z[:, column])

    return both


def reverse(o: Tensor, strength: float) -> Tensor:
    """Return ``o`` itself, whose gradient comes back multiplied by ``-strength`` (1505.07818, section 4.2)."""
    return (1 + strength) * o.detach() - strength * o


def _remembering(call: Call, calls: list[tuple[Tensor, Tensor]]) -> Call:
    """Return ``call`` that computes the model once for an input, and notes input and output in ``calls``."""

    def remembering(x: Tensor, part: str = "model") -> Tensor:
        if part != "model":
            return call(x, part)
        for known, output in calls:
            if known is x:
                return output
        calls.append((x, call(x, part)))
        return calls[-1][1]

    return remembering


def _cross_entropy(scores: Tensor, z: Tensor) -> Tensor:
    """Return each row's loss ``[n]``: its mean where there are k inputs of a row.

    Their scores follow each other, ``[k * n, groups]``, or stand on an axis of their own, ``[n, k, groups]``.
    """
    by_row = scores if scores.dim() > 2 else scores.unflatten(0, (-1, len(z))).transpose(0, 1)
    truth = z[:, None].expand(by_row.shape[:-1])
    return cross_entropy(by_row.movedim(-1, 1), truth, reduction="none").mean(1)


def _where_all_groups_are(fit: Fit, column: int, attribute: Sensitive) -> Fit:
    """Return ``fit`` that refuses rows in which a group is missing: the adversary could not learn to tell it."""

    def fit_checked(
        training: Training, rows: Sequence[Data], val: Sequence[Data], streams: Sequence[Streams]
    ) -> list[Fitted]:
        for data in rows:
            sizes = torch.bincount(data.z[:, column], minlength=len(attribute.categories)).tolist()
            missing = [label for label, size in zip(attribute.categories, sizes, strict=True) if size == 0]
            if missing:
                raise ValueError(
                    f"adversarial-debiasing: no training row has {attribute.name} {' or '.join(missing)} (of "
                    f"{len(data)} rows); train on more rows, or merge the groups of the data set"
                )
        return fit(training, rows, val, streams)

    return fit_checked
