"""Known-answer and power checks of the components of evasion."""

from collections.abc import Callable

import torch
from torch import Tensor

from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.games.evasion import EvasionAnswer, EvasionResult, EvasionView
from amulet_core.streams import isolated
from amulet_core.training.values import TrainingContext
from amulet_core.vocabulary import Norm
from amulet_plugins_builtin.catalogue.evasion import AdversarialTrainingParams, PgdParams
from amulet_plugins_builtin.evasion import adversarial_training, pgd, planted, random_noise, robustness

Attack = Callable[[EvasionView], EvasionAnswer]


def pgd_checks() -> tuple[Check, ...]:
    """Return the checks of ``pgd``."""
    return (
        Check(
            "pgd reaches the worst margin of a linear model in linf",
            "a search that stops short overstates robustness; here the worst case is m - eps * sum |w|",
            lambda: reaches_worst_margin(_pgd_to_the_end, norm="linf"),
        ),
        Check(
            "pgd reaches the worst margin of a linear model in L2",
            "a search that stops short overstates robustness; here the worst case is m - eps * |w|",
            lambda: reaches_worst_margin(_pgd_to_the_end, norm="l2"),
        ),
        Check(
            "pgd fools every row of a linear model whose margins lie within the budget, and none beyond it",
            "success must follow the planted vulnerability, in both directions",
            lambda: follows_the_margins(_pgd),
        ),
        Check(
            "pgd leaves a misclassified row misclassified",
            "an attack on the predicted label pushes such rows back to the truth and understates nothing but itself",
            lambda: keeps_mistakes(_pgd),
        ),
    )


def random_noise_checks() -> tuple[Check, ...]:
    """Return the checks of ``random-noise``."""
    return (
        Check(
            "random noise stays far from the worst margin of a linear model",
            "a control that finds the worst case knows something of the model",
            noise_knows_nothing,
        ),
        Check(
            "random noise uses its budget",
            "a control that changes nothing is no floor",
            noise_uses_its_budget,
        ),
    )


def adversarial_training_checks() -> tuple[Check, ...]:
    """Return the checks of ``adversarial-training``."""
    return (
        Check(
            "adversarial training relies on the robust feature where undefended training relies on fragile ones",
            "a defense that leaves robust accuracy where it was does nothing",
            learns_the_robust_feature,
        ),
    )


def robustness_checks() -> tuple[Check, ...]:
    """Return the checks of ``robustness``."""
    return (Check("robustness counts a planted result exactly", "every verdict rests on these counts", counts_exactly),)


def reaches_worst_margin(attack: Attack, *, norm: Norm) -> None:
    """Compare an attack with the closed form on a linear model, at two budgets, box inactive."""
    model, schema = planted.linear_victim(features=30, seed=1)
    x = planted.rows_near_the_middle(schema, rows=40, seed=1)
    y = torch.arange(40) % 2
    epsilons = (0.02, 0.1)
    answer = _run(attack, planted.view_of(model, x, y, schema, norm=norm, epsilons=epsilons))
    for epsilon, changed in zip(epsilons, answer.x, strict=True):
        expected = planted.margins(model, x, y) - epsilon * planted.steepness(model, schema, norm=norm)
        _expect_close(planted.margins(model, changed, y), expected, 1e-5, f"worst margin at {norm} {epsilon}")


def follows_the_margins(attack: Attack) -> None:
    """Compare which rows an attack fools with which can be fooled."""
    model, schema = planted.linear_victim(features=30, seed=2)
    x = planted.rows_near_the_middle(schema, rows=300, seed=2)
    y = model(x).argmax(1)
    margin, steepness = planted.margins(model, x, y), planted.steepness(model, schema, norm="linf")
    epsilon = float(margin.median()) / steepness
    answer = _run(attack, planted.view_of(model, x, y, schema, norm="linf", epsilons=(epsilon,)))
    fooled = model(answer.x[0]).argmax(1) != y
    # The median row itself sits on the boundary, where rounding decides.
    clear = (margin - epsilon * steepness).abs() > 1e-4
    expected = margin < epsilon * steepness
    wrong = int((fooled != expected)[clear].sum())
    assert wrong == 0, f"{wrong} of {int(clear.sum())} rows: fooled and can be fooled differ, expected 0"


def keeps_mistakes(attack: Attack) -> None:
    """Attack rows with wrong labels and expect them to stay misclassified."""
    model, schema = planted.linear_victim(features=30, seed=3)
    x = planted.rows_near_the_middle(schema, rows=100, seed=3)
    y = 1 - model(x).argmax(1)
    answer = _run(attack, planted.view_of(model, x, y, schema, norm="linf", epsilons=(0.1,)))
    repaired = int((model(answer.x[0]).argmax(1) == y).sum())
    assert repaired == 0, f"the attack repaired {repaired} of 100 misclassified rows, expected 0"


