"""Planted membership games, whose truth is known: confidences are Gaussian, and training on a row shifts them."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from amulet_core.games.membership import Lab, MembershipAnswer, MembershipResult, MembershipView
from amulet_core.schema import DataSchema, Feasible

SCHEMA = DataSchema(modality="tabular", shape=(1,), classes=("no", "yes"), feasible=Feasible(low=0.0, high=1.0))


@dataclass(frozen=True)
class Planted:
    """A view, and the truth behind it: which candidates are members, bool ``[n]``."""

    view: MembershipView
    member: Tensor

    def judged(self, answer: MembershipAnswer) -> MembershipResult:
        """Join an answer with the truth."""
        return MembershipResult(score=answer.score, member=self.member, threshold=answer.threshold)


def planted(
    *,
    rows: int,
    shadow_models: int,
    shift: float,
    seed: int,
    difficulty: float = 0.0,
    population: int = 500,
    class_offset: float = 0.0,
    spread: float = 1.0,
) -> Planted:
    """Plant a victim whose members, half of ``rows``, are more confident by ``shift`` standard deviations.

    A model's confidence on row i is N(m_i, 1), but N(m_i + ``shift``, ``spread`` ** 2) if it was trained on it; m_i,
    how easy the row is, is N(0, ``difficulty`` ** 2), plus ``class_offset`` in the second class; x is the logistic
    function of m_i, so that a row tells how easy it is. Shadow models come in complementary pairs. With shift 0 and
    spread 1 the victim is safe: nothing can tell its members. The ``population`` rows are like the candidates, and
    nobody's training rows.
    """
    draws = torch.Generator().manual_seed(seed)
    member = torch.randperm(rows, generator=draws) < rows // 2
    coins = torch.rand(shadow_models // 2, rows, generator=draws) < 0.5
    trained = torch.stack([coins, ~coins], 1).flatten(0, 1)
    y, population_y = (torch.randint(0, 2, (size,), generator=draws) for size in (rows, population))
    ease = difficulty * torch.randn(rows, generator=draws) + class_offset * y
    inside = torch.cat([member[None], trained])
    candidates = _log_probabilities(ease + shift * inside, torch.where(inside, spread, 1.0), y, draws)
    population_ease = difficulty * torch.randn(population, generator=draws) + class_offset * population_y
    others = _log_probabilities(population_ease.expand(shadow_models + 1, -1), torch.ones(()), population_y, draws)
    view = MembershipView(
        model=None,
        x=torch.sigmoid(ease)[:, None],
        y=y,
        observed=candidates[0],
        population_x=torch.sigmoid(population_ease)[:, None],
        population_y=population_y,
        observed_population=others[0],
        lab=Lab(candidates=candidates[1:], members=trained, population=others[1:]),
        data_schema=SCHEMA,
    )
    return Planted(view, member)


def _log_probabilities(mean: Tensor, sigma: Tensor, y: Tensor, draws: torch.Generator) -> Tensor:
    """Draw log-probabilities, float32 ``[models, n, 2]``, of confidences N(``mean [models, n]``, ``sigma`` ** 2)."""
    confidence = mean + sigma * torch.randn(mean.shape, generator=draws)
    towards_one = torch.where(y == 1, confidence, -confidence)
    return torch.stack([logsigmoid(-towards_one), logsigmoid(towards_one)], -1)
