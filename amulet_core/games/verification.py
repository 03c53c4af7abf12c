"""The verification game: the owner of a model scores unnamed suspects; the core knows which of them derive from it.

The owner is a defense's ``verify(view, params) -> answer``. Suspects are models that thieves made of the victim (as
stolen, fine-tuned, pruned), the same recipe trained on the owner's rows without the defense, and a pool of models that
have nothing to do with the owner: trained on other rows, half of them with the defense and evidence of their own. A
suspect is claimed if hardly any independent model scores as high as it does.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from amulet_core.games.artifacts import Artifact, shaped
from amulet_core.schema import DataSchema
from amulet_core.victims import LabelOracle, ProbabilityOracle, WhiteBox


class VerificationView(Artifact):
    """What the owner has: unnamed suspects, what its defense left behind, its own model and rows.

    ``suspects`` are seen with the defense's ``verify_access``. ``evidence`` and ``proof`` are those of its own model:
    what is public, as JSON, and what it kept, as tensors. ``x, y`` are the rows handed to its recipe; ``val_x, val_y``
    its held-out ones. Each suspect is to be scored for itself: how many there are, and which, tells nothing.
    """

    suspects: tuple[WhiteBox | ProbabilityOracle | LabelOracle, ...]
    evidence: Mapping[str, Any]
    proof: Mapping[str, Tensor]
    model: WhiteBox
    x: Annotated[Tensor, shaped(torch.float32, "n", ...)]
    y: Annotated[Tensor, shaped(torch.int64, "n")]
    val_x: Annotated[Tensor, shaped(torch.float32, "m", ...)]
    val_y: Annotated[Tensor, shaped(torch.int64, "m")]
    data_schema: DataSchema


class VerificationAnswer(Artifact):
    """What it hands back: a score a suspect, larger for likelier derived, and its own p-values, if it has any."""

    score: Annotated[Tensor, shaped(torch.float64, "k")]
    p: Annotated[Tensor, shaped(torch.float64, "k")] | None = None
    warnings: tuple[str, ...] = ()


class VerificationResult(Artifact):
    """The answers joined with the truth.

    ``names`` say what each suspect is; ``derived`` which of them come from the victim (the model retrained without the
    defense does not). ``null`` are the scores of the independent models, ``defended`` those with a defense of their
    own. ``accuracy`` is each suspect's, ``null_accuracy`` each independent model's, on the same test rows (none: not
    measured). ``p`` and ``null_p`` are the method's own, both or neither.
    """

    names: tuple[str, ...]
    derived: Annotated[Tensor, shaped(torch.bool, "k")]
    score: Annotated[Tensor, shaped(torch.float64, "k")]
    p: Annotated[Tensor, shaped(torch.float64, "k")] | None
    accuracy: Annotated[Tensor, shaped(torch.float64, "k")]
    null: Annotated[Tensor, shaped(torch.float64, "pool")]
    null_p: Annotated[Tensor, shaped(torch.float64, "pool")] | None
    null_accuracy: Annotated[Tensor, shaped(torch.float64, "pool")] | None = None
    defended: Annotated[Tensor, shaped(torch.bool, "pool")]
    fpr: float
    warnings: tuple[str, ...] = ()


def accept(view: VerificationView, answer: VerificationAnswer) -> VerificationAnswer:
    """Return an answer with a score, and a proper p-value if any, for each suspect.

    Raises:
        ValueError: naming what is missing or impossible.
    """
    if len(answer.score) != len(view.suspects):
        raise ValueError(f"verify returned {len(answer.score)} scores for {len(view.suspects)} suspects")
    if answer.p is not None and ((answer.p < 0) | (answer.p > 1)).any():
        raise ValueError("verify returned p-values outside 0 .. 1")
    return answer


def worst(results: Sequence[VerificationResult]) -> VerificationResult:
    """Join the suspects of several thieves into one list; who is in it more than once counts once."""
    first, names = results[0], [name for result in results for name in result.names]
    kept = torch.tensor([names.index(name) == at for at, name in enumerate(names)])
    joined = {
        field: torch.cat([getattr(result, field) for result in results])[kept]
        for field in ("derived", "score", "accuracy")
    }
    p = None if first.p is None else torch.cat([result.p for result in results if result.p is not None])[kept]
    texts = dict.fromkeys(text for result in results for text in result.warnings)
    chosen = tuple(name for name, keep in zip(names, kept.tolist(), strict=True) if keep)
    return first.model_copy(update={**joined, "names": chosen, "p": p, "warnings": tuple(texts)})
