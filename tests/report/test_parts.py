"""The parts of the report: words, details, references, gaps; what cannot be shown is said."""

import pytest

from amulet_core.report.dataset import data_section
from amulet_core.report.details import pictures
from amulet_core.report.matrix import grid
from amulet_core.report.methods import Warned, address, flat, problems, slowest, unjudged, used, warned
from amulet_core.report.page import render
from amulet_core.report.sections import sections
from amulet_core.report.values import figure
from amulet_core.report.words import (
    count,
    in_column,
    interval,
    judged,
    listing,
    look,
    number,
    printable,
    probability,
    signed,
)
from amulet_core.results import Cell, Effect, Measured
from amulet_core.scores import Scores, Withheld


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (-0.5, "−0.500"), (0, "0.000"), (1e-5, "1.0e−05"), (-2e7, "−2.0e+07"), (250.25, "250.2")],
)
def test_a_number_has_three_decimals_unless_it_is_very_large_or_small(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0612, "+0.061"), (-0.0612, "−0.061"), (-0.0001, "+0.000"), (0.0, "+0.000"), (-250.26, "−250.3")],
)
def test_a_change_has_its_sign_and_no_negative_zero(value, text):
    assert signed(value) == text


def test_words_of_lists_counts_and_intervals():
    assert [listing(items) for items in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert (count(1, "seed"), count(2, "seed")) == ("1 seed", "2 seeds")
    assert (interval(-0.1, 0.2), interval(None, 0.2)) == ("[−0.100, +0.200]", "")
    assert printable("a\x1b[1m\nb") == "a�[1m b"


def test_only_in_the_utility_column_the_words_turn_round():
    assert (look("risk up", "evasion").word, look("risk up", "utility").word) == ("risk up", "utility down")
    assert look("inconclusive", "utility") == look("inconclusive", "evasion")


@pytest.mark.parametrize(
    ("risk", "threat", "text"),
    [
        ("evasion", {"epsilon": 8 / 255, "norm": "l2"}, "robust accuracy at ε 0.0313725, l2"),
        ("evasion", {}, "robust accuracy"),
        ("membership-inference", {"shadow": "undefended"}, "AUC, undefended shadow models"),
        ("discriminatory-behavior", {"attribute": "race"}, "parity gap by race"),
        ("discriminatory-behavior", {"attribute": ""}, "parity gap by sex"),
        ("utility", {}, "accuracy"),
    ],
)
def test_a_primary_value_is_named_with_its_threat_model(results, risk, threat, text):
    data = {**results.data, "sensitive": {"sex": ["Male", "Female"], "race": ["a", "b"]}}
    column = next(each for each in results.columns if each.risk == risk).model_copy(update={"threat": threat})
    assert judged(column, results.model_copy(update={"data": data})) == text


@pytest.mark.parametrize(
    ("threat", "text"),
    [
        ({"attribute": "race", "without": []}, "advantage by race"),
        ({"attribute": "", "without": ["relationship"]}, "advantage by sex, relationship withheld"),
        ({"attribute": "sex", "without": ["a", "b", "c"]}, "advantage by sex, a, b and c withheld"),
        ({"attribute": "sex", "without": [], "knows": "class"}, "advantage by sex, the row withheld"),
    ],
)
def test_columns_that_the_adversary_does_not_know_are_named(examples, threat, text):
    results = examples.example_results(risks=5)
    data = {**results.data, "sensitive": {"sex": ["Male", "Female"], "race": ["a", "b"]}}
    (column,) = [each for each in results.columns if each.risk == "attribute-inference"]
    assert judged(column.model_copy(update={"threat": threat}), results.model_copy(update={"data": data})) == text


@pytest.mark.parametrize(
    ("adversary", "text"),
    [
        ("adaptive", "AUC, adaptive shadow models"),
        ("not adaptive: undefended shadow models", "AUC, adaptive shadow models"),
        ("sees the defended model's outputs", "AUC"),
        ("adaptive: attacks the defended model itself", "AUC"),
        ("none", "AUC"),
    ],
)
def test_shadow_models_are_named_only_where_an_attack_had_some(results, adversary, text):
    cells = tuple(
        cell.model_copy(update={"adversary": adversary}) if cell.risk == "membership-inference" else cell
        for cell in results.cells
    )
    (column,) = [each for each in results.columns if each.risk == "membership-inference"]
    assert judged(column, results.model_copy(update={"cells": cells})) == text


def test_where_no_attribute_is_known_none_is_named(results):
    (column,) = [each for each in results.columns if each.risk == "discriminatory-behavior"]
    assert judged(column.model_copy(update={"threat": {"attribute": ""}}), results) == "parity gap"


def test_a_square_refers_to_notes_that_say_its_reasons_and_warnings_each_once(results):
    some = "2 of 5 seeds are near chance"
    entries = tuple(
        entry.model_copy(update={"warnings": (some, some)}) if entry.row == "placebo" else entry
        for entry in results.entries
    )
    found = grid(results.model_copy(update={"entries": entries}))
    placebo = next(line for line in found.lines if line.kind == "placebo")
    assert [[found.notes[note - 1] for note in square.notes] for square in placebo.squares] == [[some]] * 4
    chained = found.lines[-1].squares[0]
    assert [found.notes[note - 1] for note in chained.notes] == ["balanced accuracy .51, near chance"]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("arXiv:1706.06083", "https://arxiv.org/abs/1706.06083"),
        ("1505.07818v2", "https://arxiv.org/abs/1505.07818v2"),
        ("cs.LG/0701234", "https://arxiv.org/abs/cs.LG/0701234"),
        ("10.1007/s10115-011-0463-8", "https://doi.org/10.1007/s10115-011-0463-8"),
        ("DOI:10.1145/2976749.2978318", "https://doi.org/10.1145/2976749.2978318"),
        ("https://archive.ics.uci.edu/dataset/2/adult", "https://archive.ics.uci.edu/dataset/2/adult"),
        ("javascript:alert(1)", ""),
        ("data:text/html,x", ""),
        ('https://a.b/"onclick="x', ""),
        ("a book", ""),
    ],
)
def test_a_reference_becomes_a_link_only_where_it_is_a_known_kind_of_address(where, expected):
    assert address(where) == expected


