"""From cells to entries: the worst attack counts, controls never do, and nothing is concluded where it must not be."""

from dataclasses import replace
from typing import Any

import pytest

from amulet_core.configuration.reading import resolve
from amulet_core.configuration.request import Request
from amulet_core.discovery.registry import Registry
from amulet_core.matrix.interactions import entries
from amulet_core.results import Cell, Entry, Measured
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.statistics.paired import paired_interval

SEEDS = range(5)


def measured(metric: str, n: int = 1, **values: float | str) -> Measured:
    """What a metric gave; a text is the reason why a value is withheld."""
    return Measured(
        metric=f"builtin/{metric}",
        scores=Scores(
            values=tuple(
                Withheld(name=name, reason=value)
                if isinstance(value, str)
                else Value(name=name, estimate=value, method="planted", n=n)
                for name, value in values.items()
            )
        ),
    )


def utility(row: str, balanced: float = 0.8) -> list[Cell]:
    given = measured("accuracy", accuracy=0.8, balanced_accuracy=balanced)
    return [Cell(row=row, risk="utility", attack="", seed=seed, status="ok", measured=(given,)) for seed in SEEDS]


def auc(row: str, values: list[float], attack: str = "lira", **changes: Any) -> list[Cell]:
    return [
        Cell(
            row=row,
            risk="membership-inference",
            attack=attack,
            seed=seed,
            status="ok",
            measured=(measured("membership", auc=value),),
        ).model_copy(update=changes)
        for seed, value in enumerate(values)
    ]


def robust(row: str, values: list[float], attack: str = "pgd", **changes: Any) -> list[Cell]:
    return [
        Cell(
            row=row,
            risk="evasion",
            attack=attack,
            seed=seed,
            status="ok",
            measured=(measured("robustness", robust_accuracy=value),),
        ).model_copy(update=changes)
        for seed, value in enumerate(values)
    ]


@pytest.fixture
def request_of(registry: Registry, config: Any) -> Any:
    def make(risk: str, **changes: Any) -> Request:
        return resolve(config(defenses=["builtin/dp-sgd"], risks=[risk], seeds=5) | changes, registry)

    return make


def entry(request: Request, cells: list[Cell], row: str, **options: Any) -> Entry:
    risk = request.risks[0].game.risk
    found = entries(request, cells, **{"overlap": 0.0, "classes": 2} | options)
    return next(one for one in found if (one.row, one.risk) == (row, risk))


LOW, HIGH = [0.50, 0.51, 0.50, 0.49, 0.50], [0.70, 0.71, 0.69, 0.70, 0.70]


def baseline(values: list[float]) -> list[Cell]:
    return [*auc("none", values), *utility("none"), *utility("dp-sgd")]


def test_the_difference_is_the_defended_value_minus_the_undefended_one(request_of: Any) -> None:
    found = entry(request_of("membership-inference"), [*baseline(HIGH), *auc("dp-sgd", LOW)], "dp-sgd")
    assert found.effect is not None
    assert found.effect.difference == pytest.approx(-0.2)
    assert found.effect.verdict == "risk down"
    assert found.mean == pytest.approx(0.5)


def test_a_higher_value_of_what_the_defender_wants_is_risk_down(request_of: Any) -> None:
    cells = [*robust("none", LOW), *robust("dp-sgd", HIGH), *utility("none"), *utility("dp-sgd")]
    found = entry(request_of("evasion"), cells, "dp-sgd")
    assert found.effect is not None
    assert found.effect.verdict == "risk down"


def test_the_worst_attack_counts_on_every_seed(request_of: Any) -> None:
    other = [0.6, 0.4, 0.6, 0.4, 0.6]
    cells = [*baseline(HIGH), *auc("none", LOW, attack="rmia"), *auc("dp-sgd", LOW), *auc("dp-sgd", other, "rmia")]
    found = entry(request_of("membership-inference"), cells, "dp-sgd")
    assert [value for _, value in found.values] == [0.6, 0.51, 0.6, 0.49, 0.6]


