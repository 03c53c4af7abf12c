import pytest
from mlflow.utils import validation

from amulet_plugin_mlflow import contents

ODD = ["dp-sgd + reweighing", "..", "a/b", "ε = 8 (tight)", "x" * 60, " ", "a.", "none"]


def cell(**changes):
    values = [{"name": "auc", "estimate": 0.75, "low": 0.7}, {"name": "tpr", "reason": "too few members"}]
    measured = [{"metric": "builtin/membership", "scores": {"values": values, "details": {}}}]
    return {
        "row": "none", "risk": "membership-inference", "attack": "builtin/lira", "seed": 3, "status": "ok",
        "measured": measured,
    } | changes  # fmt: skip


def entry(**changes):
    effect = {"difference": 0.1, "low": 0.05, "high": 0.15, "verdict": "risk up", "verdict_reason": ""}
    return {"row": "dp-sgd", "risk": "evasion", "mean": 0.4, "effect": effect} | changes


def results(**changes):
    return {"cells": [cell()], "entries": [entry()], "provenance": {"complete": True}} | changes


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "membership-inference/lira/membership/auc/none"),
        ({"attack": "other/lira"}, "membership-inference/other/lira/membership/auc/none"),
        ({"attack": "worst case"}, "membership-inference/worst case/membership/auc/none"),
        ({"attack": "", "risk": "mine/risk"}, "mine/risk/membership/auc/none"),
    ],
)
def test_a_cell_logs_its_values_by_seed_and_nothing_that_was_withheld(changes, name):
    assert contents.cell_metrics(cell(**changes), {"none": "none"}) == [(name, 0.75, 3)]


def test_a_cell_that_failed_logs_nothing():
    assert contents.cell_metrics(cell(status="failed", measured=[]), {"none": "none"}) == []


def test_an_entry_logs_its_mean_and_its_effect_where_there_is_one():
    alone = entry(effect={"difference": 0.1, "low": None, "high": None})
    undefended = entry(row="none", effect=None)
    rows = contents.row_names(["none", "dp-sgd"])
    effects = contents.entry_metrics(results(entries=[undefended, alone, entry(mean=None)]), rows)
    assert [(metric.name, metric.value) for metric in effects] == [
        ("effect/evasion/mean/none", 0.4),
        ("effect/evasion/mean/dp-sgd", 0.4),
        ("effect/evasion/difference/dp-sgd", 0.1),
        ("effect/evasion/difference/dp-sgd", 0.1),
        ("effect/evasion/low/dp-sgd", 0.05),
        ("effect/evasion/high/dp-sgd", 0.15),
    ]


@pytest.mark.parametrize("label", ODD)
def test_whatever_a_row_is_called_mlflow_accepts_its_names(label):
    rows = contents.row_names([label])
    (metric,) = contents.cell_metrics(cell(row=label, risk="r" * 230), rows)
    validation._validate_metric_name(metric.name)
    validation._validate_length_limit("name", validation.MAX_ENTITY_KEY_LENGTH, metric.name)
    tags = contents.tags(results(entries=[entry(row=label)]), rows, version="1")
    for name, text in tags.items():
        validation._validate_tag(name, text)


def test_rows_that_would_be_called_the_same_keep_apart():
    labels = ["a + b", "a / b", "A _ B", "CASE", "Case", "a.b", "none"]
    names = contents.row_names(labels)
    assert len({name.casefold() for name in names.values()}) == len(labels)
    assert (names["a.b"], names["none"]) == ("a.b", "none")
    assert names["a + b"].startswith("a _ b-")


def test_long_names_that_begin_alike_keep_apart():
    alike = [contents.params({"x" * 260 + end: 1}) for end in "ab"]
    (one,), (other,) = alike
    assert one != other
    assert len(one) == len(other) == 250


def test_a_configuration_becomes_flat_texts():
    config = {
        "name": "small",
        "training": {"epochs": 2, "momentum": 0.9, "schedule": None},
        "drop": [],
        "curve": [0.1, 0.2],
        "defenses": [{"label": "a + b", "chain": [{"name": "x/a", "params": {}}]}],
        "risks": {"mine/risk": {"on": True}},
        "long": "y" * 7000,
    }
    assert contents.params(config) == {
        "name": "small",
        "training.epochs": "2",
        "training.momentum": "0.9",
        "training.schedule": "null",
        "drop": "[]",
        "curve": "[0.1, 0.2]",
        "defenses.0.label": "a + b",
        "defenses.0.chain.0.name": "x/a",
        "defenses.0.chain.0.params": "{}",
        "risks.mine/risk.on": "true",
        "long": "y" * 5997 + "...",
    }


def test_tags_say_how_the_run_ended_and_what_was_found():
    few = {"difference": 0.1, "verdict": "too few seeds", "verdict_reason": "2 seeds"}
    found = results(
        cells=[cell(), cell(status="failed"), cell(status="failed")],
        entries=[entry(), entry(risk="utility", effect=few), entry(row="none", effect=None)],
    )
    assert contents.tags(found, contents.row_names(["none", "dp-sgd"]), version="1.2") == {
        "amulet.version": "1.2",
        "amulet.complete": "true",
        "amulet.cells": "1 ok, 2 failed, 0 skipped",
        "verdict/evasion/dp-sgd": "risk up",
        "verdict/utility/dp-sgd": "too few seeds: 2 seeds",
    }


@pytest.mark.parametrize(
    ("statuses", "complete", "expected"),
    [
        (("ok", "skipped"), True, "FINISHED"),
        (("ok", "failed"), True, "FAILED"),
        (("ok", "skipped"), False, "KILLED"),
        (("failed",), False, "KILLED"),
    ],
)
def test_the_status_is_mlflows_word_for_how_the_run_ended(statuses, complete, expected):
    cells = [cell(status=status) for status in statuses]
    assert contents.status(results(cells=cells, provenance={"complete": complete})) == expected
