"""Populations: shares and classes exact to a row, nobody's rows another's, and what is impossible said beforehand."""

import random

import pytest
import torch

from amulet_core.configuration.request import DataSettings
from amulet_core.games.threats import DistributionThreat
from amulet_core.performing.ground import Ground
from amulet_core.performing.splits import SplitSizes, blocks
from amulet_core.planning.layout import Layout, Place
from amulet_core.planning.ratios import FEWEST, Population, apportioned, composition, hypotheses, ratio_problems

SIZES = DataSettings(train=800, val=100, test=900, aux=1200)


def threat(**changes):
    return DistributionThreat(**{"attribute": "sex", "value": "f", "ratios": (0.5, 0.2)} | changes)


@pytest.fixture(scope="module")
def ground(rows):
    sizes = SplitSizes(**SIZES.model_dump(exclude={"design"}))
    drawn = blocks(rows, sizes=sizes, blocks=2, seed=0) if len(rows) > 2 * sizes.block else None
    return Ground(rows, drawn or blocks(rows, sizes=sizes, blocks=1, seed=0), (), root_seed=0)


@pytest.fixture(scope="module")
def told(facts):
    return hypotheses(threat(), facts, SIZES)


@pytest.fixture(scope="module")
def places(told):
    layout = Layout("crossed", 2, 0)
    return {
        (seed, side): layout.populations(seed, told, side=side, models=3)
        for seed in (0, 1)
        for side in ("victims", "adversary")
    }


@pytest.mark.parametrize(
    ("total", "weights", "expected"),
    [(10, [1, 1, 2], [3, 2, 5]), (7, [0, 3, 4], [0, 3, 4]), (1, [5, 5], [1, 0]), (0, [2, 3], [0, 0])],
)
def test_rows_are_shared_out_by_largest_remainders(total, weights, expected):
    assert apportioned(total, weights) == expected


@pytest.mark.parametrize("rows", [20, 37, 400, 1001])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.93])
def test_a_composition_has_the_share_in_all_and_in_each_class_to_a_row_and_the_classes_of_every_other(rows, share):
    classes, having = [501, 300, 199], round(share * rows)
    found = composition(rows, having, classes)
    assert sum(a + b for a, b in found) == rows
    assert sum(a for a, _ in found) == having
    assert all(abs(a - (a + b) * having / rows) < 1 for a, b in found)
    assert [a + b for a, b in found] == [a + b for a, b in composition(rows, 0, classes)]


def test_a_population_is_the_word_that_stands_for_it_and_back():
    population = Population("adversary", 1, 2, 30, 100)
    assert Population.of(population.text) == population
    place = Place(0, 5, population.text)
    assert Place.of([str(part) for part in place.key]) == place
    assert place.population == population
    assert (Place(0, 5).population, Place(0, 5, "aux").population) == (None, None)


def test_facts_count_the_rows_by_class_and_value(rows, facts):
    for column, attribute in enumerate(rows.schema.sensitive):
        for label in range(3):
            counted = [
                int(((rows.y == label) & (rows.z[:, column] == value)).sum())
                for value in range(len(attribute.categories))
            ]
            assert list(facts.cells[column][label]) == counted


def test_every_model_has_exactly_the_share_of_its_hypothesis_and_the_classes_of_all_others(ground, places, told):
    counts = set()
    for of_side in places.values():
        for place in of_side:
            drawn = ground.training_rows(place)
            assert len(drawn.id.unique()) == len(drawn) == told.rows
            assert int((drawn.z[:, 1] == 0).sum()) == place.population.having
            counts.add(tuple(drawn.y.bincount(minlength=3).tolist()))
        assert [place.population.having for place in of_side] == [told.having[0]] * 3 + [told.having[1]] * 3
    assert len(counts) == 1
    expected = told.rows * ground.data.y.bincount() / len(ground.data)
    assert (torch.tensor(next(iter(counts))) - expected).abs().max() < 1
    assert told.having == (round(0.5 * told.rows + 1e-9), round(0.2 * told.rows))


def test_nothing_but_the_share_differs_within_a_class(ground, places):
    for place in places[0, "victims"]:
        drawn = ground.training_rows(place)
        for label in range(3):
            of_class = drawn.z[drawn.y == label, 1] == 0
            share = place.population.having / place.population.rows
            assert abs(float(of_class.double().sum()) - share * len(of_class)) < 1