def test_the_worst_attack_leaves_the_lowest_robust_accuracy(request_of: Any) -> None:
    other = [0.6, 0.4, 0.6, 0.4, 0.6]
    cells = [*robust("none", HIGH), *robust("none", HIGH, attack="fgsm"), *utility("none"), *utility("dp-sgd")]
    cells += [*robust("dp-sgd", LOW), *robust("dp-sgd", other, attack="fgsm")]
    found = entry(request_of("evasion"), cells, "dp-sgd")
    assert [value for _, value in found.values] == [0.5, 0.4, 0.5, 0.4, 0.5]


LEFT_OUT = 'the change leaves out what has no value in the row "none": rmia'


@pytest.mark.parametrize(
    ("row", "verdict", "reason"),
    [
        (LOW, "blocked", f"a warning stands against it: {LEFT_OUT}"),  # the second attack may tell more, and does
        ([value + 0.2 for value in LOW], "risk up", ""),
    ],
)
def test_the_worst_of_more_attacks_is_not_compared_with_that_of_fewer(
    request_of: Any, row: list[float], verdict: str, reason: str
) -> None:
    """The undefended row met one attack, the other two: the larger of two values is larger by chance alone."""
    skipped = auc("none", HIGH, attack="rmia", status="skipped", reason="it reads explanations", measured=())
    cells = [*baseline(LOW), *skipped, *auc("dp-sgd", row), *auc("dp-sgd", HIGH, attack="rmia")]
    found = entry(request_of("membership-inference"), cells, "dp-sgd")
    assert found.effect is not None
    assert found.effect.difference == pytest.approx(sum(row) / 5 - 0.5)
    assert (found.values, found.warnings) == (tuple(enumerate(row)), (LEFT_OUT,))
    assert (found.effect.verdict, found.effect.verdict_reason) == (verdict, reason)


@pytest.mark.parametrize("more", [False, True])
def test_results_joined_over_more_attacks_than_none_met_are_not_compared(request_of: Any, more: bool) -> None:
    """Where a row met a third attack its worst case is of three: then the worst of two counts, in both rows."""
    cells = [*utility("none"), *utility("dp-sgd")]
    for row in ("none", "dp-sgd"):
        cells += [*robust(row, HIGH), *robust(row, [0.65] * 5, attack="fgsm")]
        cells += robust(row, [0.3] * 5, attack="worst case")
    cells += robust("dp-sgd", [0.4] * 5, attack="third") if more else []
    values = {row: dict(entry(request_of("evasion"), cells, row).values) for row in ("none", "dp-sgd")}
    assert values["none"] == values["dp-sgd"] == dict.fromkeys(SEEDS, 0.65 if more else 0.3)


def test_where_none_met_no_attack_a_rows_values_are_shown_all_the_same(request_of: Any) -> None:
    cells = [*utility("none"), *auc("dp-sgd", LOW), *auc("dp-sgd", HIGH, attack="rmia"), *utility("dp-sgd")]
    found = entry(request_of("membership-inference"), cells, "dp-sgd")
    assert (found.values, found.warnings) == (tuple(enumerate(HIGH)), ())
    assert found.missing == 'nothing to compare with: the row "none" has no value for the same seeds'


@pytest.mark.parametrize("status", ["failed", "skipped"])
def test_a_row_is_compared_only_where_it_met_every_attack_that_the_undefended_row_met(
    request_of: Any, status: str
) -> None:
    """The defended row met rmia on two seeds only; without rmia its worst looks better than it is."""
    rmia = auc("dp-sgd", HIGH, attack="rmia")
    spared = [cell.model_copy(update={"status": status, "reason": "so", "measured": ()}) for cell in rmia[:3]]
    cells = [*baseline(LOW), *auc("none", HIGH, attack="rmia"), *auc("dp-sgd", LOW), *spared, *rmia[3:]]
    found = entry(request_of("membership-inference"), cells, "dp-sgd")
    assert [seed for seed, _ in found.values] == [3, 4]
    assert found.effect is not None
    assert found.effect.verdict == "too few seeds"


def test_a_constant_model_on_some_seeds_blocks_the_verdict_that_risk_went_down(request_of: Any) -> None:
    mixed = [*utility("dp-sgd")[:3], *utility("dp-sgd", balanced=0.5)[3:]]
    cells = [*auc("none", HIGH), *auc("dp-sgd", LOW), *utility("none"), *mixed]
    found = entry(request_of("membership-inference"), cells, "dp-sgd")
    assert found.warnings == ("balanced accuracy is near chance (0.500) on 2 of 5 seeds",)
    assert found.effect is not None
    assert found.effect.verdict == "blocked"


