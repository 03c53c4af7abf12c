"""Checks of the defenses that mark a model, and of rounding: the own model is claimed, models of others are not."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from amulet_core.checks import Check
from amulet_core.data import Data
from amulet_core.games.verification import VerificationView
from amulet_core.streams import generator, isolated
from amulet_core.training.values import Fitted
from amulet_core.victims import LabelOracle, ProbabilityOracle
from amulet_plugins_builtin.catalogue.ownership_defenses import (
    OutputRoundingParams,
    RadioactiveDataParams,
    WatermarkParams,
)
from amulet_plugins_builtin.ownership import (
    output_rounding,
    planted_owners,
    radioactive_data,
    watermark,
)

STRANGERS = 20
_WHY_SAFE = "an owner who claims models of others convicts the innocent"
_WHY_POWER = "an owner who does not know its own model will know no thief's"


def watermark_checks() -> tuple[Check, ...]:
    """Return the checks of ``watermark``."""
    return (
        Check(
            "100, 30 and 20 of 100 hits among 10 classes have p-values 1e-100, 2.445e-8 and 1.979e-3",
            "an approximation is wrong by orders of magnitude where it matters",
            binomial_tails,
        ),
        Check(
            "204 models that know no trigger, 4 of them with one answer for all, have p-values below .05 no more often",
            "labels that are not uniform give independent models hits, and the binomial is no null",
            strangers_hit_by_chance,
        ),
        Check(
            "a model trained with the triggers knows 9 of 10 of them, at the price of less than .1 accuracy",
            _WHY_POWER,
            triggers_are_learnt,
        ),
    )


def radioactive_data_checks() -> tuple[Check, ...]:
    """Return the checks of ``radioactive-data``."""
    return (
        Check(
            "where features are the inputs themselves, each moves by epsilon as its direction says, within the bounds",
            "a mark along another direction, or a shorter one, leaves no trace",
            marks_follow_their_direction,
        ),
        Check(
            f"the owner's model scores above each of {STRANGERS} models of others, half of them marked, too",
            _WHY_POWER,
            marked_model_stands_out,
        ),
        Check(
            "a model trained on the owner's own rows without the marks scores no more than the best of those others",
            "it is the marks that are to be told, not whose rows they are: lower losses on known rows are no mark",
            unmarked_model_is_not_claimed,
        ),
    )


def output_rounding_checks() -> tuple[Check, ...]:
    """Return the check of ``output-rounding``."""
    return (
        Check(
            "known probabilities are rounded to known ones, and the predicted class stays in every one of 1000 rows",
            "a class that changes is a loss of accuracy, and a row of zeros no answer",
            known_probabilities,
        ),
    )


def binomial_tails() -> None:
    """Compare with the binomial distribution's known tails."""
    for hits, expected in ((100, 1e-100), (30, 2.445e-8), (20, 1.979e-3)):
        found = float(watermark.chance_of(np.array([hits]), 100, 10)[0])
        assert math.isclose(found, expected, rel_tol=1e-3), f"{hits} hits have p {found:.4g}, expected {expected:.4g}"


def strangers_hit_by_chance() -> None:
    """Ask models with answers of their own, one for each class that says nothing else, and one that knows by heart."""
    owner = _watermarked()
    draws = generator("strangers")
    x, y = owner.proof["watermark/x"], owner.proof["watermark/y"]
    guesses = torch.randint(4, (200, len(y)), generator=draws)
    # Skewed answers too: most models of the world prefer some class.
    guesses[100:] = guesses[100:].clamp_max(1)
    # To one that always says the same, labels that are all alike, or nearly, are its own.
    alike = torch.arange(4)[:, None].expand(4, len(y))
    models = [planted_owners.Nearest(x, answer, 4) for answer in (y, *guesses, *alike)]
    answer = watermark.verify(_view(owner, models, LabelOracle), WatermarkParams())
    p = planted_owners.p_of(answer)
    assert float(answer.score[0]) == len(y), f"a copy has {answer.score[0]:g} of {len(y)} hits, expected all"
    low = int((p[1:] < 0.05).sum())
    assert low <= 22, f"{low} of 204 strangers have p below .05, expected 10 (at most 22)"
    assert float(p[1:].min()) > 1e-5, f"a stranger has p {float(p[1:].min()):.2g}, expected none below 1e-5"


def triggers_are_learnt() -> None:
    """Train with and without triggers."""
    owner = _watermarked()
    (plain,) = planted_owners.fitted(planted_owners.training(80), [_many()], "own")
    answer = watermark.verify(_view(owner, [owner.model, plain.model], LabelOracle), WatermarkParams())
    known = float(answer.score[0]) / len(owner.proof["watermark/y"])
    test = planted_owners.rows("test", n=400)
    before, after = (float((one.model(test.x).argmax(1) == test.y).float().mean()) for one in (plain, owner))
    assert known >= 0.9, f"{known:.2f} of the triggers are known, expected .9 or more"
    assert after > before - 0.1, f"accuracy went from {before:.3f} to {after:.3f}, expected .1 less at most"
    unmarked = float(planted_owners.p_of(answer)[1])
    assert unmarked > 1e-3, f"a model without triggers has p {unmarked:.2g}, expected above .001"


