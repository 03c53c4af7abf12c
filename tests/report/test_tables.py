"""Results as tables and files: every value once, bits that survive the way to the disk and back, and clear errors."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from amulet_core.errors import RequestError
from amulet_core.matrix.tables import frame, matrix, read_results, records, write_results
from amulet_core.report.terminal import text_matrix
from amulet_core.results import Cell, Effect, Measured, Provenance, Results, Row
from amulet_core.scores import Scores, Value, Withheld

COLUMNS = ["row", "kind", "risk", "attack", "control", "seed", "status", "reason"]
COLUMNS += ["metric", "value", "estimate", "low", "high", "n", "method", "degenerate"]
PLANTED = """\
                               Evasion
                               robust accuracy
                               at ε 0.05, linf
                               higher is better
-----------------------------------------------
none                             0.500
placebo                        = +0.010
                               [−0.020, +0.040]
adversarial-training           ▼ +0.250
                               [+0.200, +0.300]
dp-sgd + adversarial-training  · +0.100

Chains: of 2 pairs of a chain's member and a risk, 0 conflicts, 0 kept, 0 inconclusive and 2 in which the
  member alone shows no protection.

▲ risk up   ▼ risk down   = no change   ? inconclusive   ~ degenerate   · too few seeds   ! blocked
In the utility column: ▼ utility down   ▲ utility up
Each square: change of the primary value against the row none, over its interval; none shows the value.
dp-sgd + adversarial-training (Evasion): 1 seed, fewer than 5
"""


def test_the_frame_has_one_line_for_each_value_and_for_each_cell_without_values(results):
    table = frame(results)
    values = [value for cell in results.cells for measured in cell.measured for value in measured.scores.values]
    without = [cell for cell in results.cells if not cell.measured]
    assert list(table.columns) == COLUMNS
    assert len(table) == len(values) + len(without)
    assert sorted(table["estimate"].dropna()) == sorted(each.estimate for each in values if isinstance(each, Value))


def test_a_line_without_an_estimate_says_why(results):
    table = frame(results)
    missing = table[table["estimate"].isna()]
    assert set(missing["status"]) == {"failed", "skipped", "withheld"}
    assert (missing["reason"].str.len() > 0).all()
    assert (table[table["status"] == "ok"]["estimate"].notna()).all()


def test_the_frame_keeps_its_types_even_where_nothing_was_measured(results):
    empty = frame(results.model_copy(update={"cells": ()}))
    full = frame(results)
    assert list(empty.columns) == COLUMNS
    for name in ("control", "seed", "estimate", "low", "high", "n", "degenerate"):
        assert empty[name].dtype == full[name].dtype


def test_the_records_of_a_cell_carry_its_row_kind_and_the_withheld_reason():
    scores = Scores(
        values=(Value(name="a", estimate=0.1, method="exact", n=3), Withheld(name="b", reason="too few rows"))
    )
    cell = Cell(
        row="placebo", risk="r", attack="", seed=7, status="ok", measured=(Measured(metric="p/m", scores=scores),)
    )
    results = _with_cells(cell)
    first, second = records(results)
    assert first == ("placebo", "placebo", "r", "", False, 7, "ok", "", "p/m", "a", 0.1, None, None, 3, "exact", None)
    assert second[:10] == ("placebo", "placebo", "r", "", False, 7, "withheld", "too few rows", "p/m", "b")
    assert second[10:] == (None,) * 6


@pytest.mark.parametrize("show", ["effect", "mean", "verdict"])
def test_the_matrix_shows_of_every_entry_what_was_asked_for(results, show):
    table = matrix(results, show)
    assert list(table.index) == [row.label for row in results.rows]
    assert list(table.columns) == [column.risk for column in results.columns]
    for entry in results.entries:
        effect = entry.effect
        wanted = {
            "effect": effect and effect.difference,
            "mean": entry.mean,
            "verdict": effect and effect.verdict,
        }[show]
        found = table.loc[entry.row, entry.risk]
        assert pd.isna(found) if wanted is None else found == wanted


def test_a_matrix_of_something_else_is_an_error(results):
    with pytest.raises(RequestError) as error:
        results.matrix(show="change")
    assert str(error.value) == 'a matrix shows one of "effect", "judged", "mean", "verdict", not \'change\''


def test_results_offer_the_frame_and_the_matrix(results):
    assert results.frame.equals(frame(results))
    assert results.matrix(show="verdict").equals(matrix(results, "verdict"))


@pytest.mark.parametrize(("risks", "defenses"), [(1, 1), (4, 3), (9, 7)])
def test_the_text_matrix_fits_110_columns_and_has_every_row_and_every_effect(examples, risks, defenses):
    results = examples.example_results(risks=risks, defenses=defenses)
    text = text_matrix(results)
    assert max(map(len, text.splitlines())) <= 110
    for entry in results.entries:
        assert f"\n{entry.row[:30]}" in text
        if entry.effect:
            assert f"{abs(entry.effect.difference):.3f}" in text


def test_the_text_matrix_reads_as_planted(examples):
    results = examples.example_results(risks=1, defenses=1, hostile=False)
    planted = (
        None,
        Effect(difference=0.01, low=-0.02, high=0.04, seeds=5, verdict="no change"),
        Effect(difference=0.25, low=0.2, high=0.3, seeds=5, verdict="risk down"),
        Effect(difference=0.1, seeds=1, verdict="too few seeds", verdict_reason="1 seed, fewer than 5"),
    )
    entries = tuple(
        entry.model_copy(update={"effect": effect, "mean": 0.5, "degenerate": ""})
        for entry, effect in zip(results.entries, planted, strict=True)
    )
    assert text_matrix(results.model_copy(update={"entries": entries, "conflicts": ()})) == PLANTED


def test_in_the_utility_column_the_signs_follow_utility(examples):
    results = examples.example_results()
    lost = next(entry for entry in results.entries if entry.risk == "utility" and entry.row == "adversarial-training")
    assert lost.effect.verdict == "risk up"
    only = results.model_copy(update={"columns": results.columns[3:4]})
    assert "adversarial-training                ▼ −0.0" in text_matrix(only)


def test_reasons_stand_below_the_text_matrix_without_control_characters(results):
    entry = results.entries[-1].model_copy(update={"effect": None, "mean": None, "missing": "all\x1b[31m failed"})
    text = text_matrix(results.model_copy(update={"entries": (*results.entries[:-1], entry)}))
    assert "(Utility): all�[31m failed" in text
    assert "\x1b" not in text


def test_warnings_and_degenerate_models_stand_below_the_text_matrix_each_once(results):
    some, near = "2 of 5 seeds are near chance", "balanced accuracy .50, near chance"
    warned = results.entries[-1].model_copy(update={"warnings": (some, some), "degenerate": near})
    text = " ".join(text_matrix(results.model_copy(update={"entries": (*results.entries[:-1], warned)})).split())
    assert text.count(f"(Utility): {some}") == text.count(f"(Utility): {near}") == 1
    assert "dp-sgd (Evasion): the input gradient was zero for 37 of 1000 rows" in text


def test_the_headings_of_the_text_matrix_name_the_threat_model(results):
    heads = text_matrix(results).partition("\n---")[0].splitlines()
    texts = [" ".join(" ".join(line[start : start + 18] for line in heads).split()) for start in _starts(heads[0])]
    assert texts == [
        "Evasion robust accuracy at ε 0.05, linf higher is better",
        "Membership inference AUC, adaptive shadow models lower is better",
        "Discriminatory behavior parity gap by sex lower is better",
        "Utility accuracy higher is better",
    ]


def _starts(line):
    return [match.start() for match in re.finditer(r"(?<=  )\S", line)]


def test_what_is_written_is_read_again_bit_by_bit(results, tmp_path):
    assert read_results(write_results(results, tmp_path / "made" / "here")) == results


def test_where_a_run_took_place_changes_neither_results_nor_csv(results, tmp_path):
    elsewhere = results.provenance.model_copy(update={"cpu": "another", "seconds": 1.0})
    first = write_results(results, tmp_path / "a")
    second = write_results(results.model_copy(update={"provenance": elsewhere}), tmp_path / "b")
    for name in ("results.json", "results.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert (first / "provenance.json").read_bytes() != (second / "provenance.json").read_bytes()
    assert "provenance" not in json.loads((first / "results.json").read_text())


def test_the_csv_holds_the_frame_exactly(results, tmp_path):
    table = pd.read_csv(
        write_results(results, tmp_path) / "results.csv", keep_default_na=False, na_values={"estimate": [""]}
    )
    expected = frame(results)
    assert list(table.columns) == COLUMNS
    assert table["row"].tolist() == expected["row"].tolist()
    assert table["reason"].tolist() == expected["reason"].tolist()
    assert table["estimate"].dropna().tolist() == expected["estimate"].dropna().tolist()


def test_a_number_that_is_not_finite_is_refused_by_name_and_nothing_is_written(results, tmp_path):
    scores = Scores(values=(), details={"curve": [1.0, float("nan")]})
    cell = results.cells[0].model_copy(update={"measured": (Measured(metric="m", scores=scores),)})
    broken = results.model_copy(update={"cells": (cell,)})
    with pytest.raises(ValueError, match="finite") as error:
        write_results(broken, tmp_path)
    assert str(error.value) == (
        "results must be finite numbers to be written, but these are not: "
        "results.cells.0.measured.0.scores.details.curve.1 = nan"
    )
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file_whole_and_no_rubbish(results, tmp_path, monkeypatch):
    write_results(results, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="the disk is full"):
        write_results(results.model_copy(update={"name": "another"}), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_missing_files_are_named_all_at_once(tmp_path):
    with pytest.raises(RequestError) as error:
        read_results(tmp_path)
    advice = "does not exist: give the folder that `amulet run` wrote its results into"
    assert str(error.value) == f"{tmp_path / 'results.json'} {advice}\n{tmp_path / 'provenance.json'} {advice}"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "results.json",
            '{"version": 1',
            "{path} is not JSON (JSONDecodeError: Expecting ',' delimiter: line 1 column 14 (char 13)): "
            "it was cut short or edited; run its config again",
        ),
        ("provenance.json", "[]", "{path} holds a JSON list, not an object: these are not AMULET's results"),
        (
            "results.json",
            '{"version": 2}',
            "{path} is of version 2 of the results' format, and this AMULET reads version 1: "
            "read it with the AMULET that wrote it, or run its config again",
        ),
        (
            "provenance.json",
            "{}",
            "{folder} holds results of version 1 with wrong or missing parts (provenance.complete, "
            "provenance.components, provenance.cores, provenance.cpu, provenance.finished; 13 in all): "
            "was a file edited? Run its config again",
        ),
    ],
)
def test_a_file_that_is_not_ours_is_refused_with_what_to_do(results, tmp_path, name, text, message):
    write_results(results, tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(RequestError) as error:
        read_results(tmp_path)
    assert str(error.value) == message.format(path=tmp_path / name, folder=tmp_path)


def _with_cells(*cells):
    provenance = Provenance(
        started="",
        finished="",
        seconds=0,
        complete=True,
        platform="",
        python="",
        cpu="",
        cores=1,
        peak_memory_mb=0,
        threads_per_job=1,
        libraries={},
        plugins={},
        components=(),
    )
    return Results(
        name="small",
        config={},
        data={},
        seeds=(7,),
        design="",
        rows=(Row(label="placebo", kind="placebo"),),
        columns=(),
        cells=cells,
        entries=(),
        provenance=provenance,
    )