def test_constant_models_on_half_of_the_seeds_are_degenerate(request_of: Any) -> None:
    half = [*utility("dp-sgd")[:2], *utility("dp-sgd", balanced=0.5)[2:4]]
    cells = [*auc("none", HIGH[:4]), *auc("dp-sgd", LOW[:4]), *utility("none")[:4], *half]
    found = entry(request_of("membership-inference"), cells, "dp-sgd")
    assert (found.warnings, found.degenerate) == (
        (),
        "balanced accuracy is near chance (0.500) on 2 of 4 seeds: a model that knows nothing has nothing to lose",
    )


def test_without_utility_nothing_is_concluded(request_of: Any) -> None:
    found = entry(
        request_of("membership-inference"), [*auc("none", HIGH), *auc("dp-sgd", LOW), *utility("none")], "dp-sgd"
    )
    assert found.effect is not None
    assert found.effect.verdict == "degenerate"
    assert found.degenerate == "balanced accuracy was not measured: whether the models know anything is unknown"


def test_chance_depends_on_the_number_of_classes(request_of: Any) -> None:
    cells = [*auc("none", HIGH), *auc("dp-sgd", LOW), *utility("none"), *utility("dp-sgd", balanced=0.3)]
    assert not entry(request_of("membership-inference"), cells, "dp-sgd", classes=10).degenerate
    assert entry(request_of("membership-inference"), cells, "dp-sgd", classes=2).degenerate


def test_a_control_on_membership_blocks_nothing(request_of: Any) -> None:
    """Random scores beat an attack at chance every second time."""
    scores = auc("dp-sgd", [0.6] * 5, attack="random-score", control=True)
    found = entry(request_of("membership-inference"), [*baseline(HIGH), *auc("dp-sgd", LOW), *scores], "dp-sgd")
    assert found.effect is not None
    assert (found.effect.verdict, found.warnings) == ("risk down", ())


@pytest.mark.parametrize(("seeds", "blocked"), [(2, False), (3, True)])
def test_a_control_must_win_on_most_seeds_to_block(request_of: Any, seeds: int, blocked: bool) -> None:
    values = [value - 0.1 if seed < seeds else value + 0.1 for seed, value in enumerate(HIGH)]
    noise = robust("dp-sgd", values, attack="random-noise", control=True)
    cells = [*robust("none", LOW), *robust("dp-sgd", HIGH), *noise, *utility("none"), *utility("dp-sgd")]
    found = entry(request_of("evasion"), cells, "dp-sgd")
    assert found.effect is not None
    assert (found.effect.verdict == "blocked") == blocked


def test_a_control_never_counts(request_of: Any) -> None:
    cells = [*baseline(HIGH), *auc("dp-sgd", LOW), *auc("dp-sgd", [0.99] * 5, attack="random-score", control=True)]
    found = entry(request_of("membership-inference"), cells, "dp-sgd")
    assert [value for _, value in found.values] == LOW


def test_a_seed_on_which_an_attack_failed_has_no_value(request_of: Any) -> None:
    failed = auc("dp-sgd", LOW, attack="rmia")[2].model_copy(
        update={"status": "failed", "reason": "it broke", "measured": ()}
    )
    found = entry(request_of("membership-inference"), [*baseline(HIGH), *auc("dp-sgd", LOW), failed], "dp-sgd")
    assert [seed for seed, _ in found.values] == [0, 1, 3, 4]
    assert found.effect is not None
    assert (found.effect.verdict, found.effect.seeds) == ("too few seeds", 4)


def test_a_seed_on_which_a_control_failed_keeps_its_value(request_of: Any) -> None:
    failed = auc("dp-sgd", LOW, "random-score", control=True, status="failed", reason="it broke", measured=())
    found = entry(request_of("membership-inference"), [*baseline(HIGH), *auc("dp-sgd", LOW), *failed], "dp-sgd")
    assert found.values == tuple(enumerate(LOW))


def test_a_control_that_wins_on_half_of_the_seeds_is_no_warning(request_of: Any) -> None:
    noise = robust("dp-sgd", [0.1, 0.1, 0.9, 0.9], attack="random-noise", control=True)
    cells = [*robust("none", LOW), *robust("dp-sgd", HIGH), *noise, *utility("none"), *utility("dp-sgd")]
    assert entry(request_of("evasion"), cells, "dp-sgd").warnings == ()


