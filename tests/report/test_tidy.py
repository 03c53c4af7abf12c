"""What Python shows of results is judged: changes stand beside their verdicts, and curves are tables too."""

import pandas as pd
import pytest

from amulet_core.errors import RequestError
from amulet_core.games.table import GAMES
from amulet_core.report.words import look
from amulet_core.results import Cell, Effect, Measured, Results
from amulet_core.scores import Scores, Value

BALANCED = {0: 0.5, 1: 0.55, 2: 0.551}
"""Of two classes: at chance, at the limit, and just above it."""


def of_utility(row: str, balanced: float, seed: int) -> Cell:
    return _cell(row, "utility", "accuracy", seed, accuracy=0.8, balanced_accuracy=balanced)


def _cell(row: str, risk: str, metric: str, seed: int, **values: float) -> Cell:
    found = tuple(Value(name=name, estimate=value, method="planted", n=9) for name, value in values.items())
    measured = Measured(metric=f"builtin/{metric}", scores=Scores(values=found))
    return Cell(row=row, risk=risk, attack="", seed=seed, status="ok", measured=(measured,))


def judged(results: Results, row: str, risk: str) -> list[object]:
    frame = results.frame
    lines = frame[(frame.row == row) & (frame.risk == risk)].drop_duplicates("seed")
    return [None if pd.isna(one) else bool(one) for one in lines.sort_values("seed").degenerate]


@pytest.fixture
def planted(results: Results) -> Results:
    """Results whose models have known balanced accuracies on three seeds, and those of poisoning their own."""
    column = results.columns[0].model_copy(update={"risk": "poisoning"})
    cells = [of_utility("dp-sgd", balanced, seed) for seed, balanced in BALANCED.items()]
    cells += [_cell("dp-sgd", "evasion", "robustness", seed, robust_accuracy=1.0) for seed in (0, 1, 2, 3)]
    primary = GAMES["poisoning"].primary.value
    cells += [
        _cell("dp-sgd", "poisoning", "poisoning", seed, **{primary: 0.1, "balanced_accuracy": balanced})
        for seed, balanced in {0: 0.9, 2: 0.5}.items()
    ]
    return results.model_copy(update={"cells": tuple(cells), "columns": (*results.columns, column)})


@pytest.mark.parametrize(
    ("risk", "expected"),
    [
        ("evasion", [True, True, False, None]),  # of seed 3 nobody measured the utility
        ("utility", [True, True, False]),
        ("poisoning", [False, True]),  # its game trains models of its own, and these are judged
    ],
)
def test_a_line_says_whether_the_model_knew_anything_on_that_seed(planted, risk, expected):
    assert judged(planted, "dp-sgd", risk) == expected


def test_results_that_name_no_classes_judge_nothing(planted):
    assert planted.model_copy(update={"data": {}}).frame.degenerate.isna().all()


def test_the_judged_matrix_has_the_verdict_beside_every_change(results):
    changes, verdicts, both = (results.matrix(show=show) for show in ("effect", "verdict", "judged"))
    assert both.isna().equals(changes.isna())
    for row, risk in ((row, risk) for row in both.index for risk in both.columns if not pd.isna(both.loc[row, risk])):
        verdict = verdicts.loc[row, risk]
        word = look(verdict, risk).word
        assert (word == verdict) == (risk != "utility" or not verdict.startswith("risk"))
        assert both.loc[row, risk] == f"{changes.loc[row, risk]:+.3f} {word}"
    assert both.loc["adversarial-training", "utility"].endswith(" utility down")
    (degenerate,) = (entry for entry in results.entries if entry.degenerate)
    assert both.loc[degenerate.row, degenerate.risk].endswith(" degenerate")


def test_interactions_are_a_table_with_verdicts_and_reasons(results):
    table = results.interactions()
    columns = ["row", "kind", "risk", "mean", "change", "low", "high", "p", "p_adjusted", "seeds", "verdict", "reason"]
    assert list(table.columns) == columns
    entries = [entry for entry in results.entries if entry.row != "none"]
    assert len(table) == len(entries)
    for line, entry in zip(table.itertuples(), entries, strict=True):
        effect = entry.effect
        assert (line.row, line.risk) == (entry.row, entry.risk)
        if effect is None:
            assert pd.isna([line.change, line.low, line.high, line.p, line.p_adjusted, line.seeds, line.verdict]).all()
            assert line.reason == entry.missing
            continue
        assert (line.mean, line.change, line.seeds, line.verdict) == (
            entry.mean,
            effect.difference,
            effect.seeds,
            effect.verdict,
        )
        wanted = (effect.low, effect.high, effect.p, effect.p_adjusted)
        found = (line.low, line.high, line.p, line.p_adjusted)
        assert [None if pd.isna(one) else one for one in found] == list(wanted)
    assert set(table.kind) == {"placebo", "defense"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"effect": None, "missing": "skipped: no groups", "degenerate": ""}, "skipped: no groups"),
        ({"effect": None, "missing": "no change here", "degenerate": "near"}, "no change here; near"),
        (
            {
                "effect": Effect(difference=0.2, seeds=5, verdict="degenerate", verdict_reason="near"),
                "degenerate": "near",
            },
            "near",
        ),
        ({"effect": Effect(difference=0.2, seeds=5, verdict="risk up"), "degenerate": ""}, ""),
    ],
)
def test_the_reason_of_an_interaction_is_said_once(results, changes, reason):
    entry = results.entries[-1].model_copy(update=changes)
    (line,) = results.model_copy(update={"entries": (entry,)}).interactions().itertuples()
    assert line.reason == reason


def test_the_security_curve_is_a_table(results):
    table = results.details("accuracy_by_epsilon")
    place = ["row", "kind", "risk", "attack", "control", "seed", "degenerate", "metric"]
    assert list(table.columns) == [*place, "epsilon", "accuracy", "low", "high"]
    cell = next(cell for cell in results.cells if cell.row == "dp-sgd" and cell.risk == "evasion" and cell.seed == 3)
    own = table.query("row == 'dp-sgd' and seed == 3 and attack == @cell.attack")
    assert own[["epsilon", "accuracy", "low", "high"]].to_dict("records") == list(
        cell.measured[0].scores.details["accuracy_by_epsilon"]
    )


@pytest.mark.parametrize(
    ("left", "columns", "values"),
    [
        ("sex", ["value"], [["sex"]]),
        ([0.2, 0.8], ["value"], [[0.2], [0.8]]),
        ([{"kind": "copy", "p": 0.1}], ["what.kind", "p"], [["copy", 0.1]]),
        ([], [], []),
    ],
)
def test_details_of_every_shape_are_lines_and_lose_nothing(results, left, columns, values):
    cell = Cell(
        row="none",
        risk="evasion",
        attack="a",
        seed=0,
        status="ok",
        measured=(Measured(metric="m", scores=Scores(values=(), details={"what": left})),),
    )
    table = results.model_copy(update={"cells": (cell,)}).details("what")
    assert list(table.columns)[8:] == columns
    assert table[columns].values.tolist() == values
    assert set(table.kind) <= {"none"}


def test_details_that_no_metric_left_are_named_with_what_there_is(results):
    with pytest.raises(RequestError) as error:
        results.details("accuracy_by_epsiln")
    assert str(error.value) == (
        'no metric left details called "accuracy_by_epsiln"; did you mean "accuracy_by_epsilon"? There are: '
        "accuracy_by_epsilon, attribute, groups, per_class, positive, roc."
    )
    with pytest.raises(RequestError) as error:
        results.model_copy(update={"cells": ()}).details("roc")
    assert str(error.value) == 'no metric left details called "roc". There are: none.'
