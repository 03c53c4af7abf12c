"""Known-answer and power checks of randomized smoothing: its noise, its radii, and what they prove."""

import dataclasses

import torch
from torch import Tensor, nn

from amulet_core.checks import Check
from amulet_core.data import make_data
from amulet_core.feasible import span
from amulet_core.settings import TrainingSettings
from amulet_core.streams import isolated
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Batch, Call, Fitted, TrainingContext
from amulet_plugins_builtin.catalogue.robust_training import SmoothingParams
from amulet_plugins_builtin.evasion import planted, smoothing
from amulet_plugins_builtin.evasion.checks_of_defenses import LINE, question


def smoothing_checks() -> tuple[Check, ...]:
    """Return the checks of ``randomized-smoothing``."""
    return (
        Check(
            "certified radii of planted counts are the published ones",
            "the bound of Clopper and Pearson, one-sided, and the normal quantile, by hand",
            radii_by_hand,
        ),
        Check(
            "the radius of a steep linear model comes near its margin, from below",
            "there the radius is exact, but for the votes that bound it",
            radius_of_a_linear_model,
        ),
        Check(
            "a class that wins most draws of noise by a little and loses on the mean is not certified",
            "the deployed model answers by the mean: proofs of the majority are of another classifier",
            proves_the_mean_and_not_the_majority,
        ),
        Check(
            "training sees each row under the noise that smooths the model, in the units of its features",
            "a model that never saw noise answers by chance under it",
            trains_under_the_noise,
        ),
        Check(
            "a budget in linf is covered by a certificate of its longest change, and by no shorter one",
            "in d dimensions the corner of a budget lies sqrt d times as far as its side",
            covers_the_corners_of_a_budget,
        ),
        Check(
            "smoothing mends a model that ripples fool, and what it certifies cannot be fooled",
            "a defense that leaves robust accuracy where it was does nothing",
            mends_ripples,
        ),
        Check(
            "a model that answers by chance gets no certificate",
            "votes of one half prove nothing",
            proves_nothing_of_chance,
        ),
    )


def radii_by_hand() -> None:
    """Compare radii with known ones, in units of sigma, at alpha .001."""
    known = ((100, 100, 1.5005), (1_000, 1_000, 2.4633), (10_000, 10_000, 3.1986), (990, 1_000, 1.9780))
    for count, draws, expected in known:
        found = float(smoothing.certified_radius(torch.tensor([count]), draws, SmoothingParams(sigma=1.0))[0])
        assert abs(found - expected) < 1e-4, f"{count} of {draws} votes: radius {found:.4f}, expected {expected}"
    none = float(smoothing.certified_radius(torch.tensor([520]), 1000, SmoothingParams())[0])
    assert none == -torch.inf, f"520 of 1000 votes: radius {none:.4f}, expected none (the paper abstains)"


def radius_of_a_linear_model() -> None:
    """Compare radii with margins over the length of w, for margins that votes can tell from one.

    The steeper the model, the closer its probabilities are to 0 and 1, and the radius to the margin.
    """
    model, schema = planted.linear_victim(features=10, seed=6)
    for part in model.parameters():
        part.mul_(1000)
    x = planted.rows_near_the_middle(schema, rows=200, seed=6)
    y = model(x).argmax(1)
    exact = planted.margins(model, x, y) / planted.steepness(model, schema, norm="l2")
    params = SmoothingParams(sigma=float(exact.median()), certify_draws=4000)
    with isolated("check"):
        scale = params.sigma * smoothing.noisy(schema)
        counts = smoothing.votes(model, x, scale, draws=4000, classes=2).gather(1, y[:, None])[:, 0]
    found = smoothing.certified_radius(counts, 4000, params)
    told = (exact > 0.3 * params.sigma) & (exact < 2 * params.sigma)
    over, short = (found - exact)[told].max(), ((exact - found) / exact)[told].median()
    assert over <= 0, f"a radius exceeds the margin by {float(over):.4g}, expected none"
    assert short < 0.15, f"radii fall short of margins by {float(short):.1%}, expected below 15 %"


def trains_under_the_noise() -> None:
    """Compare what the objective is given with the rows plus sigma times each feature's range times the draws."""
    _, schema = planted.linear_victim(features=4, seed=6)
    x = planted.rows_near_the_middle(schema, rows=5, seed=6)
    y, settings, seen = torch.zeros(5, dtype=torch.int64), TrainingSettings(), []

    def noted(call: Call, frozen: Call, batch: Batch) -> Tensor:  # noqa: ARG001 - every objective is called so
        seen.append(batch.x)
        return batch.w

    plain = dataclasses.replace(plain_training(lambda: nn.Linear(4, 2), settings, stackable=True), objective=noted)
    context = TrainingContext(rows=5, schema=schema, settings=settings)
    defended = smoothing.train(plain, SmoothingParams(sigma=0.5), context)
    with isolated("check"):
        drawn = torch.randn(5, 4)
    model = nn.Linear(4, 2)
    defended.objective(
        model, model, Batch(x, y, y[:, None], torch.ones(5), {draw.name: drawn for draw in defended.draws})
    )
    kinds = [draw.kind for draw in defended.draws]
    assert kinds == ["normal"], f"the training draws {kinds}, expected normal noise"
    off = float((seen[0] - x - 0.5 * span(schema) * drawn).abs().max())
    assert off < 1e-5, f"rows are off by {off:.4g} from those under noise of half of each range, expected 0"