def marks_follow_their_direction() -> None:
    """Mark rows where the closed form is ``x + epsilon sign(u)``, within the bounds."""
    model = _Identity()
    data = planted_owners.rows("marks")
    params = RadioactiveDataParams(share=0.5, epsilon=0.1)
    marks = radioactive_data.marked(model, data, generator("marks check"), params)
    draws = generator("marks check")
    torch.randperm(len(data), generator=draws)
    direction = radioactive_data.carriers(4, 36, draws)[marks.y].reshape(marks.plain.shape)
    expected = (marks.plain + 1.6 * direction.sign()).clamp(0, 16)
    # The price of distance keeps features where they are that the direction hardly names.
    off = float((marks.marked - expected)[direction.abs() > 0.03].abs().max())
    assert len(marks.y) == 60, f"{len(marks.y)} of 120 rows are marked, expected half"
    assert off < 1e-5, f"marks are off by {off:.2g} from epsilon along the direction's signs, expected 0"


def marked_model_stands_out() -> None:
    """Score the owner's model, and others with and without marks of their own."""
    own, _, best = _scores_of_marks()
    assert own > best, f"the owner's model scores {own:.4f}, the best of others {best:.4f}"


def unmarked_model_is_not_claimed() -> None:
    """Score a model that has learnt the owner's rows, noise and all, and has never seen a mark."""
    _, unmarked, best = _scores_of_marks()
    assert unmarked <= best, f"a model of the same rows unmarked scores {unmarked:.4f}, the best of others {best:.4f}"


def _scores_of_marks() -> tuple[float, float, float]:
    """Return the scores of the owner's model and of one trained on its rows unmarked, and the best of strangers'."""
    owner, models = _marked()
    view = _view(owner, [owner.model, *models], ProbabilityOracle)
    own, unmarked, *others = radioactive_data.verify(view, RadioactiveDataParams()).score.tolist()
    return own, unmarked, max(others)


@cache
def _marked() -> tuple[Fitted, tuple[torch.nn.Module, ...]]:
    """Train the owner's model; one on its rows without the marks, and strangers', half of them marked, too."""
    how = radioactive_data.train(planted_owners.training(), RadioactiveDataParams(), planted_owners.context())
    data = planted_owners.rows("own", noise=0.3)
    others = [planted_owners.rows("other", index, noise=0.3) for index in range(STRANGERS)]
    half = STRANGERS // 2
    (owner,) = planted_owners.fitted(how, [data], "own")
    strangers = [
        *planted_owners.fitted(planted_owners.training(), [data, *others[:half]], "plain"),
        *planted_owners.fitted(how, others[half:], "marked"),
    ]
    return owner, tuple(one.model for one in strangers)


def known_probabilities() -> None:
    """Round rows worked out by hand, and many at random."""
    params = OutputRoundingParams(decimals=1)
    given = torch.tensor([[0.34, 0.31, 0.35], [0.33, 0.34, 0.33], [0.72, 0.2, 0.08], [0.86, 0.06, 0.08]])
    expected = torch.tensor([[0.3, 0.3, 0.4], [0.3, 0.4, 0.3], [0.7, 0.2, 0.1], [9 / 11, 1 / 11, 1 / 11]])
    off = float((output_rounding.rounded(given, params) - expected).abs().max())
    assert off < 1e-6, f"probabilities are off by {off:.2g}, expected 0"
    many = torch.softmax(torch.randn(1000, 30, generator=generator("rounding check")), 1)
    changed = int((output_rounding.rounded(many, params).argmax(1) != many.argmax(1)).sum())
    assert changed == 0, f"the class of {changed} of 1000 rows changed, expected none"


def _many() -> Data:
    return planted_owners.rows("own", n=300)


@cache
def _watermarked() -> Fitted:
    with isolated("watermark check"):
        prepared = watermark.add_triggers(_many(), WatermarkParams(triggers=30))
    (one,) = planted_owners.fitted(planted_owners.training(80), [prepared.data], "own")
    return Fitted(one.model, prepared.evidence, prepared.proof)


def _view(owner: Fitted, models: Sequence[torch.nn.Module], kind: type[LabelOracle]) -> VerificationView:
    return planted_owners.view(owner, models, planted_owners.rows("own"), planted_owners.rows("val"), kind=kind)


class _Identity(planted_owners.Small):
    """A model whose features are its inputs, scaled."""

    def __init__(self) -> None:
        super().__init__(hidden=36)

    def features(self, x: Tensor) -> Tensor:
        scaled: Tensor = self.normalise(x)
        return scaled.flatten(1)