def test_nested_settings_become_dotted_names():
    found = flat({"a": {"b": 1, "c": [1, 2]}, "d": [], "e": None, "f": True, "g": [{"h": ""}], "i": list(range(25))})
    long = ", ".join(map(str, range(20)))
    assert found == (
        ("a.b", "1"),
        ("a.c", "1, 2"),
        ("d", "(empty)"),
        ("e", "none"),
        ("f", "yes"),
        ("g.0.h", "(empty)"),
        ("i", f"{long}, and 5 more"),
    )


def test_of_many_timings_the_slowest_are_shown_and_the_others_summed():
    shown = slowest({f"job {i}": float(i) for i in range(25)})
    assert shown[0] == ("job 24", "24.0 s")
    assert shown[-1] == ("5 more", "10.0 s")
    assert len(shown) == 21


def test_equal_failures_are_one_line_and_failures_come_first(results, examples):
    found = problems(results)
    assert [each.status for each in found] == ["failed", "skipped", "skipped", "skipped", "skipped"]
    failed = found[0]
    assert failed.attacks == "builtin/lira, builtin/rmia, worst case, builtin/random-score"
    assert (failed.seeds, failed.blame) == ("0, 1, 2, 3, 4", "builtin/dp-sgd")
    assert failed.reason == f"{examples.REASON} {examples.HOSTILE}"


def test_a_warning_is_shown_once_with_its_places(results):
    found = {each.text: each.where for each in warned(results)}
    assert found["the machine has 2 cores, so 2 jobs run at once"] == "the run"
    assert found["the input gradient was zero for 37 of 1000 rows"] == "dp-sgd / evasion"
    assert found["the candidates are few"].startswith("none / membership-inference / builtin/lira; ")
    assert found["the candidates are few"].endswith("; 16 more")


def test_a_component_that_serves_twice_is_described_once(results):
    found = used(results)
    assert len({each.member.model_dump_json() for each in found}) == len(found)
    assert {each.member.id for each in found} >= {"builtin/adult", "builtin/dp-sgd", "builtin/pgd", "builtin/accuracy"}
    assert next(each.roles for each in found if each.member.id == "builtin/random-noise") == "control, Evasion"


def test_every_attack_stands_beside_its_control_and_the_mean_is_over_seeds(results):
    section = next(each for each in sections(results) if each.column.risk == "evasion")
    row = section.rows[0]
    assert [(line.attack, line.control) for line in row.averaged] == [
        ("builtin/pgd", False),
        ("worst case", False),
        ("builtin/random-noise", True),
    ]
    entry = next(each for each in results.entries if each.row == "none" and each.risk == "evasion")
    values = [value for _, value in entry.values]
    assert row.averaged[0].figures[0].text == f"{sum(values) / 5:.3f}"
    assert row.averaged[0].figures[0].span == f"{min(values):.3f} to {max(values):.3f}"
    assert [line.figures[0].text for line in row.by_seed[:5]] == [f"{value:.3f}" for value in values]