def test_models_near_chance_on_some_seeds_are_no_warning_of_utility_itself(request_of: Any) -> None:
    cells = [*auc("none", HIGH), *auc("dp-sgd", LOW), *utility("none"), *utility("dp-sgd")[:3]]
    cells += utility("dp-sgd", balanced=0.5)[3:]
    found = {one.risk: one for one in entries(request_of("membership-inference"), cells, overlap=0.0, classes=2)}
    assert (bool(found["membership-inference"].warnings), found["utility"].warnings) == (True, ())


def test_differences_are_paired_by_seed(request_of: Any) -> None:
    """A shift of exactly .1 on every seed has no variance, however much the seeds differ from each other."""
    values = [0.5, 0.9, 0.6, 0.7, 0.8]
    cells = [*baseline(values), *auc("dp-sgd", [value - 0.1 for value in values])]
    found = entry(request_of("membership-inference"), cells, "dp-sgd")
    assert found.effect is not None
    assert found.effect.low == pytest.approx(found.effect.high, abs=1e-9)
    assert found.effect.verdict == "risk down"


def test_overlapping_rows_widen_the_interval_by_nadeau_and_bengio(request_of: Any) -> None:
    cells = [*baseline(HIGH), *auc("dp-sgd", [0.55, 0.45, 0.5, 0.6, 0.4])]
    widths = []
    for overlap in (0.0, 1.0):
        effect = entry(request_of("membership-inference"), cells, "dp-sgd", overlap=overlap).effect
        assert effect is not None
        assert effect.low is not None
        assert effect.high is not None
        widths.append(effect.high - effect.low)
    assert widths[1] / widths[0] == pytest.approx(((1 / 5 + 1) / (1 / 5)) ** 0.5)


def test_a_model_near_chance_is_degenerate_and_gets_no_verdict_but_for_utility(request_of: Any) -> None:
    cells = [*auc("none", HIGH), *auc("dp-sgd", LOW), *utility("none"), *utility("dp-sgd", balanced=0.52)]
    request = request_of("membership-inference")
    found = entry(request, cells, "dp-sgd")
    assert found.effect is not None
    assert found.effect.verdict == "degenerate"
    assert found.degenerate == (
        "balanced accuracy is near chance (0.500) on 5 of 5 seeds: a model that knows nothing has nothing to lose"
    )
    everywhere = entries(request, cells, overlap=0.0, classes=2)
    (own,) = [one for one in everywhere if (one.row, one.risk) == ("dp-sgd", "utility")]
    assert own.effect is not None
    assert own.effect.verdict == "no change"


def test_a_warning_blocks_the_verdict_that_risk_went_down(request_of: Any) -> None:
    defended = robust("dp-sgd", HIGH, warnings=("the gradient is zero for 60 of 100 rows",))
    cells = [*robust("none", LOW), *defended, *utility("none"), *utility("dp-sgd")]
    found = entry(request_of("evasion"), cells, "dp-sgd")
    assert found.effect is not None
    assert found.effect.verdict == "blocked"
    assert found.effect.verdict_reason == "a warning stands against it: the gradient is zero for 60 of 100 rows"


MASKED = ("the gradient is zero for 60 of 100 rows",)
OF_ROW, OF_NONE = (
    f"a warning stands against {whose}: {MASKED[0]}" for whose in ("it", 'the row "none", which it is compared with')
)


@pytest.mark.parametrize(
    ("none", "row", "own", "of_none", "reason"),
    [
        (LOW, HIGH, (), MASKED, ""),  # none may be worse than it looks: what the defense does is the larger
        (HIGH, LOW, (), MASKED, OF_NONE),
        (HIGH, LOW, MASKED, (), ""),  # a row that may be worse than it looks, and looks worse
        (HIGH, HIGH, MASKED, (), OF_ROW),
        (HIGH, HIGH, (), MASKED, OF_NONE),
        (HIGH, HIGH, MASKED, MASKED, OF_ROW),
        (HIGH, [0.2, 0.9, 0.4, 0.8, 0.5], MASKED, MASKED, ""),  # inconclusive: there is nothing to block
    ],
)
def test_what_is_warned_of_may_be_worse_than_it_looks_and_never_better(
    request_of: Any,
    none: list[float],
    row: list[float],
    own: tuple[str, ...],
    of_none: tuple[str, ...],
    reason: str,
) -> None:
    cells = [*utility("none"), *utility("dp-sgd"), *robust("none", none, warnings=of_none)]
    found = entry(request_of("evasion"), [*cells, *robust("dp-sgd", row, warnings=own)], "dp-sgd")
    assert found.effect is not None
    assert (found.effect.verdict == "blocked", found.effect.verdict_reason) == (bool(reason), reason)


