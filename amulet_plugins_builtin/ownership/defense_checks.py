"""Known-answer and power checks of the ownership defenses: the own model is claimed, models of others are not."""

import math
from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from amulet_core.checks import Check
from amulet_core.data import Data
from amulet_core.games.verification import VerificationAnswer, VerificationView
from amulet_core.streams import generator, isolated
from amulet_core.training.values import Fitted
from amulet_core.victims import LabelOracle, ProbabilityOracle, WhiteBox
from amulet_plugins_builtin.catalogue.ownership_defenses import (
    BlindWalkParams,
    GradientWalkParams,
    OutputRoundingParams,
    RadioactiveDataParams,
    WatermarkParams,
)
from amulet_plugins_builtin.ownership import (
    dataset_inference,
    distances,
    output_rounding,
    planted_owners,
    radioactive_data,
    watermark,
)

Verify = Callable[[VerificationView], VerificationAnswer]

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
            "200 models that know nothing of the triggers have p-values below .05 no more often than that",
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
    )


def blind_walk_checks() -> tuple[Check, ...]:
    """Return the checks of ``dataset-inference``."""
    verify = partial(dataset_inference.verify_by_walks, params=BlindWalkParams(steps=20, step=0.05))
    return (
        Check(
            "no walk is shorter than the known distance to a flat boundary, and rows of the wrong label are at 0",
            "a walk that ends early, or a row of distances that belongs to another row, measures something else",
            walks_end_at_the_boundary,
        ),
        *_power(verify, LabelOracle),
    )


