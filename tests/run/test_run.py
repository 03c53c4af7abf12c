"""A run from end to end: what it hands out, whom it blames, what survives, and that equal requests give equal bits."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from amulet_core.api import run
from amulet_core.errors import RequestError
from amulet_core.registry import Registry
from amulet_core.results import Cell, Results


def statuses(results: Results, **where: Any) -> set[str]:
    return {cell.status for cell in select(results, **where)}


def select(results: Results, **where: Any) -> list[Cell]:
    return [cell for cell in results.cells if all(getattr(cell, key) == value for key, value in where.items())]


def faulty(name: str, fault: str = "raises") -> dict[str, Any]:
    return {"name": name, "params": {"fault": fault}}


def test_every_row_risk_attack_and_seed_has_a_cell(registry: Registry, config: Any) -> None:
    results = run(
        config(defenses=["keep", ["flip", "halve"]], risks=["evasion", "discriminatory-behavior"]), registry=registry
    )
    assert statuses(results) == {"ok"}
    found = [(cell.row, cell.risk, cell.attack, cell.seed) for cell in results.cells]
    assert len(found) == len(set(found)) == 4 * 2 * (2 + 1 + 1)
    assert results.matrix(show="mean").shape == (4, 3)
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
    run(
        config(risks={"evasion": {"attacks": ["nudge"]}, "membership-inference": {"attacks": ["curious"]}}),
        registry=registry,
    )
    assert seen.count("built") == 6 * 2
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
    none, _, halve = (one[1] for one in seen if one[0] == "logits")
    assert torch.equal(none, halve)


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


@pytest.mark.parametrize(
    ("changes", "row", "blame", "reason"),
    [
        ({"defenses": [faulty("keep"), "flip"]}, "keep", "toy/keep", "RuntimeError: the defense is out of order"),
        ({"defenses": [faulty("keep", "exits"), "flip"]}, "keep", "toy/keep", "SystemExit: 3"),
        (
            {"defenses": [faulty("keep", "nothing"), "flip"]},
            "keep",
            "toy/keep",
            "TypeError: its training stage returned NoneType, expected a Training",
        ),
        (
            {"defenses": [faulty("keep", "no models"), "flip"]},
            "keep",
            "toy/keep",
            "TypeError: fit returned 2 results (NoneType), expected 2 of the type Fitted",
        ),
        (
            {"defenses": [faulty("keep", "half the models"), "flip"]},
            "keep",
            "toy/keep",
            "TypeError: fit returned 1 results (Fitted), expected 2 of the type Fitted",
        ),
        (
            {"defenses": [faulty("keep", "nan evidence"), "flip"]},
            "keep",
            "toy/keep",
            'ValueError: the evidence "spent" is not JSON, or not finite',
        ),
        (
            {"defenses": [["keep", faulty("halve")], "flip"]},
            "keep + halve",
            "toy/halve",
            "RuntimeError: the wrapper is out of order",
        ),
        (
            {"defenses": [["keep", faulty("halve", "no probabilities")], "flip"], "risks": ["utility"]},
            "keep + halve",
            "toy/halve",
            "ValueError: its inference stage returned no probabilities for 200 of 200 rows",
        ),
    ],
)
def test_a_failing_defense_fails_its_own_row_and_nothing_else(
    registry: Registry, config: Any, changes: dict[str, Any], row: str, blame: str, reason: str
) -> None:
    results = run(config(**changes), registry=registry)
    failed = select(results, status="failed")
    assert {cell.row for cell in failed} == {row}
    assert {(cell.blame, cell.reason) for cell in failed} == {(blame, reason)}
    assert "Traceback" in failed[0].traceback
    assert statuses(results, row="flip") == statuses(results, row="none") == {"ok"}
    (entry,) = [entry for entry in results.entries if entry.row == row and entry.risk == "utility"]
    assert entry.missing == f"failed: {reason}"


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        (faulty("nudge"), "RuntimeError: the attack is out of order"),
        (
            faulty("nudge", "cheats"),
            "ValueError: the answer breaks the rules of the game: 200 rows lie up to 1.125 away, the budget is 0.01 (linf); "
            "200 rows leave the data's bounds at budget 0.01",
        ),
        (faulty("nudge", "asks about nan"), "ValueError: the attack asked about inputs that are not finite"),
    ],
)
def test_a_failing_attack_fails_its_own_cells_and_nothing_else(
    registry: Registry, config: Any, attack: dict[str, Any], reason: str
) -> None:
    results = run(config(risks={"evasion": {"attacks": [attack, "pgd"]}}), registry=registry)
    assert statuses(results, attack="toy/nudge") == {"failed"}
    assert statuses(results, attack="builtin/pgd") == statuses(results, risk="utility") == {"ok"}
    for cell in select(results, attack="toy/nudge"):
        assert cell.blame == "toy/nudge"
        assert cell.reason.startswith(reason)
    worst = [entry.mean for entry in results.entries if entry.risk == "evasion"]
    assert worst == [None, None]


def test_an_answer_of_the_wrong_length_is_the_attacks_fault(registry: Registry, config: Any) -> None:
    results = run(config(risks={"membership-inference": {"attacks": [faulty("curious", "short")]}}), registry=registry)
    cell = select(results, attack="toy/curious")[0]
    assert (cell.blame, cell.reason) == ("toy/curious", "ValueError: the answer has 99 scores for 100 candidates")


def test_a_metric_must_give_what_it_declares(registry: Registry, config: Any) -> None:
    results = run(
        config(risks={"evasion": {"attacks": ["nudge"], "metrics": [faulty("count", "undeclared")]}}), registry=registry
    )
    cell = select(results, attack="toy/nudge")[0]
    assert (cell.status, cell.blame) == ("failed", "toy/count")
    assert cell.reason == "ValueError: it gave the values ['other'], but its descriptor declares ['rows']"


def test_a_model_that_cannot_be_built_is_blamed_in_every_row(registry: Registry, config: Any) -> None:
    results = run(config(model=faulty("toy/linear"), defenses=["keep"]), registry=registry)
    assert {(cell.status, cell.blame, cell.reason) for cell in results.cells} == {
        ("failed", "toy/linear", "RuntimeError: the architecture is out of order")
    }


def test_a_model_without_a_logit_for_each_class_fails_by_name(registry: Registry, config: Any) -> None:
    results = run(config(model=faulty("toy/linear", "three logits")), registry=registry)
    assert {(cell.status, cell.blame, cell.reason) for cell in results.cells} == {
        (
            "failed",
            "toy/linear",
            "ValueError: the model's logits for 2 rows are [2, 3], expected [2, 2]: one for each class",
        )
    }


def test_a_model_that_returns_nan_fails_by_name(registry: Registry, config: Any) -> None:
    results = run(config(model=faulty("toy/linear", "nan")), registry=registry)
    assert {(cell.status, cell.blame) for cell in results.cells} == {("failed", "toy/linear")}
    assert select(results, risk="utility")[0].reason == (
        "ModelOutputError: the model's logits are not finite for 2 of 2 inputs: its training diverged "
        "(lower the learning rate) or its architecture divides by zero"
    )


@pytest.mark.parametrize(
    ("changes", "attack", "reason"),
    [
        ({"model": "opaque"}, "toy/nudge", "toy/nudge needs gradients, and toy/opaque has none"),
        (
            {"defenses": ["mute"], "risks": {"membership-inference": {"attacks": ["curious"]}}},
            "toy/curious",
            "toy/curious needs probabilities, and toy/mute releases labels only",
        ),
        (
            {"risks": {"evasion": {"attacks": ["nudge", "pixels"]}}},
            "toy/pixels",
            "not applicable: toy/pixels works on image data, this is tabular",
        ),
    ],
)
def test_a_cell_that_cannot_apply_is_skipped_with_the_reason(
    registry: Registry, config: Any, changes: dict[str, Any], attack: str, reason: str
) -> None:
    results = run(config(**changes), registry=registry)
    skipped = select(results, status="skipped")
    assert {(cell.attack, cell.reason) for cell in skipped} == {(attack, reason)}
    assert statuses(results, risk="utility") == {"ok"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"dataset": faulty("blobs", "missing")},
            "dataset: toy/blobs cannot be loaded: FileNotFoundError: blobs.npz is not in the folder AMULET_DATA",
        ),
        (
            {"dataset": faulty("blobs", "nan")},
            "dataset: toy/blobs cannot be loaded: ValueError: data: x is not finite in 1 rows (ids [3]): "
            "fill or drop unknown values",
        ),
        (
            {"dataset": faulty("blobs", "one class")},
            'split: all 1,500 rows are of one class, "no"; a classifier needs two',
        ),
        (
            {"dataset": {"name": "blobs", "params": {"rows": 300}}},
            "split: 1 disjoint blocks of 370 rows (2 x 50 train, 20 val, 200 test, 50 aux) are 370 rows, but the data have "
            "300; the largest train that fits is 15",
        ),
        (
            {"dataset": faulty("blobs", "no groups"), "risks": ["discriminatory-behavior"]},
            "risks.discriminatory-behavior.metrics: builtin/group-fairness needs a sensitive attribute, and the data set "
            "declares none",
        ),
        (
            {"risks": {"discriminatory-behavior": {"threat": {"attribute": "race"}}}},
            'risks.discriminatory-behavior.threat: the data set has no sensitive attribute "race"; it has sex',
        ),
        (
            {"dataset": faulty("blobs", "no groups"), "defenses": ["reweighing"]},
            "defenses.0 (reweighing): builtin/reweighing needs a sensitive attribute, and the data set declares none",
        ),
        (
            {"dataset": "digits", "model": "cnn", "defenses": ["reweighing"]},
            "defenses.0 (reweighing): builtin/reweighing needs a sensitive attribute, and the data set declares none",
        ),
    ],
)
def test_bad_data_end_the_request_before_anything_is_trained(
    registry: Registry, config: Any, seen: list[Any], changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(RequestError) as error:
        run(config(**changes), registry=registry)
    assert problem in error.value.problems
    assert "built" not in seen


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"defenses": ["lost"]},
            "defense toy/lost: toy_components:gone cannot be loaded: AttributeError: module 'toy_components' has no "
            "attribute 'gone'. Install what it needs, or update or uninstall amulet-plugin-toy 1.0.",
        ),
        (
            {"risks": {"evasion": {"attacks": ["needless"]}}},
            "toy/needless: its needs() failed: ZeroDivisionError: division by zero. Update or report amulet-plugin-toy.",
        ),
        ({"executor": "toy/broken"}, "executor: toy/broken cannot be started: RuntimeError: no workers"),
        (
            {"defenses": ["dice"]},
            "defenses.0 (dice): toy/dice answers at random, and AMULET does not measure randomised defenses yet: leave it out",
        ),
    ],
)
def test_a_plugin_that_fails_before_the_run_is_a_wrong_request_that_names_it(
    registry: Registry, config: Any, seen: list[Any], changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(RequestError) as error:
        run(config(**changes), registry=registry)
    assert any(problem in text for text in error.value.problems), error.value.problems
    assert "built" not in seen


def test_an_attack_that_cannot_say_whether_it_applies_is_skipped_by_name(registry: Registry, config: Any) -> None:
    results = run(config(risks={"evasion": {"attacks": ["nudge", "fussy"]}}), registry=registry)
    assert {cell.reason for cell in select(results, attack="toy/fussy")} == {
        "not applicable: toy/fussy: its applicable() failed: ZeroDivisionError: division by zero. "
        "Update or report amulet-plugin-toy."
    }


def test_overrides_are_obeyed_for_a_mapping_too(registry: Registry, config: Any) -> None:
    assert run(config(), overrides=["seeds=1"], registry=registry).seeds == (0,)


def test_a_folder_in_the_place_of_the_report_is_known_beforehand(
    registry: Registry, config: Any, seen: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(RequestError) as error:
        run(config(), out=tmp_path, registry=registry)
    assert str(error.value) == (
        f"the output folder {tmp_path} has folders called report.html: choose another with --out."
    )
    assert seen == []


def test_an_empty_group_is_reported_and_not_filled_in(registry: Registry, config: Any) -> None:
    """Nobody in the data has the third value of sex: it is left out by name, and the other two are compared."""
    results = run(config(risks=["discriminatory-behavior"]), registry=registry)
    cell = select(results, row="none", risk="discriminatory-behavior")[0]
    assert cell.status == "ok"
    assert cell.measured[0].scores.details["too_small"] == ["x"]
    estimates = [value for value in cell.measured[0].scores.values if value.name == "demographic_parity_difference"]
    assert estimates[0].n == 200


def test_an_interrupted_run_keeps_what_was_done(registry: Registry, config: Any, tmp_path: Path) -> None:
    attacks = [faulty("nudge", "interrupted")]
    results = run(
        config(risks={"utility": {}, "evasion": {"attacks": attacks}}, seeds=1), out=tmp_path, registry=registry
    )
    assert not results.provenance.complete
    assert statuses(results, risk="utility", row="none") == {"ok"}
    assert {cell.reason for cell in select(results, attack="toy/nudge")} == {"the run was interrupted before"}
    assert (tmp_path / "report.html").exists()
    assert json.loads((tmp_path / "provenance.json").read_text())["complete"] is False


def test_a_folder_that_cannot_be_written_ends_the_request_before_anything_runs(
    registry: Registry, config: Any, seen: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError) as error:
        run(config(), out=tmp_path / "file" / "out", registry=registry)
    assert str(error.value) == (
        f"the output folder {tmp_path / 'file' / 'out'} cannot be written: Not a directory. Choose another with --out."
    )
    assert seen == []


def test_a_folder_with_the_results_of_another_configuration_is_left_alone(
    registry: Registry, config: Any, tmp_path: Path
) -> None:
    run(config(seeds=1), out=tmp_path, registry=registry)
    before = (tmp_path / "results.json").read_bytes()
    with pytest.raises(RequestError) as error:
        run(config(seeds=2), out=tmp_path, registry=registry)
    assert str(error.value) == (
        f"the output folder {tmp_path} holds the results of another configuration: choose another with --out, or remove it."
    )
    assert (tmp_path / "results.json").read_bytes() == before
    run(config(seeds=1), out=tmp_path, registry=registry)


def test_observers_are_told_of_every_cell(registry: Registry, config: Any, seen: list[Any]) -> None:
    results = run(config(), registry=registry)
    told = [one for one in seen if isinstance(one, tuple) and len(one) == 3 and isinstance(one[2], str)]
    assert sorted(told) == sorted((cell.row, cell.risk, cell.status) for cell in results.cells)
    assert ("run started", 2) in seen
    assert ("run finished", len(results.cells)) in seen
    steps = [one[1:] for one in seen if isinstance(one, tuple) and one[0] == "progress"]
    assert steps == [(step, len(steps)) for step in range(1, len(steps) + 1)]
    started = [one[1:] for one in seen if isinstance(one, tuple) and one[0] == "started"]
    assert sorted(started) == sorted((cell.row, cell.risk, cell.attack, cell.seed) for cell in results.cells)


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