def test_a_control_that_does_as_well_as_the_attacks_on_none_is_a_warning_of_none_that_blocks_risk_up(
    request_of: Any,
) -> None:
    noise = robust("none", [value - 0.1 for value in HIGH], attack="random-noise", control=True)
    cells = [*robust("none", HIGH), *noise, *robust("dp-sgd", LOW), *utility("none"), *utility("dp-sgd")]
    own, none = (entry(request_of("evasion"), cells, row) for row in ("dp-sgd", "none"))
    told = "the control does more harm than the attacks on 5 of 5 seeds: gradients may be masked"
    assert (own.warnings, none.warnings) == ((), (told,))
    assert own.effect is not None
    assert (own.effect.verdict, own.effect.verdict_reason) == (
        "blocked",
        f'a warning stands against the row "none", which it is compared with: {told}',
    )


def test_undefended_models_near_chance_on_some_seeds_block_risk_up(request_of: Any) -> None:
    mixed = [*utility("none", balanced=0.5)[:2], *utility("none")[2:]]
    found = entry(
        request_of("membership-inference"),
        [*auc("none", LOW), *auc("dp-sgd", HIGH), *mixed, *utility("dp-sgd")],
        "dp-sgd",
    )
    assert found.effect is not None
    assert found.effect.verdict_reason == (
        'a warning stands against the row "none", which it is compared with: '
        "balanced accuracy is near chance (0.500) on 2 of 5 seeds"
    )


def test_a_control_that_does_more_harm_than_the_attacks_blocks_the_verdict_too(request_of: Any) -> None:
    noise = robust("dp-sgd", [value - 0.1 for value in HIGH], attack="random-noise", control=True)
    cells = [*robust("none", LOW), *robust("dp-sgd", HIGH), *noise, *utility("none"), *utility("dp-sgd")]
    found = entry(request_of("evasion"), cells, "dp-sgd")
    assert found.effect is not None
    assert found.effect.verdict == "blocked"
    assert found.warnings == ("the control does more harm than the attacks on 5 of 5 seeds: gradients may be masked",)


def test_the_published_expectation_stands_beside_the_measurement(request_of: Any) -> None:
    found = entry(request_of("membership-inference"), [*baseline(HIGH), *auc("dp-sgd", LOW)], "dp-sgd")
    (expected,) = found.expected
    assert (expected.effect, expected.defense, expected.first_time) == ("decrease", "differential privacy", False)


def test_what_could_not_be_measured_says_why(request_of: Any) -> None:
    skipped = [
        Cell(row="dp-sgd", risk="membership-inference", attack="lira", seed=s, status="skipped", reason="labels only")
        for s in SEEDS
    ]
    request = request_of("membership-inference")
    assert entry(request, [*baseline(HIGH), *skipped], "dp-sgd").missing == "skipped: labels only"
    assert entry(request, baseline(HIGH), "dp-sgd").missing == "not measured: the run ended before"
    control = auc("dp-sgd", LOW, attack="random-score", control=True)
    assert entry(request, [*baseline(HIGH), *control], "dp-sgd").missing == "no attack was asked for, only the control"
    assert entry(request, [*auc("dp-sgd", LOW), *utility("dp-sgd")], "dp-sgd").missing == (
        'nothing to compare with: the row "none" has no value for the same seeds'
    )


def test_a_withheld_primary_value_is_not_filled_in(request_of: Any) -> None:
    withheld = [
        cell.model_copy(update={"measured": (measured("membership", auc="too few rows"),)})
        for cell in auc("dp-sgd", LOW)
    ]
    found = entry(request_of("membership-inference"), [*baseline(HIGH), *withheld], "dp-sgd")
    assert (found.values, found.mean, found.effect) == ((), None, None)
    assert found.missing == "withheld: too few rows"


