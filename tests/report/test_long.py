"""A report of many rows as text: what it draws, where the rest is, how it grows, and the one script that may run."""

import base64
import hashlib
import html as markup
import re

import pytest

from amulet_core.report.details import pictures
from amulet_core.report.page import LONG, MOST_LISTED, MOST_TRACEBACKS, render
from amulet_core.report.sections import MOST_DETAILED, sections
from amulet_core.report.seeds import SeedLine, seed_tables
from amulet_core.results import Cell, Measured
from amulet_core.scores import Scores, Value, Withheld


@pytest.fixture(scope="module")
def html(long_results):
    return render(long_results)


@pytest.mark.parametrize(("rows", "searched"), [(LONG, False), (LONG + 1, True)])
def test_only_a_matrix_of_more_than_twelve_rows_has_controls_and_a_script(examples, rows, searched):
    html = render(examples.example_results(risks=2, defenses=rows - 3, seeds=(0, 1)))
    found = ('id="filter"' in html, "<script>" in html, "script-src" in html, "data-row" in html)
    assert found == (searched,) * 4
    assert (html.count('<p class="filtered" hidden></p>') == 2) is searched


def test_the_policy_allows_exactly_the_one_script(html):
    (script,) = re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', html)[1]
    assert policy == f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:"


def test_the_script_writes_no_markup(html):
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function|fetch|XMLHttp", script)


def test_each_part_of_a_row_has_its_mark(html, long_results):
    for index, row in enumerate(long_results.rows):
        parts = re.findall(rf'<(\w+)[^>]* data-row="{index}"', html)
        assert parts.count("tbody") == 4, row.label  # values of the attacks, a risk each
        assert parts.count("details") == 4, row.label


def test_none_placebo_and_the_largest_changes_are_shown_in_full(long_results):
    for section in sections(long_results):
        full = [row.label for row in section.rows if row.pictures is not None]
        effects = {entry.row: entry.effect for entry in long_results.entries if entry.risk == section.column.risk}
        changes = sorted(
            (abs(effects[row.label].difference) for row in long_results.rows[2:] if effects[row.label]), reverse=True
        )
        assert len(full) == section.detailed == MOST_DETAILED
        assert full[:2] == ["none", "placebo"]
        shown = sorted((abs(effects[label].difference) for label in full[2:]), reverse=True)
        assert shown == changes[: MOST_DETAILED - 2]
        names = re.findall(r'<text [^>]*class="start name">(.*?)</text>', section.chart)
        assert [markup.unescape(name) for name in names] == full[1:]


def test_a_row_in_brief_keeps_every_value_of_every_seed(long_results):
    cells = {}
    for cell in long_results.cells:
        cells.setdefault((cell.risk, cell.row), []).append(cell)
    for section in sections(long_results):
        for row in section.rows:
            found = sorted(text for table in row.brief for line in table.lines for text in line.texts)
            values = [
                f"{value.estimate:.3f} [{value.low:.3f}, {value.high:.3f}]".replace("-", "−")
                for cell in cells[section.column.risk, row.label]
                for measured in cell.measured
                for value in measured.scores.values
                if hasattr(value, "estimate")
            ]
            assert row.pictures is not None or [text for text in found if "[" in text] == sorted(values)
            assert bool(row.brief) is not bool(row.by_seed)


def test_a_row_in_brief_says_why_a_value_is_withheld_or_failed(html):
    brief = re.findall(r'<th scope="col">Attack</th><th scope="col">Value</th>.*?</table>', html, re.DOTALL)
    assert len(brief) == 4 * (40 - MOST_DETAILED)
    said = "".join(brief)
    assert '<td colspan="5"><span class="withheld wide">0.5 false positives are expected, fewer than 10</span>' in said
    assert "skipped: builtin/square needs probabilities, and this model gives labels only" in said


def test_where_one_seed_lacks_a_value_its_reason_stands_in_its_place():
    def cell(seed, value):
        measured = (Measured(metric="p/m", scores=Scores(values=(value,))),)
        return Cell(row="r", risk="x", attack="p/a", seed=seed, status="ok", measured=measured)

    cells = [cell(0, Value(name="auc", estimate=0.5, method="m", n=2)), cell(1, Withheld(name="auc", reason="too few"))]
    (table,) = seed_tables({"p/a": cells}, [("p/m", "auc")], (0, 1, 2))
    assert table.lines == (SeedLine("auc", ("0.500", "too few", "–"), ""),)


def test_a_long_report_says_what_it_leaves_to_the_files(html):
    said = (
        "Of 40 rows, 24 are drawn and shown in full: <em>none</em>, <em>placebo</em> and the largest changes. The "
        "tables have all rows, and the details of the others their values by seed; their curves, groups and whatever "
        "else a metric left are in <code>results.json</code>. <code>results.csv</code> has every value."
    )
    assert html.count(said) == 4


def test_a_report_of_fewer_rows_shows_each_in_full(examples):
    found = sections(examples.example_results(risks=1, defenses=MOST_DETAILED - 3))
    assert found[0].detailed == 0
    assert all(row.pictures is not None and not row.brief for row in found[0].rows)


def test_a_row_more_costs_a_bounded_number_of_bytes(examples):
    sizes = [len(render(examples.example_results(defenses=rows - 3)).encode()) for rows in (50, 100)]
    assert (sizes[1] - sizes[0]) / 50 < 17_000  # 50 cells a row: 340 bytes a cell, all that a row has included


def test_what_is_said_of_many_failures_is_bounded_and_says_where_the_rest_is(results):
    failed = tuple(
        Cell(
            row="dp-sgd",
            risk="evasion",
            attack="p/a",
            seed=0,
            status="failed",
            reason=f"r{i}",
            traceback=f"at line {i}",
        )
        for i in range(MOST_LISTED + 3)
    )
    warned = results.provenance.model_copy(update={"warnings": tuple(f"w{i}" for i in range(MOST_LISTED + 4))})
    html = render(results.model_copy(update={"cells": failed, "provenance": warned}))
    assert html.count("at line ") == MOST_TRACEBACKS
    assert "<p>3 further lines are not listed here. <code>results.json</code> has them all.</p>" in html
    assert "<p>Tracebacks are shown for the first 20 lines. <code>results.json</code> has them all.</p>" in html
    assert re.search(r"<p>\d further warnings are not listed here. <code>results.json</code> has them all.</p>", html)
    assert f">r{MOST_LISTED - 1}<" in html
    assert f">r{MOST_LISTED}<" not in html


@pytest.mark.parametrize(("lines", "said"), [(50, ""), (51, ", the first 50 of 51 lines; results.json has all")])
def test_a_table_that_is_cut_says_so(lines, said):
    scores = Scores(values=(), details={"sizes": [{"a": i} for i in range(lines)]})
    measured = (Measured(metric="p/m", scores=scores),)
    cell = Cell(row="r", risk="x", attack="p/a", seed=0, status="ok", measured=measured)
    (table,) = pictures([cell], row="r").tables
    assert (table.title, len(table.lines)) == (f"sizes, p/a, seed 0{said}", 50)
