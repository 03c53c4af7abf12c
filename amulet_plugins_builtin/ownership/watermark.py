"""A backdoor as a watermark (Adi et al., arXiv:1802.04633): random inputs whose random labels only the owner knows."""

import hashlib
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binom
from torch import Tensor

from amulet_core.data import Data
from amulet_core.games.verification import VerificationAnswer, VerificationView
from amulet_core.schema import DataSchema, Frozen
from amulet_core.training.values import Prepared
from amulet_plugins_builtin.catalogue.ownership_defenses import WatermarkParams
from amulet_plugins_builtin.ownership.random_inputs import random_inputs

_NAME: Final = "watermark"


class Watermarked(Frozen):
    """Evidence: how many triggers there are, and the SHA-256 that commits the owner to them and to their seed."""

    triggers: int
    repeats: int
    sha256: str


def add_triggers(data: Data, params: WatermarkParams) -> Prepared:
    """Return the rows and, after them, ``repeats`` copies of each trigger.

    Triggers are random inputs with labels drawn uniformly over the classes, whatever the rows are: otherwise hits of
    an independent model would not be binomial. Their sensitive attributes are uniform, too. Nothing is read of the
    rows but their number, so an account of privacy that counts these rows covers them.
    """
    seed = int(torch.randint(2**62, ()))
    own = torch.Generator().manual_seed(seed)
    x, y = trigger_set(data.schema, params.triggers, own)
    groups = [torch.randint(len(one.categories), (len(y),), generator=own) for one in data.schema.sensitive]
    z = torch.stack(groups, 1) if groups else torch.zeros(len(y), 0, dtype=torch.int64)
    first = min(0, int(data.id.min())) - 1
    added = len(y) * params.repeats
    marked = replace(
        data,
        x=torch.cat([data.x, x.repeat(params.repeats, *[1] * (x.ndim - 1))]),
        y=torch.cat([data.y, y.repeat(params.repeats)]),
        z=torch.cat([data.z, z.repeat(params.repeats, 1)]),
        w=torch.cat([data.w, torch.ones(added)]),
        id=torch.cat([data.id, first - torch.arange(added)]),
    )
    proof = {"seed": torch.tensor([seed]), "x": x, "y": y}
    evidence = Watermarked(triggers=len(y), repeats=params.repeats, sha256=commitment(proof["seed"], x, y))
    return Prepared(marked, {_NAME: evidence}, {f"{_NAME}/{name}": value for name, value in proof.items()})


def trigger_set(schema: DataSchema, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return random inputs ``[n, *schema.shape]`` and labels ``[n]``, each label uniform, whatever its input."""
    x = random_inputs(schema, n, generator)
    return x, torch.randint(len(schema.classes), (n,), generator=generator)


def commitment(*tensors: Tensor) -> str:
    """Return the SHA-256 of tensors, one after the other, in hexadecimal."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def verify(view: VerificationView, params: WatermarkParams) -> VerificationAnswer:  # noqa: ARG001 - all is in the proof
    """Score each suspect by its hits: how many triggers it answers with their labels.

    ``p`` is the exact chance that a model that knows nothing of the labels has so many, a binomial tail at one over
    the number of classes.

    Raises:
        ValueError: if the triggers are not those that the evidence commits the owner to.
    """
    public = Watermarked.model_validate(view.evidence[_NAME])
    seed, x, y = (view.proof[f"{_NAME}/{name}"] for name in ("seed", "x", "y"))
    if commitment(seed, x, y) != public.sha256:
        raise ValueError("the triggers are not the ones that the owner committed to: their SHA-256 differs")
    hits = torch.tensor([int((suspect.labels(x) == y).sum()) for suspect in view.suspects], dtype=torch.float64)
    own = int((view.model.labels(x) == y).sum())
    return VerificationAnswer(
        score=hits,
        p=torch.from_numpy(chance_of(hits.numpy(), len(y), len(view.data_schema.classes))),
        warnings=_not_learnt(own, len(y), len(view.data_schema.classes)),
    )


def chance_of(hits: NDArray[np.float64], triggers: int, classes: int) -> NDArray[np.float64]:
    """Return the chance of so many hits or more, of so many triggers, for answers that know nothing of the labels."""
    tail: NDArray[np.float64] = binom.sf(hits - 1, triggers, 1 / classes)
    return tail


def _not_learnt(hits: int, triggers: int, classes: int) -> tuple[str, ...]:
    """Return a warning where the owner's own model has no more hits than 1 in 1000 unmarked models."""
    if chance_of(np.array([float(hits)]), triggers, classes)[0] <= 1e-3:
        return ()
    return (f"the owner's own model answers {hits} of {triggers} triggers: the watermark was not learnt",)