def test_nothing_is_concluded_from_an_undefended_model_that_knows_nothing(request_of: Any) -> None:
    cells = [*auc("none", HIGH), *auc("dp-sgd", LOW), *utility("none", balanced=0.5), *utility("dp-sgd")]
    found = entry(request_of("membership-inference"), cells, "dp-sgd")
    assert found.effect is not None
    assert found.effect.verdict == "degenerate"
    assert found.degenerate == (
        "the undefended model to compare with: balanced accuracy is near chance (0.500) on 5 of 5 seeds: "
        "a model that knows nothing has nothing to lose"
    )


def poisoned(row: str, success: float, balanced: float, **changes: Any) -> list[Cell]:
    """What badnets does, with jitter over the seeds, and the balanced accuracy of the models it poisoned."""
    values = [(seed, success + 0.001 * seed) for seed in SEEDS]
    return [
        Cell(
            row=row,
            risk="poisoning",
            attack="builtin/badnets",
            seed=seed,
            status="ok",
            measured=(measured("poisoning", attack_success_rate=value, balanced_accuracy=balanced),),
        ).model_copy(update=changes)
        for seed, value in values
    ]


def told_apart(row: str, accuracy: float, balanced: float, **changes: Any) -> list[Cell]:
    """How well the KL test tells populations apart, with jitter over the seeds, and their balanced accuracy."""
    values = [(seed, accuracy + 0.001 * seed) for seed in SEEDS]
    return [
        Cell(
            row=row,
            risk="distribution-inference",
            attack="builtin/kl-test",
            seed=seed,
            status="ok",
            measured=(measured("distinguishing", accuracy=value, balanced_accuracy=balanced),),
        ).model_copy(update=changes)
        for seed, value in values
    ]


CLEAN = [*utility("none"), *utility("dp-sgd")]
COLLAPSED = (
    "balanced accuracy of the poisoned models is near chance (0.500) on 5 of 5 seeds: "
    "a model that knows nothing has nothing to lose"
)
OWN_MODELS = {
    "poisoning": (poisoned, COLLAPSED),
    "distribution-inference": (told_apart, COLLAPSED.replace("poisoned models", "populations' victims")),
}


@pytest.mark.parametrize("risk", OWN_MODELS)
@pytest.mark.parametrize(
    ("none", "defended", "degenerate"),
    [(0.8, 0.5, "{}"), (0.5, 0.8, "the undefended model to compare with: {}"), (0.8, 0.8, "")],
)
def test_a_game_that_trains_its_models_is_judged_by_them_however_good_those_of_utility_are(
    request_of: Any, risk: str, none: float, defended: float, degenerate: str
) -> None:
    cells_of, collapsed = OWN_MODELS[risk]
    cells = [*cells_of("none", 0.95, none), *cells_of("dp-sgd", 0.5, defended), *CLEAN]
    found = entry(request_of(risk), cells, "dp-sgd")
    assert found.effect is not None
    verdict = "degenerate" if degenerate else "risk down"
    assert (found.effect.verdict, found.degenerate) == (verdict, degenerate.format(collapsed))


@pytest.mark.parametrize("risk", OWN_MODELS)
def test_constant_models_of_utility_do_not_speak_for_those_that_a_game_trains(request_of: Any, risk: str) -> None:
    cells_of, _ = OWN_MODELS[risk]
    cells = [*cells_of("none", 0.95, 0.8), *cells_of("dp-sgd", 0.0, 0.8), *utility("none"), *utility("dp-sgd", 0.5)]
    assert entry(request_of(risk), cells, "dp-sgd").degenerate == ""


def test_of_the_models_that_several_attacks_poisoned_the_worst_counts(request_of: Any) -> None:
    other = poisoned("dp-sgd", 0.9, 0.8, attack="builtin/blended")
    cells = [*poisoned("none", 0.95, 0.8), *poisoned("dp-sgd", 0.0, 0.5), *other, *CLEAN]
    assert entry(request_of("poisoning"), cells, "dp-sgd").degenerate == COLLAPSED