def gradient_walk_checks() -> tuple[Check, ...]:
    """Return the checks of ``dataset-inference-mingd``."""
    verify = partial(dataset_inference.verify_by_gradients, params=GradientWalkParams(steps=20, step=0.02))
    return (
        Check(
            "on a linear model the distances are those of the closed form, within one step",
            "a descent that is not steepest in its norm measures another distance",
            descents_are_shortest,
        ),
        *_power(verify, WhiteBox),
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


def _power(verify: Verify, kind: type[LabelOracle]) -> tuple[Check, ...]:
    return (
        Check(
            "a model that has learnt its rows by heart is claimed: p below .001",
            _WHY_POWER,
            lambda: memoriser_is_claimed(verify, kind),
        ),
        Check(
            f"of {STRANGERS} models that learnt other rows by heart at most 4 have a p-value below .05, none a score "
            "like the owner's",
            _WHY_SAFE,
            lambda: strangers_are_not_claimed(verify, kind),
        ),
    )


def binomial_tails() -> None:
    """Compare with the binomial distribution's known tails."""
    for hits, expected in ((100, 1e-100), (30, 2.445e-8), (20, 1.979e-3)):
        found = float(watermark.chance_of(np.array([hits]), 100, 10)[0])
        assert math.isclose(found, expected, rel_tol=1e-3), f"{hits} hits have p {found:.4g}, expected {expected:.4g}"


def strangers_hit_by_chance() -> None:
    """Ask 200 models with answers of their own, and one that knows the triggers by heart."""
    owner = _watermarked()
    draws = generator("strangers")
    x, y = owner.proof["watermark/x"], owner.proof["watermark/y"]
    guesses = torch.randint(4, (200, len(y)), generator=draws)
    # Skewed answers too: most models of the world prefer some class.
    guesses[100:] = guesses[100:].clamp_max(1)
    models = [planted_owners.Nearest(x, answer, 4) for answer in (y, *guesses)]
    answer = watermark.verify(_view(owner, models, LabelOracle), WatermarkParams())
    p = p_of(answer)
    assert float(answer.score[0]) == len(y), f"a copy has {answer.score[0]:g} of {len(y)} hits, expected all"
    low = int((p[1:] < 0.05).sum())
    assert low <= 22, f"{low} of 200 strangers have p below .05, expected 10 (at most 22)"
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
    unmarked = float(p_of(answer)[1])
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
    how = radioactive_data.train(planted_owners.training(), RadioactiveDataParams(), planted_owners.context())
    data = planted_owners.rows("own", noise=0.3)
    (owner,) = planted_owners.fitted(how, [data], "own")
    others = [planted_owners.rows("other", index, noise=0.3) for index in range(STRANGERS)]
    half = STRANGERS // 2
    strangers = [
        *planted_owners.fitted(planted_owners.training(), others[:half], "plain"),
        *planted_owners.fitted(how, others[half:], "marked"),
    ]
    models = [owner.model, *(one.model for one in strangers)]
    score = radioactive_data.verify(_view(owner, models, ProbabilityOracle), RadioactiveDataParams()).score
    best = float(score[1:].max())
    assert float(score[0]) > best, f"the owner's model scores {score[0]:.4f}, the best of others {best:.4f}"


def walks_end_at_the_boundary() -> None:
    """Walk towards the boundary of the mean brightness: in every norm, it is as far as the mean is from it."""
    schema = planted_owners.SCHEMA.model_copy(update={"classes": ("dark", "bright")})
    x = torch.full((5, 1, 6, 6), 8.0) + torch.linspace(0.5, 1.5, 5)[:, None, None, None]

    def labels(rows: Tensor) -> Tensor:
        return (rows.flatten(1).mean(1) > 8).long()

    found = distances.blind_walk(labels, x, torch.ones(5).long(), schema, walks=4, step=0.01, steps=60, seed=3)
    assert found.shape == (5, 12), f"distances have the shape {list(found.shape)}, expected [5, 12]: one a row"
    early = int((found < torch.linspace(0.5, 1.5, 5)[:, None] / 16).sum())
    assert early == 0, f"{early} of 60 walks ended before the boundary, expected none"
    wrong = distances.blind_walk(labels, x, torch.zeros(5).long(), schema, walks=4, step=0.01, steps=60, seed=3)
    assert float(wrong.abs().max()) == 0, "rows of the wrong label lie away from the boundary, expected distance 0"


def descents_are_shortest() -> None:
    """Descend on a linear model, whose distance in the largest change is the margin over the weights' sum."""
    schema = planted_owners.SCHEMA.model_copy(update={"classes": ("no", "yes")})
    weight = torch.randn(36, generator=generator("descent check"))
    x = 4 + 8 * torch.rand(10, 1, 6, 6, generator=generator("descent check rows"))
    margin = x.flatten(1) @ weight / 16
    bias = margin.mean()

    def logits(rows: Tensor) -> Tensor:
        side = rows.flatten(1) @ weight / 16 - bias
        return torch.stack([-side, side], 1)

    y = (margin > bias).long()
    found = distances.gradient_walk(logits, x, y, schema, step=0.005, steps=60)
    exact = {4: (margin - bias).abs() / weight.abs().sum(), 2: (margin - bias).abs() / weight.norm() / 6}
    for column, expected in exact.items():
        own, other = found[:, column], found[:, column + 1]
        off = float((other - expected).max()), float((other - expected).min())
        assert float(own.abs().max()) == 0, "the own class is away from rows that are right, expected distance 0"
        near = -1e-5 <= off[1] <= off[0] <= 0.0051
        assert near, f"distances are off by {off[1]:.4f} to {off[0]:.4f}, expected 0 to .005"


def memoriser_is_claimed(verify: Verify, kind: type[LabelOracle]) -> None:
    """Test a model that has learnt labels by heart, a third of them random."""
    p = float(p_of(_memorisers(verify, kind))[0])
    assert p < 1e-3, f"p is {p:.2g}, expected below .001"


def strangers_are_not_claimed(verify: Verify, kind: type[LabelOracle]) -> None:
    """Test models that have learnt other rows by heart."""
    answer = _memorisers(verify, kind)
    low = int((p_of(answer)[1:] < 0.05).sum())
    own, best = float(answer.score[0]), float(answer.score[1:].max())
    assert low <= 4, f"{low} of {STRANGERS} strangers have p below .05, expected one (at most 4)"
    assert best < own, f"a stranger scores {best:.2f}, the owner's model {own:.2f}"


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


def p_of(answer: VerificationAnswer) -> Tensor:
    """Return the p-values ``[k]`` of an answer that has some."""
    assert answer.p is not None, "there are no p-values, expected one for each suspect"
    return answer.p


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


def _memorisers(verify: Verify, kind: type[LabelOracle]) -> VerificationAnswer:
    """Return what the owner says of its own model, the first, and of strangers'."""
    own, val = planted_owners.rows("own", noise=0.3), planted_owners.rows("held", noise=0.3)
    models = list(_learnt_by_heart())
    with isolated("memorisers"):
        return verify(planted_owners.view(Fitted(models[0]), models, own, val, kind=kind))


@cache
def _learnt_by_heart() -> tuple[torch.nn.Module, ...]:
    parts = [planted_owners.rows("own", noise=0.3)]
    parts += [planted_owners.rows("other", index, noise=0.3) for index in range(STRANGERS)]
    return tuple(one.model for one in planted_owners.fitted(planted_owners.training(60), parts, "memorisers"))


class _Identity(planted_owners.Small):
    """A model whose features are its inputs, scaled."""

    def __init__(self) -> None:
        super().__init__(hidden=36)

    def features(self, x: Tensor) -> Tensor:
        scaled: Tensor = self.normalise(x)
        return scaled.flatten(1)
