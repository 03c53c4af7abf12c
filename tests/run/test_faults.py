"""What goes wrong in a run: whom it blames, what survives, and what is known before anything runs."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from cells_of import faulty, select, statuses
from pydantic import ValidationError

from amulet_core.api import run
from amulet_core.discovery.registry import Registry
from amulet_core.errors import RequestError
from amulet_core.games.artifacts import Artifact
from amulet_core.games.attribute import AttributeAnswer
from amulet_core.games.distribution import DistributionAnswer
from amulet_core.games.membership import MembershipAnswer


@pytest.mark.parametrize(
    ("changes", "row", "blame", "reason"),
    [
        ({"defenses": [faulty("keep"), "flip"]}, "keep", "toy/keep", "RuntimeError: the defense is out of order"),
        ({"defenses": [faulty("keep", "exits"), "flip"]}, "keep", "toy/keep", "SystemExit: 3"),
        (
            {"defenses": [faulty("keep", "half a character"), "flip"]},
            "keep",
            "toy/keep",
            "ValueError: no such file: a\\udcff",
        ),
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
            {"defenses": [["keep", faulty("halve")], "flip"], "members_alone": False},
            "keep + halve",
            "toy/halve",
            "RuntimeError: the wrapper is out of order",
        ),
        (
            {"defenses": [["keep", faulty("halve", "exits")], "flip"], "members_alone": False},
            "keep + halve",
            "toy/halve",
            "SystemExit: 3",
        ),
        (
            {
                "defenses": [["keep", faulty("halve", "no probabilities")], "flip"],
                "risks": ["utility"],
                "members_alone": False,
            },
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


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("short", "ValueError: the answer has 99 scores for 100 candidates"),
        (
            "nan threshold",
            "ValidationError: 1 validation error for MembershipAnswer threshold Input should be a finite",
        ),
    ],
)
def test_an_answer_that_cannot_be_read_is_the_attacks_fault(
    registry: Registry, config: Any, fault: str, reason: str
) -> None:
    results = run(config(risks={"membership-inference": {"attacks": [faulty("curious", fault)]}}), registry=registry)
    cell = select(results, attack="toy/curious")[0]
    assert cell.blame == "toy/curious"
    assert cell.reason.startswith(reason)


@pytest.mark.parametrize("threshold", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("answer", "shape"), [(MembershipAnswer, (3,)), (AttributeAnswer, (3, 2)), (DistributionAnswer, (3,))]
)
def test_no_answer_has_a_threshold_that_is_not_finite(
    answer: type[Artifact], shape: tuple[int, ...], threshold: float
) -> None:
    score = torch.zeros(shape, dtype=torch.float64)
    assert answer(score=score, threshold=0.5).threshold == 0.5  # type: ignore[attr-defined]
    with pytest.raises(ValidationError, match="threshold") as error:
        answer(score=score, threshold=threshold)
    (found,) = error.value.errors()
    assert (found["loc"], found["msg"]) == (("threshold",), "Input should be a finite number")


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
            {
                "defenses": [{"label": "both", "chain": ["mute", "hush"]}],
                "members_alone": False,
                "risks": {"membership-inference": {"attacks": ["curious"]}},
            },
            "toy/curious",
            "toy/curious needs probabilities, and toy/mute and toy/hush release labels only",
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
    assert cell.warnings == ("groups of sex with fewer than 30 test rows are not compared (rows: x 0)",)
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


def test_a_folder_with_the_results_of_other_data_is_left_alone_though_the_configuration_names_the_same_file(
    registry: Registry, config: Any, tmp_path: Path
) -> None:
    table, out = tmp_path / "loans.csv", tmp_path / "out"
    lines = [f"{index},{'fm'[index % 3 > 0]},{'ny'[index % 7 > 2]}" for index in range(400)]
    table.write_text("\n".join(["income,sex,granted", *lines, ""]))
    params = {"path": str(table), "label": "granted", "sensitive": ["sex"], "bounds": {"income": [0, 400]}}
    asked = config(dataset={"name": "builtin/table-file", "params": params}, risks=["utility"], seeds=1)
    first = run(asked, out=out, registry=registry)
    assert first.data["class_rows"] == {"n": 172, "y": 228}
    assert {name: sum(rows.values()) for name, rows in first.data["groups"]["sex"].items()} == {"f": 134, "m": 266}
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.suffix in (".json", ".html")}
    provenance = json.loads(before["provenance.json"])
    assert provenance["data_sha256"] == first.data["sha256"] == json.loads(before["results.json"])["data"]["sha256"]
    table.write_text("\n".join(["income,sex,granted", *lines[:-1], "400,f,n", ""]))
    other = run(asked, registry=registry).data["sha256"]
    with pytest.raises(RequestError) as error:
        run(asked, out=out, registry=registry)
    assert str(error.value) == (
        f"the output folder {out} holds results of other data: their SHA-256 was {first.data['sha256'][:12]}… and is now "
        f"{other[:12]}…, so the data set, or how it is read, has changed since. Choose another with --out, or remove it."
    )
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.suffix in (".json", ".html")} == before


def test_a_folder_of_before_the_hash_of_the_data_was_kept_goes_on(
    registry: Registry, config: Any, tmp_path: Path
) -> None:
    asked = config(seeds=1, risks=["utility"])
    run(asked, out=tmp_path, registry=registry)
    path = tmp_path / "provenance.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "data_sha256"}))
    assert run(asked, out=tmp_path, registry=registry).provenance.reused == 2
    path.write_text("[]")
    assert run(asked, out=tmp_path, registry=registry).provenance.reused == 2


def test_an_executor_that_does_not_end_well_costs_no_result(
    registry: Registry, config: Any, tmp_path: Path, capsys: Any
) -> None:
    results = run(config(executor=faulty("toy/broken", "door")), registry=registry, out=tmp_path / "out")
    assert statuses(results) == {"ok"}
    assert (tmp_path / "out" / "results.json").exists()
    assert (
        capsys.readouterr().err.count("warning: executor: toy/broken did not end well: OSError: cannot close the door")
        == 1
    )


def test_what_an_executor_warns_of_is_shown_at_once_and_once(registry: Registry, config: Any, capsys: Any) -> None:
    results = run(config(executor=faulty("toy/broken", "tired")), registry=registry)
    lines = capsys.readouterr().err.splitlines()
    assert lines.count("warning: the workers are tired") == 1
    assert lines.index("warning: the workers are tired") < next(
        i for i, line in enumerate(lines) if line.startswith("[1/")
    )
    assert "the workers are tired" in results.provenance.warnings


@pytest.mark.parametrize("error", [OSError(38, "Function not implemented"), NotImplementedError()])
def test_an_output_folder_without_locks_says_so(
    registry: Registry, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    import filelock

    def refused(_self: Any, **_given: Any) -> None:
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", refused)
    with pytest.raises(RequestError) as caught:
        run(config(), out=tmp_path / "out", registry=registry)
    assert str(caught.value) == (
        f"the output folder {tmp_path / 'out'} is on a file system without locks, which keep two runs from writing into one "
        "folder: choose another with --out."
    )