def covers_the_corners_of_a_budget() -> None:
    """Compare what is certified in linf with the rows of a steep linear model that can be fooled in linf."""
    model, schema = planted.linear_victim(features=10, seed=6)
    for part in model.parameters():
        part.mul_(1000)
    x = planted.rows_near_the_middle(schema, rows=300, seed=6)
    y = model(x).argmax(1)
    margin = planted.margins(model, x, y)
    in_l2, in_linf = (margin / planted.steepness(model, schema, norm=norm) for norm in ("l2", "linf"))
    params = SmoothingParams(sigma=float(in_l2.median()))
    epsilon = 0.7 * params.sigma / 10**0.5
    with isolated("check"):
        smoothed = smoothing.Smoothed(model, torch.zeros(1, 10))
        proved = smoothing.certify(question(smoothed, x, y, schema, norm="linf", epsilon=epsilon), params)[0]
    false = int((proved & (in_linf < epsilon)).sum())
    assert false == 0, f"{false} certified rows can be fooled within the budget in linf, expected 0"
    short = int((proved & (in_l2 < 10**0.5 * epsilon)).sum())
    assert short == 0, f"{short} certified rows have a margin shorter than the budget's longest change, expected 0"
    assert proved.sum() > 50, f"{int(proved.sum())} of 300 rows are certified, expected more than 50"


class Lopsided(nn.Module):
    """A model of one feature: right by little where it is positive, wrong by much elsewhere."""

    def forward(self, x: Tensor) -> Tensor:
        """Return log-probabilities ``[n, 2]``."""
        right = torch.where(x > 0, 0.7, 0.01)
        return torch.cat([1 - right, right], 1).log()


def proves_the_mean_and_not_the_majority() -> None:
    """Certify a model whose mean and majority differ, and compare with its means, which are known."""
    x = torch.linspace(0, 0.6, 61)[:, None]
    params = SmoothingParams(sigma=0.1)
    asked = question(
        smoothing.Smoothed(Lopsided(), torch.zeros(1, 1)), x, torch.ones(61).long(), LINE, norm="l2", epsilon=0.02
    )
    with isolated("check"):
        proved = smoothing.certify(asked, params)[0]
    # At the end of the budget, .02 of a range of 2, in units of noise of .1 of the range.
    mean = 0.01 + 0.69 * torch.special.ndtr((x[:, 0] - 0.04) / 0.2)
    false, found = int((proved & (mean < 0.5)).sum()), int(proved.sum())
    assert false == 0, f"{false} rows are certified whose mean falls below one half within the budget, expected 0"
    assert found > 0, f"{found} rows are certified, expected some: far from the boundary the mean is .7"


class Rippled(nn.Module):
    """A model of one feature whose sign decides, but for ripples that flip it within any small budget."""

    def __init__(self, ripple: float) -> None:
        super().__init__()
        self.ripple = ripple

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``[n, 2]``."""
        score = 20 * (x + self.ripple * torch.sin(300 * x))
        return torch.cat([-score, score], -1)


def mends_ripples() -> None:
    """Search the whole budget for a change that fools the model, before and after smoothing."""
    params = SmoothingParams(sigma=0.1, draws=500, certify_draws=1000)
    x = torch.cat([torch.linspace(-0.4, -0.2, 100), torch.linspace(0.2, 0.4, 100)])[:, None]
    data = make_data(x, (x[:, 0] > 0).long(), LINE)
    with isolated("check"):
        smoothed = smoothing.smooth(Fitted(Rippled(0.5)), data, params).model
        proved = smoothing.certify(question(smoothed, x, data.y, LINE, norm="linf", epsilon=0.03), params)[0]
    before, after = (_survives(model, x, data.y, budget=0.06) for model in (Rippled(0.5), smoothed))
    assert before.sum() == 0, f"{int(before.sum())} of 200 rows survive without smoothing, expected 0"
    assert after.sum() > 190, f"{int(after.sum())} of 200 rows survive with smoothing, expected nearly all"
    assert proved.sum() > 100, f"{int(proved.sum())} of 200 rows are certified, expected most"
    assert not (proved & ~after).any(), f"{int((proved & ~after).sum())} certified rows were fooled, expected 0"


def proves_nothing_of_chance() -> None:
    """Ask for certificates of a model whose votes under noise are even."""
    x = torch.linspace(-0.2, 0.2, 100)[:, None]
    y = torch.zeros(100, dtype=torch.int64)
    model = smoothing.Smoothed(Rippled(1000.0), torch.zeros(1, 1))
    with isolated("check"):
        proved = smoothing.certify(question(model, x, y, LINE, norm="l2", epsilon=0.001), SmoothingParams())
    assert proved.sum() <= 1, f"{int(proved.sum())} of 100 rows are certified, expected none"


def _survives(model: nn.Module, x: Tensor, y: Tensor, *, budget: float) -> Tensor:
    """Return which rows are right at each of 101 points within ``budget``, in the units of ``x``, bool ``[n]``."""
    around = x + torch.linspace(-budget, budget, 101)
    with torch.no_grad():
        return torch.stack([model(column[:, None]).argmax(1) == y for column in around.T]).all(0)