def test_a_value_that_some_seeds_lack_says_of_how_many_it_is(results):
    cells = [each for each in results.cells if (each.row, each.attack) == ("none", "builtin/lira")]
    (metric,) = cells[0].measured
    name, *others = (value.name for value in metric.scores.values)
    few = Withheld(name=name, reason="too few candidates")
    scores = metric.scores.model_copy(update={"values": (few, *metric.scores.values[1:])})
    cells[0] = cells[0].model_copy(update={"measured": (metric.model_copy(update={"scores": scores}),)})
    part, whole = (figure(cells, (metric.metric, each), alone=False) for each in (name, others[0]))
    assert (part.reason, whole.reason) == ("4 of 5 seeds", "")
    assert '<span class="sub">4 of 5 seeds</span>' in render(results.model_copy(update={"cells": tuple(cells)}))


def test_controls_stand_below_the_attacks_whatever_the_order_of_the_cells(results):
    turned = results.model_copy(update={"cells": results.cells[::-1]})
    for section in sections(turned):
        for row in section.rows:
            marks = [line.control for line in row.averaged]
            assert marks == sorted(marks)
            seeds = [line.seed for line in row.by_seed if line.attack == row.averaged[0].attack]
            assert seeds == sorted(seeds)


def test_a_biased_value_stands_beside_its_null(results):
    section = next(each for each in sections(results) if each.column.risk == "discriminatory-behavior")
    row = section.rows[0]
    assert [line.figures[0].null for line in (*row.averaged, *row.by_seed)] == ["mean .05, 95 % quantile .10"] * 6


def test_a_value_with_the_quantile_of_its_null_says_it_in_few_words(results):
    cell = next(each for each in results.cells if each.risk == "discriminatory-behavior" and each.measured)
    (metric,) = cell.measured
    value = metric.scores.values[0].model_copy(update={"null_95": 0.064})
    scores = metric.scores.model_copy(update={"values": (value,)})
    cell = cell.model_copy(update={"measured": (metric.model_copy(update={"scores": scores}),)})
    html = render(results.model_copy(update={"cells": (cell,)}))
    assert html.count('<span class="sub">by chance alone: below 0.064</span>') == 2  # on average, and by seed


def test_a_reason_that_holds_for_several_values_stands_once_below_the_table_with_its_rows(results):
    html = render(results)
    section = next(each for each in sections(results) if each.column.risk == "membership-inference")
    reason = "0.5 false positives are expected, fewer than 10"
    rows = "none, placebo, adversarial-training, dp-sgd and adversarial-debiasing"
    assert (section.notes[0].of, section.notes[0].reason, section.notes[0].rows) == (
        "tpr at 0.1 percent fpr", reason, rows
    )  # fmt: skip
    assert html.count(reason) == 1
    assert f'<li id="{section.anchor}-note-1">tpr at 0.1 percent fpr: {reason} ({rows})</li>' in html
    assert html.count(f'<a href="#{section.anchor}-note-1">note 1</a>') == 5 * 4 + 5 * 4 * 5  # on average, and by seed


def test_a_reason_that_holds_for_several_rows_stands_once_for_their_primary_values_too(results):
    missing = "skipped: no defense of this row can verify ownership"
    entries = tuple(
        entry.model_copy(update={"effect": None, "missing": missing}) if entry.risk == "evasion" else entry
        for entry in results.entries
    )
    changed = results.model_copy(update={"entries": entries})
    section = next(each for each in sections(changed) if each.column.risk == "evasion")
    assert [(note.of, note.rows) for note in section.notes if note.reason == missing] == [
        ("robust accuracy", "all rows")
    ]
    html = render(changed)
    part = html[html.index('<section id="risk-1"') : html.index('<section id="risk-2"')]
    assert part.count(missing) == 1


def test_a_column_has_one_number_format():
    assert [*map(in_column([0.1, 0.5, 0.0]), (0.1, 0.0))] == ["0.100", "0.000"]
    small = in_column([0.1, 0.00032])
    assert [*map(small, (0.1, 0.00032, 0.0, 1e-9, -1e-9))] == ["0.10000", "0.00032", "0.00000", "<0.00001", ">−0.00001"]
    assert small(123.456) == "123.5"