def test_every_model_of_either_side_and_every_seed_has_a_draw_of_its_own(ground, places):
    drawn = [tuple(ground.training_rows(place).id.tolist()) for of_side in places.values() for place in of_side]
    assert len(set(drawn)) == len(drawn) == 24
    every = [place for of_side in places.values() for place in of_side]
    assert drawn[0] == tuple(ground.training_rows(every[0]).id.tolist())


def test_victims_the_adversary_s_models_and_queries_share_no_row(ground, places, told):
    parts = {
        side: {row for (_, own), some in places.items() if own == side for p in some for row in ids(ground, p)}
        for side in ("victims", "adversary")
    }
    asked = [ground.drawn(told.population("queries", side), 0, ("queries", side)) for side in (0, 1)]
    parts["queries"] = {row for one in asked for row in one.id.tolist()}
    sources = {"victims": ground.blocks[0].pool, "adversary": ground.blocks[0].aux, "queries": ground.blocks[0].test}
    for side, found in parts.items():
        assert found <= set(sources[side].tolist()), side
    assert [int((one.z[:, 1] == 0).sum()) for one in asked] == list(told.queries_having)
    assert {len(one) for one in asked} == {told.queries}


def ids(ground, place):
    return ground.training_rows(place).id.tolist()


@pytest.mark.parametrize("attribute", ["town", "sex"])
@pytest.mark.parametrize("ratios", [(0.5, 0.2), (0.9, 0.1), (0.35, 0.35)])
def test_what_a_plan_promises_every_draw_of_blocks_holds(rows, facts, attribute, ratios):
    """And hardly less than the rows allow: with a quarter more they fall short."""
    asked = threat(attribute=attribute, value="", ratios=ratios)
    found = hypotheses(asked, facts, SIZES)
    assert 100 < found.rows <= SIZES.train
    for seed in range(8):
        drawn = blocks(rows, sizes=SplitSizes(**SIZES.model_dump(exclude={"design"})), blocks=1, seed=seed)
        ground = Ground(rows, drawn, (), root_seed=seed)
        for side in ("victims", "adversary", "queries"):
            for hypothesis in (0, 1):
                ground.drawn(found.population(side, hypothesis), 0, (seed, side))
    if found.rows < SIZES.train:
        more = int(found.rows * 1.25)
        assert any(falls_short(ground, found.column, round(ratio * more), more) for ratio in ratios)


def falls_short(ground, column, having, rows):
    try:
        ground.drawn(Population("adversary", column, 0, having, rows), 0, (0,))
    except ValueError:
        return True
    return False


