"""The charts: well-formed, named for those who cannot see them, and drawn where the numbers say."""

from math import log10
from xml.etree import ElementTree as ET

import pytest

from amulet_core.report.charts import (
    Bar,
    Change,
    Curve,
    accuracy_by_epsilon,
    effects,
    fidelity_by_budget,
    group_rates,
    roc,
)
from amulet_core.report.sections import sections
from amulet_core.report.svg import Scale, decades, polyline, ticks

HOSTILE = "<script>alert(1)</script> & \"'"
CURVE = Curve(f"lira {HOSTILE}", ((0.0, 0.0), (0.01, 0.1), (1.0, 1.0)), (((0.0, 0.0), (1.0, 1.0)),))
CHARTS = {
    "roc": roc([CURVE], title=f"ROC {HOSTILE}"),
    "budgets": accuracy_by_epsilon(
        [Curve(HOSTILE, ((0.0, 0.8), (0.1, 0.3)), low=(0.7, 0.2), high=(0.9, 0.4))], title="Accuracy"
    ),
    "queries": fidelity_by_budget([Curve(HOSTILE, ((10.0, 0.4), (500.0, 0.9)))], title="Fidelity"),
    "groups": group_rates([Bar(HOSTILE, 0.3, 0.2, 0.4, 31, (0.1,))], title="Groups", name="selection rate"),
    "effects": effects([Change(HOSTILE, (0.1, 0.2), 0.15, -0.4, 0.7, "up")], title="E", margin=0.05, better="lower"),
}


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_well_formed_named_and_described(name):
    image = ET.fromstring(CHARTS[name])
    assert image.get("role") == "img"
    assert (image[0].tag, image[1].tag) == ("title", "desc")
    assert image[0].text
    assert image[1].text


@pytest.mark.parametrize("name", CHARTS)
def test_hostile_texts_stay_texts(name):
    image = ET.fromstring(CHARTS[name])
    tags = {"svg", "title", "desc", "line", "polyline", "polygon", "text", "circle", "rect"}
    assert {each.tag for each in image.iter()} <= tags
    assert any(HOSTILE in (each.text or "") for each in image.iter("text"))


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_has_no_colours_of_its_own_so_that_it_follows_the_theme(name):
    attributes = {key for each in ET.fromstring(CHARTS[name]).iter() for key in each.keys()}  # noqa: SIM118
    assert not attributes & {"fill", "stroke", "style", "font-family", "href"}


def test_a_roc_curve_lies_where_its_logarithms_say():
    image = ET.fromstring(CHARTS["roc"])
    strong = next(each for each in image.iter("polyline") if "faint" not in each.get("class", ""))
    points = [tuple(map(float, point.split(","))) for point in strong.get("points", "").split()]
    floor = 0.01  # no rate of the example is below one in a hundred
    wide, high = 436 - 56, 300 - 16
    expected = [
        (56 + wide * (log10(max(a, floor)) + 2) / 2, 300 - high * (log10(max(b, floor)) + 2) / 2)
        for a, b in CURVE.points
    ]
    assert points == [pytest.approx(point, abs=0.06) for point in expected]


def test_the_description_of_a_roc_curve_gives_the_rates_that_people_ask_for():
    image = ET.fromstring(CHARTS["roc"])
    words = "true positive rate 0.000 at 0.001, true positive rate 0.100 at 0.01, true positive rate 0.100 at 0.1"
    assert image[1].text == f"lira {HOSTILE}: {words}. Guessing has equal rates."


def test_the_chart_of_a_theft_says_how_faithful_the_copy_is_at_each_budget():
    image = ET.fromstring(CHARTS["queries"])
    assert image[1].text == f"Fidelity {HOSTILE}: 0.400 at 10, 0.900 at 500."
    assert {"query budget", "fidelity"} <= {each.text for each in image.iter("text")}