def test_a_small_value_gives_all_of_its_column_more_decimals(results):
    def shrunk(cell):
        scores = cell.measured[0].scores
        first = scores.values[0].model_copy(update={"estimate": 0.00032})
        scores = scores.model_copy(update={"values": (first, *scores.values[1:])})
        return cell.model_copy(update={"measured": (cell.measured[0].model_copy(update={"scores": scores}),)})

    at = next(place for place, cell in enumerate(results.cells) if cell.risk == "evasion" and cell.measured)
    cells = (*results.cells[:at], shrunk(results.cells[at]), *results.cells[at + 1 :])
    section = next(
        each for each in sections(results.model_copy(update={"cells": cells})) if each.column.risk == "evasion"
    )
    texts = [line.figures[0].text for row in section.rows for line in (*row.averaged, *row.by_seed)]
    assert {len(text.split(".")[1]) for text in texts if text} == {5}
    others = [line.figures[1].text for row in section.rows for line in row.averaged]
    assert {len(text.split(".")[1]) for text in others if text} == {3}


def test_degenerate_and_blocked_squares_are_named_among_the_warnings(results):
    blocked = Effect(difference=0.1, seeds=5, verdict="blocked", verdict_reason="a warning stands against it: w")
    entries = tuple(
        entry.model_copy(update={"effect": blocked}) if (entry.row, entry.risk) == ("dp-sgd", "utility") else entry
        for entry in results.entries
    )
    changed = results.model_copy(update={"entries": entries})
    degenerate = next(entry for entry in results.entries if entry.degenerate)
    assert unjudged(changed) == (
        Warned("degenerate: balanced accuracy .51, near chance", f"{degenerate.row} / Evasion"),
        Warned("blocked: a warning stands against it: w", "dp-sgd / Utility"),
    )
    assert "<li>blocked: a warning stands against it: w " in render(changed)


@pytest.mark.parametrize(
    ("degenerate", "said"), [("near chance", "No other warnings were given."), ("", "No warnings were given.")]
)
def test_no_warnings_is_not_said_beneath_a_degenerate_row(results, degenerate, said):
    entries = tuple(
        entry.model_copy(update={"degenerate": degenerate, "effect": None, "warnings": ()}) for entry in results.entries
    )
    cells = tuple(cell.model_copy(update={"warnings": ()}) for cell in results.cells)
    provenance = results.provenance.model_copy(update={"warnings": ()})
    html = render(results.model_copy(update={"entries": entries, "cells": cells, "provenance": provenance}))
    assert f"<p>{said}</p>" in html


def test_a_withheld_value_shows_its_reason(results):
    section = next(each for each in sections(results) if each.column.risk == "membership-inference")
    assert section.values == ("auc", "tpr at 1 percent fpr", "tpr at 0.1 percent fpr")
    figure = section.rows[0].averaged[0].figures[2]
    assert (figure.text, figure.reason) == ("", "0.5 false positives are expected, fewer than 10")


def _cell(seed, **details):
    scores = Scores(values=(), details=details)
    return Cell(
        row="r", risk="x", attack="p/a", seed=seed, status="ok", measured=(Measured(metric="p/m", scores=scores),)
    )


def test_the_section_on_the_data_has_their_hash_and_the_share_of_the_favourable_class_by_group(results):
    found = data_section(results)
    assert found.line == "builtin/adult, 2,000 rows, SHA-256 5f5f5f5f5f5f…"
    assert set(found.facts) >= {
        ("data set", "builtin/adult"),
        ("parameter.sensitive_in_x", "no"),
        ("rows of a seed.train", "1000"),
        ("SHA-256 of all rows and their schema", "5f" * 32),
    }
    assert [(table.title, table.heads, table.lines) for table in found.tables] == [
        (
            "Classes, over all rows of the data set",
            ("Class", "Rows", "Share"),
            (("<=50K", "1,500", "0.750"), (">50K (favourable)", "500", "0.250")),
        ),
        (
            "Base rates by sex, over all rows of the data set",
            ("sex", "Rows", "Share of all rows", "of them <=50K", "of them >50K (favourable)"),
            (("Male", "1,320", "0.660", "0.682", "0.318"), ("Female", "680", "0.340", "0.882", "0.118")),
        ),
    ]


def test_the_line_on_the_data_names_the_file_that_they_were_read_from(results):
    config = {
        "dataset": {"name": "builtin/table-file", "params": {"path": "old/loans.csv", "label": "y", "share": "0.5"}}
    }
    found = data_section(results.model_copy(update={"config": config}))
    assert found.line == "builtin/adult, old/loans.csv, 2,000 rows, SHA-256 5f5f5f5f5f5f…"
    assert '<a href="#data">builtin/adult, old/loans.csv,' in render(results.model_copy(update={"config": config}))