def noise_knows_nothing() -> None:
    """Compare the margin that noise costs with its distribution on a linear model: mean 0, far from the worst case."""
    model, schema = planted.linear_victim(features=100, seed=4)
    x = planted.rows_near_the_middle(schema, rows=400, seed=4)
    y = torch.arange(400) % 2
    answer = _run(_noise, planted.view_of(None, x, y, schema, norm="linf", epsilons=(0.1,)))
    worst = 0.1 * planted.steepness(model, schema, norm="linf")
    spread = 0.1 * planted.steepness(model, schema, norm="l2") / 3**0.5
    lost = planted.margins(model, x, y) - planted.margins(model, answer.x[0], y)
    mean, most = float(lost.mean()), float(lost.max())
    assert abs(mean) < 4 * spread / 400**0.5, f"noise costs {mean:.4g} of margin on average, expected 0"
    assert most < worst / 2, f"noise costs up to {most:.4g} of margin, expected below {worst / 2:.4g}"
    ratio = float(lost.std()) / spread
    assert 0.85 < ratio < 1.15, f"the spread of the cost is {ratio:.3f} of that of uniform noise, expected 1"


def noise_uses_its_budget() -> None:
    """Compare the mean distance of noise with that of a point uniform in a ball: d / (d + 1) of the radius."""
    _, schema = planted.linear_victim(features=9, seed=5)
    x = planted.rows_near_the_middle(schema, rows=2000, seed=5)
    high = torch.tensor(schema.feasible.high)
    norms: tuple[tuple[Norm, float], ...] = (("linf", torch.inf), ("l2", 2))
    for norm, order in norms:
        view = planted.view_of(None, x, torch.zeros(2000, dtype=torch.int64), schema, norm=norm, epsilons=(0.2,))
        moved = (_run(_noise, view).x[0] - x) / (2 * high)
        mean = float(torch.linalg.vector_norm(moved, ord=order, dim=1).mean())
        assert abs(mean - 0.18) < 0.003, f"{norm} noise of budget .2: mean distance {mean:.4f}, expected .18"


def learns_the_robust_feature() -> None:
    """Train on one robust and twenty fragile features, with and without the defense, and attack both models."""
    data = planted.robust_and_fragile_features(rows=500, seed=1)
    test = planted.robust_and_fragile_features(rows=300, seed=2)
    plain = planted.linear_training()
    context = TrainingContext(rows=len(data), schema=data.schema, settings=plain.settings)
    params = AdversarialTrainingParams(epsilon=0.05)
    accuracies = []
    for training in (plain, adversarial_training.train(plain, params, context)):
        model = planted.fitted(training, data, seed=1)
        answer = _run(_pgd, planted.view_of(model, test.x, test.y, test.schema, norm="linf", epsilons=(0.05,)))
        accuracies.append(float((model(answer.x[0]).argmax(1) == test.y).float().mean()))
    undefended, defended = accuracies
    assert undefended < 0.3, f"undefended robust accuracy {undefended:.3f}, expected below .3 (the toy is fragile)"
    assert defended > 0.8, f"defended robust accuracy {defended:.3f}, expected above .8 (the robust feature gives .9)"


def counts_exactly() -> None:
    """Compare the metric with counts done by hand, and with a victim that gets nothing right."""
    clean = torch.arange(10) < 8
    robust = torch.stack([torch.arange(10) < 6, torch.arange(10) < 2])
    y = torch.zeros(10, dtype=torch.int64)
    proved = robust & (torch.arange(10) < 1)
    result = EvasionResult(
        epsilons=(0.1, 0.2), primary=1, norm="linf", clean=clean, robust=robust, y=y, certified=proved
    )
    scores = robustness.measure(result, NoParams())
    names = ("clean_accuracy", "robust_accuracy", "success_rate", "certified_accuracy")
    found = tuple(scores[name].estimate for name in names)
    assert found == (0.8, 0.2, 0.75, 0.1), f"clean, robust, success, certified {found}, expected (0.8, 0.2, 0.75, 0.1)"
    nothing = result.model_copy(update={"clean": ~torch.ones(10).bool(), "robust": torch.zeros(2, 10).bool()})
    withheld = robustness.measure(nothing, NoParams())["success_rate"]
    assert hasattr(withheld, "reason"), f"success rate without a correct row is {withheld}, expected to be withheld"


def _pgd(view: EvasionView) -> EvasionAnswer:
    return pgd.attack(view, PgdParams())


def _pgd_to_the_end(view: EvasionView) -> EvasionAnswer:
    return pgd.attack(view, PgdParams(early_stop=False))


def _noise(view: EvasionView) -> EvasionAnswer:
    return random_noise.attack(view, NoParams())


def _run(attack: Attack, view: EvasionView) -> EvasionAnswer:
    with isolated("check"):
        return attack(view)


def _expect_close(found: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    worst = int((found - expected).abs().argmax())
    apart = float((found - expected).abs()[worst])
    assert apart <= tolerance, (
        f"{what}: found {float(found[worst]):.7f}, expected {float(expected[worst]):.7f} in row {worst}"
    )