def test_a_model_whose_attack_has_no_primary_value_is_not_judged(request_of: Any) -> None:
    given = (measured("poisoning", attack_success_rate="it aims at no class", balanced_accuracy=0.5),)
    other = poisoned("dp-sgd", 0.0, 0.5, attack="builtin/label-flip", measured=given)
    cells = [*poisoned("none", 0.95, 0.8), *poisoned("dp-sgd", 0.0, 0.8), *other, *CLEAN]
    assert entry(request_of("poisoning"), cells, "dp-sgd").degenerate == ""


def test_a_few_collapsed_poisoned_models_block_the_verdict_that_risk_went_down(request_of: Any) -> None:
    defended = [*poisoned("dp-sgd", 0.0, 0.5)[:2], *poisoned("dp-sgd", 0.0, 0.8)[2:]]
    found = entry(request_of("poisoning"), [*poisoned("none", 0.95, 0.8), *defended, *CLEAN], "dp-sgd")
    assert found.warnings == ("balanced accuracy of the poisoned models is near chance (0.500) on 2 of 5 seeds",)
    assert found.effect is not None
    assert found.effect.verdict == "blocked"


def test_poisoned_models_whose_balanced_accuracy_is_withheld_tell_nothing(request_of: Any) -> None:
    given = (measured("poisoning", attack_success_rate=0.0, balanced_accuracy="no row is of the class a"),)
    cells = [*poisoned("none", 0.95, 0.8), *poisoned("dp-sgd", 0.0, 0.8, measured=given), *CLEAN]
    assert entry(request_of("poisoning"), cells, "dp-sgd").degenerate == (
        "balanced accuracy of the poisoned models was not measured: whether the models know anything is unknown"
    )


def test_a_row_whose_models_were_never_poisoned_is_missing_and_not_degenerate(request_of: Any) -> None:
    skipped = poisoned("dp-sgd", 0.0, 0.8, status="skipped", reason="labels only", measured=())
    found = entry(request_of("poisoning"), [*poisoned("none", 0.95, 0.8), *skipped, *CLEAN], "dp-sgd")
    assert (found.missing, found.degenerate) == ("skipped: labels only", "")


@pytest.fixture
def floored(request_of: Any) -> Request:
    """A request whose first column has a floor: its value exists only for rows with the defense."""
    request = request_of("membership-inference", defenses=["builtin/dp-sgd", "keep"])
    risk = request.risks[0]
    primary = risk.game.primary.model_copy(update={"floor": 0.05, "better": "higher"})
    own = replace(risk, game=risk.game.model_copy(update={"primary": primary}))
    return replace(request, risks=(own, *request.risks[1:]))


def skipped(row: str) -> list[Cell]:
    changes: dict[str, Any] = {"status": "skipped", "reason": "nothing to verify", "measured": ()}
    return auc(row, HIGH, attack="pool", **changes)


def alone(request: Request, *cells: list[Cell], row: str = "dp-sgd", overlap: float = 0.0, **balanced: float) -> Entry:
    models = [cell for each in ("none", "dp-sgd", "keep") for cell in utility(each, balanced.get(each[:2], 0.8))]
    return entry(
        request, [*skipped("none"), *(cell for given in cells for cell in given), *models], row, overlap=overlap
    )


@pytest.mark.parametrize("overlap", [0.0, 1.0])
def test_without_a_value_of_none_the_value_itself_stands_with_its_interval(floored: Request, overlap: float) -> None:
    found = alone(floored, auc("dp-sgd", HIGH, attack="pool"), overlap=overlap)
    interval = paired_interval(HIGH, overlap=overlap)
    assert (found.mean, found.low, found.high) == pytest.approx((interval.estimate, interval.low, interval.high))
    assert found.values == tuple(enumerate(HIGH))
    assert (found.effect, found.inapplicable, found.degenerate) == (None, False, "")
    assert found.missing == "no value without the defense: the value itself is shown, and no verdict of a change"


def test_a_row_without_the_defense_says_that_it_has_no_such_value(floored: Request) -> None:
    for row in ("none", "keep"):
        found = alone(floored, auc("dp-sgd", HIGH, attack="pool"), skipped("keep"), row=row)
        assert (found.mean, found.low, found.effect, found.inapplicable) == (None, None, None, True)
        assert found.missing == "skipped: nothing to verify"


