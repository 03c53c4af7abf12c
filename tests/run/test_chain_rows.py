"""The members of a chain alone beside it: which rows are added, where, and what they are called."""

import json
from typing import Any

import pytest

from amulet_core.api import run
from amulet_core.configuration.reading import resolve
from amulet_core.discovery.registry import Registry
from amulet_core.errors import RequestError

STRONG = {"name": "adversarial-training", "params": {"epsilon": 0.1}}
MILD = {"name": "adversarial-training", "params": {"epsilon": 0.01}}


@pytest.mark.parametrize(
    ("defenses", "labels"),
    [
        (["flip", "keep"], ["flip", "keep"]),
        ([["flip", "keep"]], ["flip", "keep", "flip + keep"]),
        ([["flip", "keep"], "keep"], ["flip", "flip + keep", "keep"]),
        ([["flip", "keep"], ["flip", "halve"]], ["flip", "keep", "flip + keep", "halve", "flip + halve"]),
        ([{"label": "both", "chain": ["keep", "flip"]}], ["flip", "keep", "both"]),
        ([{"label": "mine", "chain": "keep"}, ["flip", "keep"]], ["mine", "flip", "flip + keep"]),
        ([{"label": "mine", "name": "keep"}, ["flip", "keep"]], ["mine", "flip", "flip + keep"]),
        (
            [["keep", STRONG], {"label": "mild", "chain": ["keep", MILD]}],
            ["keep", "adversarial-training", "keep + adversarial-training", "adversarial-training (2)", "mild"],
        ),
        (
            [{"label": "flip", "chain": ["flip", "keep"]}, {"label": "flip (2)", "chain": ["halve"]}],
            ["flip (3)", "keep", "flip", "flip (2)"],
        ),
        ([["giver", "needy"]], ["giver", "giver + needy"]),
        ([["keep", "second"]], ["keep", "keep + second"]),
        ([["flip"]], ["flip"]),
    ],
    ids=str,
)
def test_each_member_of_a_chain_stands_alone_before_it_once(
    registry: Registry, config: Any, defenses: list[Any], labels: list[str]
) -> None:
    rows = resolve(config(defenses=defenses), registry).rows
    assert [row.label for row in rows] == ["none", "placebo", *labels]


@pytest.mark.parametrize("chain", [["fine-pruning", "adversarial-training"], ["spectral-signatures", "ibp"]], ids=str)
def test_a_member_that_needs_only_what_the_model_has_is_measured_alone(
    registry: Registry, config: Any, chain: list[str]
) -> None:
    rows = resolve(config(model="mlp", defenses=[chain]), registry).rows
    assert [row.label for row in rows] == ["none", "placebo", *chain, " + ".join(chain)]


def test_a_member_alone_has_the_parameters_it_has_in_the_chain(registry: Registry, config: Any) -> None:
    rows = resolve(config(defenses=["adversarial-training", ["keep", STRONG]]), registry).rows
    by_label = {row.label: row for row in rows}
    assert by_label["adversarial-training (2)"].chain[0].canonical()["params"]["epsilon"] == 0.1
    assert by_label["adversarial-training"].chain[0].canonical()["params"]["epsilon"] != 0.1


def test_members_are_not_measured_alone_where_the_configuration_says_so(registry: Registry, config: Any) -> None:
    request = resolve(config(defenses=[["flip", "keep"]], members_alone=False), registry)
    assert [row.label for row in request.rows] == ["none", "placebo", "flip + keep"]
    assert request.canonical()["members_alone"] is False


@pytest.mark.parametrize("alone", [True, False])
def test_the_resolved_rows_resolve_to_themselves_however_long_their_labels(
    registry: Registry, config: Any, alone: bool
) -> None:
    long = ["outlier-removal", "adversarial-training", "label-smoothing", "early-stopping", "adversarial-debiasing"]
    first = resolve(config(defenses=[long, ["flip", "keep"]], members_alone=alone), registry).canonical()
    assert resolve(json.loads(json.dumps(first)), registry).canonical() == first


def test_what_a_member_cannot_do_is_said_once_for_its_chain(registry: Registry, config: Any) -> None:
    data = {"name": "blobs", "params": {"fault": "no groups"}}
    with pytest.raises(RequestError) as error:
        run(config(dataset=data, defenses=[["reweighing", "keep"]], risks=["evasion"]), registry=registry)
    assert error.value.problems == (
        "defenses.0 (reweighing + keep): builtin/reweighing needs a sensitive attribute, and the data set declares none",
    )


def test_a_run_of_a_chain_says_what_it_keeps_and_what_could_not_be_compared(registry: Registry, config: Any) -> None:
    results = run(config(defenses=[["giver", "needy"]], risks=["evasion"], seeds=2), registry=registry)
    assert [row.label for row in results.rows] == ["none", "placebo", "giver", "giver + needy"]
    assert {cell.status for cell in results.cells} == {"ok"}
    reason = "not measured alone: it cannot stand without the others of its chain"
    assert ("toy/needy", "", "missing", reason) in [
        (one.member, one.alone, one.verdict, one.verdict_reason) for one in results.conflicts
    ]
