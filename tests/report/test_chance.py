"""What the report says of a column whose undefended row shows nothing beyond chance."""

import re

import pytest

from amulet_core.games.table import GAMES
from amulet_core.report.chance import known_by_chance, nothing_found
from amulet_core.report.page import render
from amulet_core.results import Cell, Column, Measured, Row
from amulet_core.scores import Scores, Value, Withheld

SAID = "in row none nothing found beyond chance on {} of {} seeds, each by itself: “no change” means little here"


def column(**changes):
    return Column(
        **{
            "risk": "r", "title": "R", "threat": {}, "primary_metric": "p/m", "primary_value": "v", "primary_label": "v",
            "better": "lower", "margin": 0.03, "chance": 0.5, **changes,
        }
    )  # fmt: skip


def cell(value, *, seed=0, attack="p/a", row="none", control=False):
    measured = (Measured(metric="p/m", scores=Scores(values=(value,))),)
    return Cell(row=row, risk="r", attack=attack, control=control, seed=seed, status="ok", measured=measured)


def between(low, high, null_95=None):
    if low is None:
        return Value(name="v", estimate=high, method="none", n=9, null_95=null_95)
    return Value(name="v", estimate=(low + high) / 2, low=low, high=high, method="t", n=9, null_95=null_95)


WITHIN, BEYOND = between(0.45, 0.55), between(0.52, 0.58)


@pytest.mark.parametrize(
    ("cells", "chance", "said"),
    [
        ([cell(WITHIN, seed=seed) for seed in range(3)], 0.5, SAID.format(3, 3)),
        ([cell(WITHIN), cell(WITHIN, seed=1), cell(BEYOND, seed=2)], 0.5, SAID.format(2, 3)),
        ([cell(WITHIN), cell(BEYOND, seed=1)], 0.5, ""),
        ([cell(WITHIN), cell(BEYOND, attack="p/b")], 0.5, ""),  # one attack that finds something is enough
        ([cell(WITHIN), cell(BEYOND, attack="p/c", control=True), cell(BEYOND, row="placebo")], 0.5, SAID.format(1, 1)),
        ([cell(WITHIN), cell(Withheld(name="v", reason="too few"), attack="p/b")], 0.5, SAID.format(1, 1)),
        ([cell(between(None, 0.5))], 0.5, ""),  # without an interval nobody can tell
        # and of a seed with one such attack neither, though another found nothing
        ([cell(WITHIN), cell(WITHIN, seed=1), cell(between(None, 0.5), seed=1, attack="p/b")], 0.5, SAID.format(1, 1)),
        ([cell(WITHIN)], None, ""),
        ([cell(between(0.1, 0.2, null_95=0.16))], None, SAID.format(1, 1)),  # the null counts, whatever the interval
        ([cell(between(0.0, 0.4, null_95=0.16))], 0.0, ""),
        ([cell(Withheld(name="v", reason="too few"))], 0.5, ""),
        ([], 0.5, ""),
    ],
)
def test_a_column_says_so_where_most_seeds_of_none_show_no_more_than_chance(results, cells, chance, said):
    rows = (Row(label="none", kind="none"), Row(label="placebo", kind="placebo"))
    assert (
        nothing_found(results.model_copy(update={"rows": rows, "cells": tuple(cells)}), column(chance=chance)) == said
    )


@pytest.mark.parametrize(
    ("better", "chance", "low", "high", "nothing"),
    [
        ("lower", 0.5, 0.35, 0.45, True),  # an AUC below a coin's
        ("lower", 0.0, -0.08, -0.02, True),  # imputation does better than the attack
        ("lower", 0.5, 0.5, 0.6, True),
        ("lower", 0.5, 0.51, 0.6, False),
        ("higher", 1.0, 1.2, 1.4, True),  # further from the rows than the class mean
        ("higher", 1.0, 0.7, 1.0, True),
        ("higher", 1.0, 0.7, 0.9, False),
    ],
)
def test_an_attack_that_does_worse_than_chance_found_nothing(results, better, chance, low, high, nothing):
    found = results.model_copy(update={"rows": (Row(label="none", kind="none"),), "cells": (cell(between(low, high)),)})
    said = nothing_found(found, column(better=better, chance=chance))
    assert said == (SAID.format(1, 1) if nothing else "")


def test_the_report_says_at_the_column_and_in_its_square_that_no_change_means_little(results):
    columns = tuple(
        each.model_copy(update={"chance": 0.57}) if each.risk == "membership-inference" else each
        for each in results.columns
    )
    html = render(results.model_copy(update={"columns": columns}))
    assert f"<p><strong>Mind:</strong> {SAID.format(4, 5)}.</p>" in html
    square = 'nothing found beyond chance: <a href="#risk-2">no change means little</a>'
    assert html.count(square) == 1
    known = (
        "What chance alone gives is known for Membership inference (0.570): where the row <em>none</em> shows no more, the "
        "column says so, since a risk that was not there cannot change. It is not known for Evasion, Discriminatory "
        "behavior and Utility."
    )
    assert known in re.sub(r"\\s+", " ", html)
    assert "Mind:" not in render(results)


def test_the_games_say_what_their_primary_value_is_where_there_is_nothing_to_find():
    assert {risk: game.primary.chance for risk, game in GAMES.items() if game.primary.chance is not None} == {
        "unauthorized-model-ownership": 0,  # an independent model is as faithful
        "membership-inference": 0.5,  # the AUC of a coin
        "attribute-inference": 0,  # imputation does as well
        "distribution-inference": 0.5,  # a coin, again
        "data-reconstruction": 1,  # the class mean is as close
    }


def test_columns_whose_metric_has_a_null_are_known_and_those_without_changes_are_left_out(results):
    columns = (column(chance=None), column(risk="s", chance=None, floor=0.05), column(risk="t", title="T", chance=None))
    found = results.model_copy(update={"columns": columns, "cells": (cell(between(0.1, 0.2, null_95=0.1)),)})
    assert known_by_chance(found) == (["R (by permutation)"], ["T"])