@pytest.mark.parametrize(
    ("better", "left", "right"), [("lower", "← better", "worse →"), ("higher", "← worse", "better →")]
)
def test_the_chart_of_effects_says_which_side_is_worse(better, left, right):
    chart = effects([Change("a", (0.1,), 0.1, None, None, "up")], title="E", margin=0.05, better=better)
    texts = [each.text for each in ET.fromstring(chart).iter("text")]
    assert left in texts
    assert right in texts


def test_an_interval_far_wider_than_the_dots_runs_off_the_edge_without_an_end():
    near, far = (
        effects([Change("a", (0.1, 0.12), 0.11, -end, end, "open")], title="E", margin=0.05, better="lower")
        for end in (0.2, 50.0)
    )
    assert near.count("interval open") == 3  # the line and its two ends
    assert far.count("interval open") == 1


def test_no_name_lies_on_the_shaded_margin():
    changes = [Change(name, (0.1, 0.2), 0.15, 0.1, 0.2, "up") for name in ("a", "b")]
    image = ET.fromstring(effects(changes, title="E", margin=0.05, better="lower"))
    shades = [(float(each.get("y")), float(each.get("height"))) for each in image.iter("rect")]
    names = [float(each.get("y")) for each in image.iter("text") if each.text in ("a", "b")]
    assert len(shades) == len(names) == 2
    assert not [name for name in names for top, height in shades if top - 2 < name < top + height + 11]


def test_every_seed_of_an_effect_is_a_dot_at_its_difference():
    differences = (-0.1, 0.0, 0.04)
    chart = effects([Change("a", differences, -0.02, None, None, "same")], title="E", margin=0.05, better="lower")
    found = [float(each.get("cx")) for each in ET.fromstring(chart).iter("circle")]
    reach = 0.1 * 1.06
    assert found == [pytest.approx(16 + (504 - 16) * (each + reach) / (2 * reach), abs=0.06) for each in differences]


def test_the_sections_chart_has_a_dot_at_each_seeds_difference_to_none(results):
    section = next(each for each in sections(results) if each.column.risk == "membership-inference")
    entries = {entry.row: entry for entry in results.entries if entry.risk == "membership-inference"}
    base = dict(entries["none"].values)
    image = ET.fromstring(section.chart)
    means = [float(each.get("x1")) for each in image.iter("line") if each.get("class").startswith("mean ")]
    dots = [float(each.get("cx")) for each in image.iter("circle")]
    shown = [entries[row.label] for row in results.rows if entries[row.label].effect]
    assert (len(means), len(dots)) == (len(shown), 5 * len(shown))
    wanted = [value - base[seed] for entry in shown for seed, value in entry.values]
    # Differences lie on one straight scale, which the means share: two of these say where all the others are.
    places = dict(zip([entry.effect.difference for entry in shown], means, strict=True))
    (low, start), (high, stop) = min(places.items()), max(places.items())
    for value, found in zip(wanted, dots, strict=True):
        assert found == pytest.approx(start + (value - low) * (stop - start) / (high - low), abs=0.5)


def test_a_line_leaves_out_only_points_that_its_neighbours_draw():
    steps = [(0.0, 0.0), (0.1, 0.0), (10.0, 0.0), (20.0, 0.0), (20.0, 5.0), (20.0, 9.0), (30.0, 20.0)]
    assert 'points="0,0 20,0 20,9 30,20"' in polyline(steps, "curve")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, (0, 0.2, 0.4, 0.6, 0.8, 1)),
        (0, 0.1, (0, 0.02, 0.04, 0.06, 0.08, 0.1)),
        (-0.3, 0.3, (-0.2, 0, 0.2)),
        (0, 37, (0, 10, 20, 30)),
    ],
)
def test_ticks_are_round_numbers_within_the_range(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_decades_are_the_powers_of_ten():
    assert decades(0.001, 1) == pytest.approx((0.001, 0.01, 0.1, 1))


def test_a_scale_keeps_what_is_outside_at_its_ends():
    scale = Scale(0.001, 1, 0, 300, log=True)
    assert [scale(value) for value in (0, 0.001, 0.01, 1, 7)] == pytest.approx([0, 0, 100, 300, 300])