def test_a_control_that_was_played_gives_a_row_without_the_defense_no_such_value(floored: Request) -> None:
    control = auc("keep", LOW, attack="random-score", control=True)
    found = alone(floored, auc("dp-sgd", HIGH, attack="pool"), skipped("keep"), control, row="keep")
    assert (found.inapplicable, found.missing) == (True, "skipped: nothing to verify")


def test_a_row_whose_cells_failed_is_missing_and_not_without_such_a_value(floored: Request) -> None:
    failed = [
        *skipped("dp-sgd")[1:],
        *auc("dp-sgd", [0.1], attack="pool", status="failed", reason="it broke", measured=()),
    ]
    found = alone(floored, failed)
    assert (found.inapplicable, found.missing) == (False, "skipped: nothing to verify; failed: it broke")


def test_one_value_alone_has_no_interval(floored: Request) -> None:
    found = alone(floored, auc("dp-sgd", HIGH[:1], attack="pool"))
    assert (found.mean, found.low, found.high) == (0.7, None, None)


def test_only_the_rows_own_models_make_such_a_value_degenerate(floored: Request) -> None:
    own, other = (alone(floored, auc("dp-sgd", HIGH, attack="pool"), **{row: 0.5}) for row in ("dp", "no"))
    assert own.degenerate.startswith("balanced accuracy is near chance (0.500) on 5 of 5 seeds")
    assert other.degenerate == ""


def test_a_seed_that_lacks_an_attack_that_another_row_met_has_no_value(floored: Request) -> None:
    cells = auc("dp-sgd", HIGH, attack="pool"), auc("dp-sgd", LOW[:4], attack="second"), skipped("keep")
    assert alone(floored, *cells).values == tuple(enumerate(LOW[:4]))


def claimed(row: str, values: list[float], n: int = 10) -> list[Cell]:
    """What an owner's test finds: the share of n derived models that are claimed."""
    return [
        Cell(
            row=row,
            risk="ownership-verification",
            attack="all suspects",
            seed=seed,
            status="ok",
            measured=(measured("verification", n, true_positive_rate=value),),
        )
        for seed, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("values", "beyond"), [([1.0, 1.0, 0.9, 1.0, 0.8], (False, True)), ([0.0, 0.1, 0.0, 0.3, 0.0], (True, False))]
)
def test_the_interval_of_a_share_ends_where_shares_end(
    request_of: Any, values: list[float], beyond: tuple[bool, bool]
) -> None:
    request = request_of("ownership-verification", defenses=["builtin/watermark"])
    found = entry(request, [*claimed("watermark", values), *utility("none"), *utility("watermark")], "watermark")
    whole = paired_interval(values)
    assert (whole.low < 0, whole.high > 1) == beyond
    assert (found.low, found.high) == (max(0.0, whole.low), min(1.0, whole.high))


@pytest.mark.parametrize(
    ("share", "low", "high"),
    [
        (1.0, 0.025 ** (1 / 30), 1.0),  # Clopper & Pearson's limits in closed form, of 30 of 30
        (0.0, 0.0, 1 - 0.025 ** (1 / 30)),
    ],
)
def test_shares_that_are_alike_on_all_seeds_are_no_surer_than_their_counts_together(
    request_of: Any, share: float, low: float, high: float
) -> None:
    cells = [*claimed("watermark", [share] * 5, 6), *utility("none"), *utility("watermark")]
    found = entry(request_of("ownership-verification", defenses=["builtin/watermark"]), cells, "watermark")
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.n == 6


def test_an_entry_says_how_many_its_values_rest_on_at_least(request_of: Any) -> None:
    few = [measured("membership", 40, auc=0.6), measured("membership", 30, auc=0.7)]
    cells = [cell for one in few for cell in auc("dp-sgd", [0.0], measured=(one,), seed=few.index(one))]
    found = entry(request_of("membership-inference"), [*baseline(HIGH), *cells], "dp-sgd")
    assert (found.values, found.n) == (((0, 0.6), (1, 0.7)), 30)


def test_the_interval_of_a_change_of_shares_is_not_cut(request_of: Any) -> None:
    none, other = [0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.4, 1.0, 1.0]
    cells = [*robust("none", none), *robust("dp-sgd", other), *utility("none"), *utility("dp-sgd")]
    found = entry(request_of("evasion"), cells, "dp-sgd").effect
    assert found is not None
    assert found.high is not None
    assert found.high > 1