def test_of_many_classes_groups_show_the_favourable_one_alone_and_results_of_before_show_what_they_have(results):
    classes = [str(each) for each in range(20)]
    groups = {"sex": {"f": dict.fromkeys(classes, 1), "m": dict.fromkeys(classes, 0)}}
    data = {**results.data, "class_rows": dict.fromkeys([*classes, ">50K"], 1), "groups": groups}
    _, by_sex = data_section(results.model_copy(update={"data": data})).tables
    assert by_sex.heads == ("sex", "Rows", "Share of all rows", "of them >50K (favourable)")
    assert by_sex.lines == (("f", "20", "1.000", "0.000"), ("m", "0", "0.000", "–"))
    old = data_section(results.model_copy(update={"data": {"id": "p/d"}, "config": {}}))
    assert (old.line, old.tables) == ("p/d", ())
    assert old.facts[-1] == ("SHA-256 of all rows and their schema", "not kept")


def test_details_of_the_known_kinds_are_drawn_and_others_are_tables_and_facts():
    cells = [_cell(seed, roc=[{"fpr": 0, "tpr": 0}], sizes=[{"a": 1, "b": 0.25}], note="hm") for seed in (3, 1)]
    found = pictures(cells, row="r")
    assert len(found.charts) == 1
    assert "p/a, seed 1" in found.charts[0]
    assert [(table.title, table.heads, table.lines) for table in found.tables] == [
        ("sizes, p/a, seed 1", ("a", "b"), (("1", "0.250"),))
    ]
    assert found.facts == (("note, p/a, seed 1", "hm"),)


@pytest.mark.parametrize(
    ("name", "detail", "problem"),
    [
        ("roc", [{"fpr": 2, "tpr": 0}], "0.fpr: Input should be less than or equal to 1"),
        ("groups", "none", "the whole: Input should be a valid list"),
        ("accuracy_by_epsilon", [{"accuracy": 1}], "0.epsilon: Field required"),
        ("fidelity_by_budget", [{"budget": 3}], "0.fidelity: Field required"),
    ],
)
def test_details_that_cannot_be_drawn_are_said_to_be_so(name, detail, problem):
    found = pictures([_cell(0, **{name: detail})], row="r")
    assert found.charts == ()
    assert found.problems == (f"the details {name!r} of p/m cannot be drawn: {problem}",)


def test_a_budget_curve_with_half_an_interval_has_no_band():
    curve = [{"epsilon": 0, "accuracy": 0.8, "low": 0.7, "high": 0.9}, {"epsilon": 0.1, "accuracy": 0.3}]
    (chart,) = pictures([_cell(0, accuracy_by_epsilon=curve)], row="r").charts
    assert "band" not in chart


def test_the_fidelity_of_a_stolen_model_is_drawn_by_budget_with_its_band():
    curve = [
        {"budget": 500, "fidelity": 0.9, "low": 0.8, "high": 0.95, "stolen_accuracy": 0.7, "queries": 500},
        {"budget": 100, "fidelity": 0.5, "low": 0.4, "high": 0.6, "stolen_accuracy": 0.4, "queries": 100},
    ]
    (chart,) = pictures([_cell(0, fidelity_by_budget=curve)], row="r").charts
    assert "Fidelity p/a, seed 0: 0.500 at 100, 0.900 at 500." in chart
    assert "<title>Fidelity by budget, r</title>" in chart
    assert "band" in chart


@pytest.mark.parametrize(
    ("p", "text"), [(None, ""), (0.00049, "<0.001"), (0.0005, "0.001"), (0.019, "0.019"), (1, "1.000")]
)
def test_a_p_value_has_three_decimals_and_never_reads_as_zero(p, text):
    assert probability(p) == text


def test_no_change_shows_the_p_value_that_decided_it_beside_the_wider_interval(results):
    section = next(each for each in sections(results) if each.column.risk == "discriminatory-behavior")
    entry = next(each for each in results.entries if each.risk == "discriminatory-behavior" and each.row == "placebo")
    line = next(each for each in section.primary if each.label == "placebo")
    assert entry.effect.p_equivalence != entry.effect.p_adjusted
    assert line.p == probability(entry.effect.p_adjusted)
    assert line.p_same == probability(entry.effect.p_equivalence)
