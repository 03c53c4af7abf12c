"""Known-answer checks of the metrics of model ownership."""

import torch

from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.games.theft import TheftResult
from amulet_core.games.verification import VerificationResult
from amulet_core.scores import Scores, Withheld
from amulet_plugins_builtin.ownership import extraction, verification


def extraction_checks() -> tuple[Check, ...]:
    """Return the checks of ``extraction``."""
    return (
        Check("it counts a planted theft exactly", "every verdict rests on these counts", counts_a_theft),
        Check(
            "the control gains nothing over itself, and without a control nothing is gained",
            "a gain over nothing would count what every model of the task agrees on",
            gains_nothing_over_itself,
        ),
    )


def verification_checks() -> tuple[Check, ...]:
    """Return the checks of ``verification``."""
    return (
        Check("it counts planted suspects exactly", "every verdict rests on these counts", counts_suspects),
        Check(
            "where the pool is too small for the false positive rate nothing is claimed or missed",
            "no score is evidence if no p-value can be small enough",
            withholds_without_a_pool,
        ),
        Check(
            "independent models with low p-values of the method's own are counted as false claims",
            "dataset inference condemns independent models: one p-value is no evidence",
            counts_false_claims,
        ),
    )


def counts_a_theft() -> None:
    """Compare with counts done by hand."""
    scores = extraction.measure(theft(), NoParams())
    # The stolen model agrees with the victim on 8 of 10 rows, the independent one on 5 of them.
    expected = {
        "fidelity_gain": 0.3,
        "fidelity": 0.8,
        "stolen_accuracy": 0.7,
        "victim_accuracy": 0.9,
        "independent_fidelity": 0.5,
        "queries": 100.0,
    }
    _expect(scores, expected)
    curve = [(point["budget"], point["fidelity"]) for point in scores.details["fidelity_by_budget"]]  # type: ignore[union-attr,index,call-overload]
    assert curve == [(10, 0.4), (100, 0.8)], f"fidelity by budget is {curve}, by hand it is (10, .4), (100, .8)"


def gains_nothing_over_itself() -> None:
    """Measure the control as a thief, and a theft without a control."""
    control = theft().independent
    own = extraction.measure(theft(stolen=torch.stack([control, control])), NoParams())
    _expect(own, {"fidelity_gain": 0.0, "fidelity": 0.5})
    bare = extraction.measure(theft(independent=control[:0]), NoParams())
    found = [value.name for value in bare.values if isinstance(value, Withheld)]
    expected = ["fidelity_gain", "independent_fidelity"]
    assert found == expected, f"{found} are withheld, expected {expected}"


def counts_suspects() -> None:
    """Compare with counts done by hand: 19 independent models with the scores 0 .. 18."""
    scores = verification.measure(suspects(), NoParams())
    rates = {"true_positive_rate": 0.5, "retrained_claimed": 0.0}
    _expect(scores, {**rates, "accuracy_of_derived": 0.7, "accuracy_of_independent": 0.6})
    p = [one["p"] for one in scores.details["suspects"]]  # type: ignore[union-attr,index,call-overload]
    # A score as high as one of the pool's counts as reached: the second suspect is not claimed.
    expected = [1 / 20, 2 / 20, 11 / 20]
    assert p == expected, f"p-values are {p}, by hand they are {expected}"


def withholds_without_a_pool() -> None:
    """Leave one model too few in the pool."""
    scores = verification.measure(suspects(pool=18), NoParams())
    found = [value.name for value in scores.values if isinstance(value, Withheld)]
    expected = ["true_positive_rate", "retrained_claimed", "own_p_false_claims"]
    assert found == expected, f"{found} are withheld, expected {expected}"


def counts_false_claims() -> None:
    """Give three of twenty independent models a small p-value of the method's own."""
    own = torch.tensor([0.5, 0.04, 0.05, 1e-6, *(0.051,) * 16], dtype=torch.float64)
    result = suspects(pool=20).model_copy(update={"null_p": own, "p": torch.full((3,), 0.001, dtype=torch.float64)})
    _expect(verification.measure(result, NoParams()), {"own_p_false_claims": 0.15})


def theft(**changes: object) -> TheftResult:
    """Return a planted theft on ten rows."""
    y = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    victim = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    result = TheftResult(
        budgets=(10, 100),
        primary=1,
        y=y,
        victim=victim,
        stolen=torch.tensor([[1, 1, 1, 1, 0, 0, 1, 1, 1, 1], [1, 1, 0, 0, 1, 1, 1, 1, 1, 1]]),
        independent=torch.tensor([0, 1, 1, 1, 1, 1, 1, 1, 0, 0]),
        queries=(10, 100),
    )
    return TheftResult(**{name: getattr(result, name) for name in TheftResult.model_fields} | changes)


def suspects(*, pool: int = 19) -> VerificationResult:
    """Return two derived suspects, one above all independent models and one as high as the highest, and a third."""
    return VerificationResult(
        names=("a copy", "a copy, pruned", "retrained"),
        derived=torch.tensor([True, True, False]),
        score=torch.tensor([pool - 0.5, pool - 1.0, pool - 10.0], dtype=torch.float64),
        p=None,
        accuracy=torch.tensor([0.9, 0.5, 0.8], dtype=torch.float64),
        null=torch.arange(pool, dtype=torch.float64),
        null_p=None,
        null_accuracy=torch.linspace(0.4, 0.8, pool, dtype=torch.float64),
        defended=torch.arange(pool) % 2 == 0,
        fpr=0.05,
    )


def _expect(scores: Scores, expected: dict[str, float]) -> None:
    found = {
        value.name: None if isinstance(value, Withheld) else round(value.estimate, 9)
        for value in scores.values
        if value.name in expected
    }
    assert found == expected, f"values are {found}, by hand they are {expected}"