def layouts(facts, count):
    """Yield facts of random data with one attribute of two values, and sizes of parts and shares to go with them."""
    draw = random.Random(0)
    for _ in range(count):
        cells = tuple((draw.randint(30, 200), draw.randint(30, 200)) for _ in range(draw.choice([2, 3, 4])))
        rows = sum(map(sum, cells))
        sizes = DataSettings(train=draw.randint(30, rows // 4), val=10, test=rows // 3, aux=draw.randint(60, rows // 2))
        ratios = tuple(round(draw.uniform(0.1, 0.9), 1) for _ in range(2))
        asked = threat(attribute="town", value="", ratios=ratios, queries=100)
        yield facts.model_copy(update={"rows": rows, "cells": (cells,)}), sizes, asked


def held(facts, asked, rows, *sizes):
    """Say whether parts are sure to hold so many rows at both shares, by what they hold of each class and kind."""
    cells = facts.cells[0]
    return all(
        wanted <= size * there // facts.rows - 2
        for size in sizes
        for ratio in asked.ratios
        for kinds, counts in zip(
            composition(rows, int(ratio * rows + 0.5), [sum(one) for one in cells]), cells, strict=True
        )
        for wanted, there in zip(kinds, counts, strict=True)
    )


def test_populations_are_the_largest_that_all_parts_hold_and_others_are_refused_just_where_they_are_not(facts):
    """What holds for some number of rows need not hold for a smaller one: each number is tried by itself."""
    gaps = 0
    for changed, sizes, asked in layouts(facts, 120):
        parts = 2 * sizes.train, sizes.aux
        sure = [rows for rows in range(1, sizes.train + 1) if held(changed, asked, rows, *parts)]
        queries = [rows for rows in range(1, 101) if held(changed, asked, rows, sizes.test)]
        if max(sure, default=0) < FEWEST or max(queries, default=0) < FEWEST:
            continue
        found = hypotheses(asked, changed, sizes)
        assert (found.rows, found.queries) == (sure[-1], queries[-1])
        gaps += sure != list(range(1, sure[-1] + 1))
        for rows in range(max(FEWEST, sure[-1] - 8), sure[-1] + 8):
            refused = bool(ratio_problems(asked.model_copy(update={"rows": rows}), changed, sizes))
            assert refused == (rows not in sure), rows
    assert gaps > 10


def test_a_number_between_two_that_hold_is_not_promised(facts):
    """A part of 135 such rows holds 70 and 73 rows of these shares, but neither 71 nor 72."""
    changed = facts.model_copy(update={"rows": 289, "cells": (((51, 150), (46, 42)),)})
    asked = threat(attribute="town", value="", ratios=(0.2, 0.2), queries=71)
    found = hypotheses(asked, changed, DataSettings(train=71, val=10, test=135, aux=135))
    assert [rows for rows in range(68, 75) if held(changed, asked, rows, 135)] == [68, 69, 70, 73]
    assert (found.rows, found.queries) == (70, 70)


def test_rows_that_are_asked_for_are_those_that_are_drawn(facts):
    assert hypotheses(threat(rows=100), facts, SIZES).rows == 100
    assert hypotheses(threat(queries=50), facts, SIZES).queries == 50


def test_a_draw_that_falls_short_says_of_what(ground):
    with pytest.raises(ValueError) as caught:
        ground.drawn(Population("adversary", 1, 0, 1000, 1100), 0, (0,))
    assert str(caught.value) == (
        f"{composition(1100, 1000, ground.data.y.bincount().tolist())[0][0]} rows of one class and kind are to be drawn "
        f"for adversary, and the part of the data for them has {of_kind(ground)}: lower rows"
    )


def of_kind(ground):
    aux = ground.rows(ground.blocks[0].aux)
    return int(((aux.y == 0) & (aux.z[:, 1] == 0)).sum())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"attribute": "age"}, ['the data set has no sensitive attribute "age"; it has town, sex']),
        ({"value": "z"}, ['sex has no value "z"; it has f, m, n']),
        (
            {"rows": 19},
            ["populations of 19 rows are too few: rows must be 20 or more (0: as many as possible)"],
        ),
        (
            {"rows": 900},
            [
                "populations of 900 rows are more than the 800 that a model trains on: lower rows, or raise data.train",
                'shares of 0.5 and 0.2 of sex "f" are impossible for the data: pool has enough rows of every class and '
                "kind for 556 rows, and 900 are needed: lower rows, choose other ratios, or raise data.train",
                'shares of 0.5 and 0.2 of sex "f" are impossible for the data: aux has enough rows of every class and '
                "kind for 402 rows, and 900 are needed: lower rows, choose other ratios, or raise data.aux",
            ],
        ),
    ],
)
def test_what_is_impossible_is_said_before_anything_is_trained(facts, changes, expected):
    assert ratio_problems(threat(**changes), facts, SIZES) == expected
    with pytest.raises(ValueError, match=r".") as caught:
        hypotheses(threat(**changes), facts, SIZES)
    assert str(caught.value) == "; ".join(expected)


def test_parts_that_hold_enough_rows_each_but_no_such_number_in_common_are_refused(facts):
    """A part holds some numbers and not all smaller ones: what each holds need not be what a model can be trained on."""
    changed = facts.model_copy(update={"rows": 400, "cells": (((124, 164), (46, 66)),)})
    asked = threat(attribute="town", value="", ratios=(0.41, 0.25))
    text = (
        f'shares of 0.41 and 0.25 of town "{facts.data_schema.sensitive[0].categories[0]}" are impossible for the data: of '
        "20 rows or fewer, as a model trains on, pool and aux are both sure to hold 19, and 20 are needed: choose other "
        "ratios, or raise data.train or data.aux"
    )
    assert ratio_problems(asked, changed, DataSettings(train=20, val=10, test=400, aux=153)) == [text]


def test_parts_too_small_for_the_shares_are_named(facts):
    small = DataSettings(train=800, val=100, test=20, aux=20)
    text = (
        'shares of 0.5 and 0.2 of sex "f" are impossible for the data: {} has enough rows of every class and kind for '
    )
    found = ratio_problems(threat(), facts, small)
    assert [one.partition(" 0 rows")[0] + " " for one in found] == [text.format(part) for part in ("aux", "test")]
    assert found[0].endswith(" 0 rows, and 20 are needed: choose other ratios, or raise data.aux")


def test_data_without_a_sensitive_attribute_have_no_share_to_infer(facts):
    bare = facts.model_copy(update={"data_schema": facts.data_schema.model_copy(update={"sensitive": ()}), "cells": ()})
    assert ratio_problems(threat(), bare, SIZES) == [
        "the data set has no sensitive attribute, so there is no share to infer"
    ]
