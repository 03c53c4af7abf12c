"""Known-answer and power checks of the defenses from evasion, beside those of adversarial training."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from amulet_core.checks import Check
from amulet_core.data import make_data
from amulet_core.games.evasion import CertificateQuestion
from amulet_core.schema import DataSchema, Feasible
from amulet_core.streams import isolated
from amulet_core.training.values import Fitted, Training, TrainingContext
from amulet_core.vocabulary import Norm
from amulet_plugins_builtin.catalogue.evasion import PgdParams
from amulet_plugins_builtin.catalogue.robust_training import IbpParams, SmoothingParams, TradesParams
from amulet_plugins_builtin.evasion import ibp, intervals, pgd, planted, smoothing, trades

Defend = Callable[[Training, TrainingContext], Training]

LINE = DataSchema(modality="tabular", shape=(1,), classes=("no", "yes"), feasible=Feasible(low=(-1.0,), high=(1.0,)))


def trades_checks() -> tuple[Check, ...]:
    """Return the checks of ``trades``."""
    return (
        Check(
            "trades relies on the robust feature where undefended training relies on fragile ones",
            "a defense that leaves robust accuracy where it was does nothing",
            lambda: raises_robust_accuracy(_with_trades),
        ),
        Check(
            "trades penalises nothing where no neighbour answers otherwise",
            "a penalty on a model that cannot be fooled would cost accuracy for nothing",
            penalises_no_constant,
        ),
    )


def ibp_checks() -> tuple[Check, ...]:
    """Return the checks of ``ibp``."""
    return (
        Check(
            "ibp relies on the robust feature where undefended training relies on fragile ones",
            "a defense that leaves robust accuracy where it was does nothing",
            lambda: raises_robust_accuracy(_with_ibp),
        ),
        *(
            Check(
                f"ibp certifies exactly the rows of a linear model whose margins exceed the budget, in {norm}",
                "a certificate beyond them is false, and one less than them is needlessly loose",
                lambda norm=norm: certifies_by_margins(norm=norm),  # type: ignore[misc]
            )
            for norm in ("linf", "l2")
        ),
        Check(
            "intervals hold every output of a network that was sampled",
            "one output outside refutes every certificate",
            holds_every_output,
        ),
    )


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


def raises_robust_accuracy(defend: Defend) -> None:
    """Train on one robust and twenty fragile features, with and without the defense, and attack both models."""
    data = planted.robust_and_fragile_features(rows=500, seed=1)
    test = planted.robust_and_fragile_features(rows=300, seed=2)
    plain = planted.linear_training()
    context = TrainingContext(rows=len(data), schema=data.schema, settings=plain.settings)
    accuracies = []
    for training in (plain, defend(plain, context)):
        model = planted.fitted(training, data, seed=1)
        view = planted.view_of(model, test.x, test.y, test.schema, norm="linf", epsilons=(0.05,))
        with isolated("check"):
            changed = pgd.attack(view, PgdParams()).x[0]
        accuracies.append(float((model(changed).argmax(1) == test.y).float().mean()))
    undefended, defended = accuracies
    assert undefended < 0.3, f"undefended robust accuracy {undefended:.3f}, expected below .3 (the toy is fragile)"
    assert defended > 0.8, f"defended robust accuracy {defended:.3f}, expected above .8 (the robust feature gives .9)"


def penalises_no_constant() -> None:
    """Compare the penalty on a constant model with 0, and on a steep one with more."""
    data = planted.robust_and_fragile_features(rows=50, seed=3)
    found = []
    for steepness in (0.0, 5.0):
        model = nn.Linear(21, 2)
        nn.init.constant_(model.weight, steepness)
        with torch.no_grad():
            model.weight[0].neg_()
            logits = model(data.x)
            neighbour = data.x + 0.1 * torch.where(logits[:, :1] > 0, 1.0, -1.0)
            found.append(float(trades.divergence(logits, model(neighbour)).mean()))
    assert found[0] == 0, f"the penalty on a constant model is {found[0]:.4g}, expected 0"
    assert found[1] > 0.1, f"the penalty on a steep model is {found[1]:.4g}, expected above .1"


def certifies_by_margins(*, norm: Norm) -> None:
    """Compare which rows are certified with the closed form, m > eps * dual norm of W_y - W_j, box inactive."""
    model, schema = planted.linear_victim(features=30, seed=2)
    x = planted.rows_near_the_middle(schema, rows=300, seed=2)
    y = model(x).argmax(1)
    margin, steepness = planted.margins(model, x, y), planted.steepness(model, schema, norm=norm)
    epsilon = float(margin.median()) / steepness
    found = ibp.certify(_question(model, x, y, schema, norm=norm, epsilon=epsilon), IbpParams())[0]
    # Rounding decides about the rows at the boundary.
    clear = (margin - epsilon * steepness).abs() > 1e-3
    wrong = int((found != (margin > epsilon * steepness))[clear].sum())
    assert wrong == 0, f"{wrong} of {int(clear.sum())} rows: certified and safe differ in {norm}, expected 0"


def holds_every_output() -> None:
    """Sample points of the box around a row, corners among them, and compare the outputs with the interval's."""
    with isolated("check"):
        model = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3)).double()
        centre, radius = torch.randn(1, 6).double(), torch.rand(1, 6).double()
        moves = torch.rand(20_000, 6).double() * 2 - 1
        moves[:2_000] = moves[:2_000].sign()
    with torch.no_grad():
        bounds = intervals.passed(model, intervals.Interval(centre, radius))
        found = model(centre + moves * radius)
    outside = int(((found < bounds.low - 1e-9) | (found > bounds.high + 1e-9)).any(1).sum())
    assert outside == 0, f"{outside} of 20000 outputs lie outside their interval, expected 0"


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
    question = _question(
        smoothing.Smoothed(Lopsided(), torch.zeros(1, 1)), x, torch.ones(61).long(), LINE, norm="l2", epsilon=0.02
    )
    with isolated("check"):
        proved = smoothing.certify(question, params)[0]
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
        proved = smoothing.certify(_question(smoothed, x, data.y, LINE, norm="linf", epsilon=0.03), params)[0]
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
        proved = smoothing.certify(_question(model, x, y, LINE, norm="l2", epsilon=0.001), SmoothingParams())
    assert proved.sum() <= 1, f"{int(proved.sum())} of 100 rows are certified, expected none"


def _survives(model: nn.Module, x: Tensor, y: Tensor, *, budget: float) -> Tensor:
    """Return which rows are right at each of 101 points within ``budget``, in the units of ``x``, bool ``[n]``."""
    around = x + torch.linspace(-budget, budget, 101)
    with torch.no_grad():
        return torch.stack([model(column[:, None]).argmax(1) == y for column in around.T]).all(0)


def _with_trades(training: Training, context: TrainingContext) -> Training:
    return trades.train(training, TradesParams(epsilon=0.05), context)


def _with_ibp(training: Training, context: TrainingContext) -> Training:
    return ibp.train(training, IbpParams(epsilon=0.05), context)


def _question(
    model: nn.Module, x: Tensor, y: Tensor, schema: DataSchema, *, norm: Norm, epsilon: float
) -> CertificateQuestion:
    return CertificateQuestion(model=model, x=x, y=y, norm=norm, epsilons=(epsilon,), data_schema=schema)
