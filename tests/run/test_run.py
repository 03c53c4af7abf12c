"""A run from end to end: what it hands out, what it shares, and that equal requests give equal bits."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import importlib_metadata
import pytest
import torch
from cells_of import faulty, select, statuses

from amulet_core.api import run
from amulet_core.discovery.registry import Registry, discover
from amulet_core.hooks import OBSERVERS

WATCH = """
import json
from pathlib import Path

def note(*what):
    with Path("FILE").open("a") as file:
        file.write(json.dumps(what) + "\\n")

@hookimpl
def amulet_run_started(run):
    note("amulet_run_started", run["seeds"])

@hookimpl
def amulet_progress(done, total):
    note("amulet_progress", done, total)

@hookimpl
def amulet_cell_started(cell):
    note("amulet_cell_started", cell["row"], cell["risk"], cell["attack"], cell["seed"])

@hookimpl
def amulet_cell_finished(cell):
    note("amulet_cell_finished", cell["row"], cell["risk"], cell["status"])

@hookimpl
def amulet_run_finished(results, folder):
    note("amulet_run_finished", len(results["cells"]), folder)
"""


def test_every_row_risk_attack_and_seed_has_a_cell(registry: Registry, config: Any) -> None:
    results = run(
        config(defenses=["keep", ["flip", "halve"]], risks=["evasion", "discriminatory-behavior"]), registry=registry
    )
    assert statuses(results) == {"ok"}
    found = [(cell.row, cell.risk, cell.attack, cell.seed) for cell in results.cells]
    assert len(found) == len(set(found)) == 6 * 2 * (2 + 1 + 1)
    assert results.matrix(show="mean").shape == (6, 3)
    assert results.matrix(show="mean").notna().all(axis=None)


def test_the_same_request_gives_the_same_bits(registry: Registry, config: Any, tmp_path: Path) -> None:
    raw = config(defenses=["flip"], risks=["evasion", "membership-inference", "discriminatory-behavior"])
    for name in ("one", "two"):
        run(raw, out=tmp_path / name, registry=registry)
    for file in ("results.json", "results.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_another_root_seed_gives_other_results(registry: Registry, config: Any) -> None:
    one, other = (run(config(root_seed=seed), registry=registry) for seed in (0, 1))
    assert one.entries != other.entries


def test_a_run_leaves_the_global_state_alone(registry: Registry, config: Any) -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    run(config(threads_per_job=1), registry=registry)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_every_defense_is_attacked_on_the_same_rows_in_the_same_order(
    registry: Registry, config: Any, seen: list[Any]
) -> None:
    run(config(defenses=["flip"], seeds=3), registry=registry)
    first_rows = [one for one in seen if isinstance(one, tuple) and len(one) == 4 and isinstance(one[0], float)]
    assert len(first_rows) == 9
    assert len(set(first_rows)) == 3


def test_one_victim_serves_every_attack_and_shadow_models_serve_every_seed(
    registry: Registry, config: Any, seen: list[Any]
) -> None:
    """Crossed: 2 seeds and 4 shadow models take 3 pairs, hence 6 models (the partners of victims are shadow models)."""
    results = run(
        config(risks={"evasion": {"attacks": ["nudge"]}, "membership-inference": {"attacks": ["curious"]}}),
        registry=registry,
    )
    trained = [label for label in results.provenance.timings if label.startswith("train")]
    assert trained == ["train none (6 models)", "train placebo (6 models)"]
    assert (4, 100, 2) in seen


@pytest.mark.parametrize("shadow", ["adaptive", "undefended"])
def test_shadow_models_follow_the_threat_model(registry: Registry, config: Any, seen: list[Any], shadow: str) -> None:
    """Undefended shadow models are the very ones of the row none; adaptive ones are trained on flipped labels too."""
    risks = {"membership-inference": {"threat": {"shadow": shadow}, "attacks": ["curious"]}}
    results = run(config(defenses=["flip"], risks=risks, seeds=1), registry=registry)
    expected = {"adaptive": "adaptive", "undefended": "not adaptive: undefended shadow models"}
    assert {cell.adversary for cell in select(results, row="flip", attack="toy/curious")} == {expected[shadow]}
    none, placebo, flip = (one[1] for one in seen if one[0] == "lab")
    assert torch.equal(none, flip) == torch.equal(none, placebo) == (shadow == "undefended")


def test_a_memorising_victim_is_found_out_and_its_shadow_models_help(registry: Registry, config: Any) -> None:
    """Labels are noise, so that a model can only memorise: joined with the wrong truth, every AUC would be below .5."""
    raw = config(
        dataset={"name": "blobs", "params": {"fault": "nothing to learn"}},
        model="mlp",
        training={"epochs": 60, "batch_size": 20, "learning_rate": 0.01},
        data={"train": 60, "val": 20, "test": 100, "aux": 50},
        risks={"membership-inference": {"attacks": ["loss-threshold", {"name": "lira", "params": {"mode": "online"}}]}},
        seeds=2,
    )
    found = {
        (cell.attack, cell.seed): cell.measured[0].scores["auc"].estimate
        for cell in run(raw, registry=registry).cells
        if cell.row == "none" and cell.risk == "membership-inference"
    }
    assert all(found["builtin/loss-threshold", seed] > 0.55 for seed in (0, 1))
    assert all(found["builtin/lira", seed] > 0.6 for seed in (0, 1))


def test_the_adversarys_own_rows_hold_every_class_however_few_it_has(
    registry: Registry, config: Any, seen: list[Any]
) -> None:
    risks = {"membership-inference": {"threat": {"population": 20}, "attacks": ["curious"]}}
    run(config(risks=risks, data={"train": 50, "val": 20, "test": 200, "aux": 200}), registry=registry)
    for population in (one[1] for one in seen if one[0] == "population"):
        assert 3 <= int(population.sum()) <= 17
        assert len(population) == 20


def test_a_white_box_attack_sees_the_model_beneath_the_wrapper(
    registry: Registry, config: Any, seen: list[Any]
) -> None:
    run(config(defenses=["halve"], seeds=1), registry=registry)
    asked = [one[1] for one in seen if one[0] == "logits"]
    assert sorted(torch.equal(one, other) for one, other in combinations(asked, 2)) == [False, False, True]


def test_a_wrapper_that_is_certain_leaves_finite_logits(registry: Registry, config: Any) -> None:
    results = run(config(defenses=[faulty("halve", "certain")], risks=["membership-inference"]), registry=registry)
    assert statuses(results) == {"ok"}


def test_a_wrapper_that_draws_gives_the_same_bits_again(registry: Registry, config: Any) -> None:
    raw = config(defenses=[faulty("halve", "noisy")], risks=["membership-inference"])
    before = torch.get_rng_state()
    one, other = (run(raw, registry=registry) for _ in range(2))
    assert one.cells == other.cells
    assert torch.equal(torch.get_rng_state(), before)


def test_privacy_is_accounted_for_the_rows_that_a_chain_keeps(registry: Registry, config: Any) -> None:
    raw = config(defenses=[["thin", {"name": "dp-sgd", "params": {"batch_size": 5, "noise_multiplier": 2.0}}]], seeds=1)
    results = run(raw, registry=registry)
    rate = results.provenance.evidence["thin + dp-sgd"]["privacy"]["sample_rate"]
    assert 5 / rate == pytest.approx(round(5 / rate))
    assert 10 < 5 / rate < 40


def test_a_defense_that_changes_nothing_changes_nothing(registry: Registry, config: Any) -> None:
    """The row shares its draws with the row none, so that the difference is exactly zero, not just noise."""
    results = run(config(defenses=["keep"], risks=["evasion", "membership-inference"]), registry=registry)
    effects = [entry.effect for entry in results.entries if entry.row == "keep"]
    assert [effect.difference for effect in effects if effect] == [0.0, 0.0, 0.0]


def test_the_placebo_row_trains_on_the_same_rows_with_other_draws(registry: Registry, config: Any) -> None:
    results = run(config(risks=["evasion"], training={"epochs": 1, "batch_size": 50}), registry=registry)
    values = {entry.row: entry.values for entry in results.entries if entry.risk == "utility"}
    assert values["none"] != values["placebo"]


def test_observers_are_told_of_every_cell(registry: Registry, packages: Any, config: Any, tmp_path: Path) -> None:
    """An observer works in a process of its own, hence writes what it is told into a file."""
    packages.add("watch", WATCH.replace("FILE", str(tmp_path / "told")))
    observing = discover(entry_points=[*packages.entry_points(), *importlib_metadata.entry_points(name="builtin")])
    results = run(config(), registry=observing, out=tmp_path / "out")
    told = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    by_hook = {hook: [rest for name, *rest in told if name == hook] for hook in OBSERVERS}
    cells = results.cells
    assert sorted(by_hook["amulet_cell_finished"]) == sorted([cell.row, cell.risk, cell.status] for cell in cells)
    assert sorted(by_hook["amulet_cell_started"]) == sorted(
        [cell.row, cell.risk, cell.attack, cell.seed] for cell in cells
    )
    steps = len(by_hook["amulet_progress"])
    assert by_hook["amulet_progress"] == [[step, steps] for step in range(1, steps + 1)]
    assert by_hook["amulet_run_started"] == [[2]]
    assert by_hook["amulet_run_finished"] == [[len(cells), str(tmp_path / "out")]]
    assert told[0][0] == "amulet_run_started"
    assert told[-1][0] == "amulet_run_finished"


def test_a_reporter_writes_into_the_folder_of_the_run(registry: Registry, config: Any, tmp_path: Path) -> None:
    run(config(name="mine", reporters=["note"]), out=tmp_path, registry=registry)
    assert (tmp_path / "note.txt").read_text() == "mine"


def test_a_reporter_that_fails_is_a_warning_and_costs_no_result(
    registry: Registry, config: Any, tmp_path: Path, capsys: Any
) -> None:
    run(config(reporters=[faulty("note")]), out=tmp_path, registry=registry)
    assert "warning: reporter toy/note: RuntimeError: the reporter is out of order" in capsys.readouterr().err
    assert (tmp_path / "results.json").exists()


def test_the_joined_attacks_leave_no_more_robust_rows_than_each_alone(registry: Registry, config: Any) -> None:
    risks = {"evasion": {"threat": {"epsilon": 0.1}, "attacks": ["nudge", {"name": "pgd", "params": {"steps": 3}}]}}
    results = run(config(risks=risks), registry=registry)
    for seed in (0, 1):
        value = {
            cell.attack: cell.measured[0].scores["robust_accuracy"].estimate
            for cell in select(results, row="none", risk="evasion", seed=seed)
        }
        assert value["worst case"] == min(value["toy/nudge"], value["builtin/pgd"])
        assert value["builtin/pgd"] < value["toy/nudge"]


def test_an_inference_stage_defense_acts_on_what_the_attack_sees(registry: Registry, config: Any) -> None:
    """Halved probabilities keep every label and change every loss."""
    results = run(config(defenses=["halve"], risks=["membership-inference"]), registry=registry)
    differences = {
        entry.risk: entry.effect.difference for entry in results.entries if entry.row == "halve" and entry.effect
    }
    assert differences["utility"] == 0.0
    assert statuses(results) == {"ok"}


def test_python_users_get_a_tidy_frame_and_a_report(registry: Registry, config: Any, tmp_path: Path) -> None:
    import amulet_core as amulet

    results = amulet.run(config(), registry=registry)
    frame = results.frame
    assert {"row", "risk", "attack", "seed", "metric", "value", "estimate", "low", "high"} <= set(frame.columns)
    assert len(frame) > len(results.cells)
    assert results.report(tmp_path / "r.html").read_text().startswith("<!doctype html>")


def test_a_job_uses_as_many_threads_as_the_run_says_in_every_library(
    registry: Registry, config: Any, seen: list[Any]
) -> None:
    """Another number would change the last bits of sums, and workers would take each other's cores."""
    run(config(risks={"evasion": {"attacks": [faulty("nudge", "counts threads")]}}), registry=registry)
    counted = [one[1] for one in seen if isinstance(one, tuple) and one[0] == "threads"]
    assert counted
    assert set(counted) == {(1,)}
