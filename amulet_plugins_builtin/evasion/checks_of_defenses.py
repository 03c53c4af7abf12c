"""Known-answer and power checks of the defenses from evasion, beside those of adversarial training."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from amulet_core.checks import Check
from amulet_core.games.evasion import CertificateQuestion
from amulet_core.schema import DataSchema, Feasible
from amulet_core.streams import isolated
from amulet_core.training.values import Batch, Training, TrainingContext
from amulet_core.vocabulary import Norm
from amulet_plugins_builtin.catalogue.evasion import PgdParams
from amulet_plugins_builtin.catalogue.robust_training import IbpParams, TradesParams
from amulet_plugins_builtin.evasion import ibp, intervals, pgd, planted, trades

LINE = DataSchema(modality="tabular", shape=(1,), classes=("no", "yes"), feasible=Feasible(low=(-1.0,), high=(1.0,)))

Defend = Callable[[Training, TrainingContext], Training]


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
        Check(
            "the penalty is the divergence of the neighbour's answer from the row's, at the worst end of a line",
            "the divergence the other way round, or at a lesser neighbour, is another penalty",
            penalises_by_hand,
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


def penalises_by_hand() -> None:
    """Compare the penalty on a logistic model of one feature with KL(p(x) || p(x')), x' the end of its budget."""
    model = nn.Linear(1, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0], [3.0]]))
        model.bias.copy_(torch.tensor([0.0, 0.5]))
    x, ends = torch.tensor([[0.4], [0.4], [-0.3]]), torch.tensor([[1.0], [-1.0], [1.0]])
    y = torch.zeros(3, dtype=torch.int64)
    batch = Batch(x, y, y[:, None], torch.ones(3), {trades.START.name: ends})
    params = TradesParams(beta=2.0, epsilon=0.1)

    def call(x: Tensor, part: str = "model") -> Tensor:  # noqa: ARG001 - there is no other part
        logits: Tensor = model(x)
        return logits

    penalised = trades.regularised(lambda call, _frozen, batch: 0 * call(batch.x)[:, 0], params, LINE)
    with torch.no_grad():
        found = penalised(call, call, batch)
        p, q = (torch.sigmoid(3 * at[:, 0] + 0.5).double() for at in (x, x + 0.2 * ends))
    expected = 2 * (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log())
    off = float((found - expected).abs().max())
    assert off < 1e-4, f"the penalty is off by {off:.4g} from beta times KL(row || neighbour), expected 0"


def certifies_by_margins(*, norm: Norm) -> None:
    """Compare which rows are certified with the closed form, m > eps * dual norm of W_y - W_j, box inactive."""
    model, schema = planted.linear_victim(features=30, seed=2)
    x = planted.rows_near_the_middle(schema, rows=300, seed=2)
    y = model(x).argmax(1)
    margin, steepness = planted.margins(model, x, y), planted.steepness(model, schema, norm=norm)
    epsilon = float(margin.median()) / steepness
    found = ibp.certify(question(model, x, y, schema, norm=norm, epsilon=epsilon), IbpParams())[0]
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


def _with_trades(training: Training, context: TrainingContext) -> Training:
    return trades.train(training, TradesParams(epsilon=0.05), context)


def _with_ibp(training: Training, context: TrainingContext) -> Training:
    return ibp.train(training, IbpParams(epsilon=0.05), context)


def question(
    model: nn.Module, x: Tensor, y: Tensor, schema: DataSchema, *, norm: Norm, epsilon: float
) -> CertificateQuestion:
    """Return what a certifying defense is asked about one budget."""
    return CertificateQuestion(model=model, x=x, y=y, norm=norm, epsilons=(epsilon,), data_schema=schema)
