"""The commands that run something: what they print, and their exit codes."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from amulet_core import api
from amulet_core.commands import cli
from amulet_core.configuration.json_schema import json_schema
from amulet_core.configuration.reading import overridden, read, resolve
from amulet_core.discovery.registry import Registry


@pytest.fixture
def command(registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return a function that writes a configuration and runs ``amulet run`` on it, in a folder of its own."""
    monkeypatch.setattr(cli, "discover", lambda **_: registry)
    monkeypatch.chdir(tmp_path)

    def run(config: dict[str, Any], *arguments: str) -> int:
        Path("mine.yaml").write_text(yaml.safe_dump(config))
        return cli.main(["run", "mine.yaml", *arguments])

    return run


def test_a_run_prints_the_matrix_and_where_the_report_is(command: Any, config: Any, capsys: Any) -> None:
    assert command(config()) == 0
    shown = capsys.readouterr()
    assert "robust accuracy" in shown.out
    assert "placebo" in shown.out
    assert shown.out.rstrip().endswith("Report: amulet-mine/report.html")
    assert "12 cells (12 ok) in " in shown.out
    for file in ("results.csv", "results.json", "provenance.json", "report.html"):
        assert (Path("amulet-mine") / file).stat().st_size > 100


def test_results_go_where_the_run_began_though_a_component_goes_elsewhere(command: Any, config: Any) -> None:
    here = Path.cwd()
    nudge = {"name": "nudge", "params": {"fault": "goes elsewhere"}}
    assert command(config(risks={"evasion": {"attacks": [nudge]}}, defenses=[], seeds=1)) in (0, 1)
    assert Path.cwd() != here
    found = {path.name for path in (here / "amulet-mine").iterdir()}
    assert found >= {"config.json", "journal.jsonl", "results.json", "provenance.json", "report.html"}
    assert ".running" not in found
    assert list(here.rglob("results.json")) == [here / "amulet-mine" / "results.json"]


SEEDS_2 = "note: 2 seeds give estimates without verdicts: a verdict needs 5 or more (seeds: 5)"


def test_a_second_run_says_how_many_cells_it_took_from_the_first(command: Any, config: Any, capsys: Any) -> None:
    assert (command(config()), command(config())) == (0, 0)
    assert "12 cells (12 ok; 12 taken from earlier runs) in " in capsys.readouterr().out


def test_a_failed_cell_makes_the_exit_code_1_and_is_named(command: Any, config: Any, capsys: Any) -> None:
    assert command(config(defenses=[{"name": "keep", "params": {"fault": "raises"}}])) == 1
    assert "failed: toy/keep: RuntimeError: the defense is out of order" in capsys.readouterr().err


def test_skipped_cells_are_told_with_their_reasons_and_counts(command: Any, config: Any, capsys: Any) -> None:
    risks = {"evasion": {"attacks": ["nudge", "pixels"]}}
    assert command(config(defenses=["mute"], risks=risks)) == 0
    lines = capsys.readouterr().out.splitlines()
    (at,) = (number for number, line in enumerate(lines) if " cells (" in line)
    assert lines[at].startswith("24 cells (18 ok, 6 skipped) in ")
    assert lines[at + 1 :] == [
        "skipped (6): not applicable: toy/pixels works on image data, this is tabular",
        "Report: amulet-mine/report.html",
    ]


def test_an_interrupted_run_says_so_and_leaves_a_report(command: Any, config: Any, capsys: Any) -> None:
    attacks = [{"name": "nudge", "params": {"fault": "interrupted"}}]
    assert command(config(risks={"evasion": {"attacks": attacks}})) == 1
    assert "The run was interrupted: the report holds what was done until then." in capsys.readouterr().err
    assert Path("amulet-mine/report.html").exists()


def test_a_wrong_request_makes_the_exit_code_2_and_runs_nothing(command: Any, config: Any, capsys: Any) -> None:
    assert command(config(), "--set", "training.epochs=0", "--set", "model=mlpp") == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: training.epochs: input should be greater than or equal to 1, got 0",
        'error: model: unknown model "mlpp"; did you mean "mlp"? To see all: amulet list model',
    ]
    assert not Path("amulet-mine").exists()


def test_out_and_set_are_obeyed(command: Any, config: Any) -> None:
    assert command(config(), "--out", "there", "--set", "seeds=1") == 0
    assert '"seeds": 1' in Path("there/results.json").read_text()


def test_report_writes_the_page_again_from_the_results_alone(command: Any, config: Any, capsys: Any) -> None:
    command(config(), "--out", "there")
    first = Path("there/report.html").read_bytes()
    Path("there/report.html").unlink()
    assert cli.main(["report", "there"]) == 0
    assert Path("there/report.html").read_bytes() == first
    assert capsys.readouterr().out.rstrip().endswith("Report: there/report.html")


def test_report_on_a_folder_without_results_says_what_is_missing(tmp_path: Path, capsys: Any) -> None:
    assert cli.main(["report", str(tmp_path)]) == 2
    assert f"error: {tmp_path / 'results.json'} does not exist" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_a_wrong_request(command: Any, config: Any, capsys: Any) -> None:
    command(config(), "--out", "there")
    Path("there/report.html").unlink()
    Path("there/report.html").mkdir()
    capsys.readouterr()
    assert cli.main(["report", "there"]) == 2
    assert capsys.readouterr() == (
        "",
        "error: the report there/report.html cannot be written: Is a directory. Its results are kept: see that there can "
        "be written and holds no folder called report.html, then run: amulet report there\n",
    )


def test_the_json_schema_accepts_the_quickstart_and_its_resolved_form_and_refuses_a_mistake() -> None:
    from amulet_core.discovery.registry import discover

    registry = discover()
    schema = json_schema(registry)
    raw = read(api.QUICKSTART)
    check = jsonschema.Draft202012Validator(schema)
    assert list(check.iter_errors(raw)) == []
    assert list(check.iter_errors(resolve(raw, registry).canonical())) == []
    labelled = {"label": "mild", "name": "dp-sgd", "params": {"epsilon": 8}}
    assert list(check.iter_errors(raw | {"defenses": [labelled, {"label": "both", "chain": ["dp-sgd"]}]})) == []
    for wrong in ({"name": "dp-sgd", "params": {"epsilonn": 1}}, [labelled], labelled | {"label": 3}):
        assert list(check.iter_errors(raw | {"defenses": [wrong]}))
    assert list(check.iter_errors(raw | {"risks": ["evasoin"]}))


def test_the_quickstart_measures_what_it_promises() -> None:
    from amulet_core.discovery.registry import discover

    request = resolve(read(api.QUICKSTART), discover())
    assert [row.label for row in request.rows] == [
        "none",
        "placebo",
        "adversarial-training",
        "dp-sgd",
        "reweighing",
        "dp-sgd + adversarial-training",
    ]
    assert [risk.game.risk for risk in request.risks] == [
        "evasion",
        "membership-inference",
        "discriminatory-behavior",
        "utility",
    ]
    assert request.seeds == 5


def test_results_that_cannot_be_written_make_the_exit_code_1(
    command: Any, config: Any, capsys: Any, monkeypatch: Any
) -> None:
    def full(*_given: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(api, "write_results", full)
    assert command(config()) == 1
    assert (
        f"error: the output folder {Path.cwd()}/amulet-mine cannot be written: No space left on device."
        in capsys.readouterr().err
    )


def test_a_dry_run_of_another_configuration_than_the_folders_says_so_and_counts_nothing_in_it(
    command: Any, config: Any, capsys: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    command(config())
    before = {path: path.stat().st_mtime_ns for path in Path("amulet-mine").iterdir()}
    capsys.readouterr()
    monkeypatch.setenv("AMULET_CACHE", str(tmp_path / "empty"))  # the journal alone knows what was done
    assert command(config(), "--set", "name=other", "--dry-run") == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "14 jobs, 0 of them done before" in shown.out
    assert shown.out.splitlines()[-3:] == [
        SEEDS_2,
        "note: the output folder amulet-mine holds the results of another configuration: choose another with --out, or "
        "remove it. Until then a run is refused; nothing in the folder was counted.",
        "Nothing was run.",
    ]
    assert {path: path.stat().st_mtime_ns for path in Path("amulet-mine").iterdir()} == before
    assert command(config(), "--dry-run") == 0
    assert "14 jobs, 14 of them done before" in capsys.readouterr().out
    assert command(config(), "--set", "name=other") == 2


BUDGET_2 = (
    "warning: risks.evasion.threat.epsilon: within a budget of 2 (linf, in which each feature's range is 1) every input "
    "can become every other, but for what it may not change: no model that tells them apart is robust"
)
SORTED = (
    "note: defenses.0: defenses act in the order of their stages, whatever order they are written in: here flip, keep "
    "(written: keep, flip)"
)
BEFOREHAND = {"defenses": [["keep", "flip"]], "risks": {"evasion": {"threat": {"epsilon": 2}, "attacks": ["nudge"]}}}


def test_a_dry_run_says_what_the_results_will_lack(command: Any, config: Any, capsys: Any) -> None:
    assert command(config(**BEFOREHAND), "--dry-run") == 0
    assert capsys.readouterr().out.splitlines()[-4:] == [BUDGET_2, SEEDS_2, SORTED, "Nothing was run."]


def test_a_run_says_it_before_anything_is_trained_and_keeps_the_warnings(
    command: Any, config: Any, capsys: Any
) -> None:
    assert command(config(**BEFOREHAND)) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[:3] == [BUDGET_2, SEEDS_2, SORTED]
    assert told[3].startswith("[1/")
    assert all(told.count(line) == 1 for line in told[:3])
    kept = json.loads(Path("amulet-mine/provenance.json").read_text())["warnings"]
    assert kept[0] == BUDGET_2.removeprefix("warning: ")
    assert not {line.removeprefix("note: ") for line in told[1:3]} & set(kept)


def test_a_job_that_another_run_is_at_is_waited_for_and_said_once(
    command: Any, config: Any, capsys: Any, monkeypatch: Any
) -> None:
    from amulet_core.performing.workbench import Workbench
    from amulet_core.sessions import Busy

    ordinary, refused = Workbench.do, []

    def busy(self: Workbench, key: str) -> Any:
        if len(refused) < 3:
            refused.append(key)
            return Busy(key)
        return ordinary(self, key)

    monkeypatch.setattr(Workbench, "do", busy)
    assert command(config()) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("another run")]
    assert len(told) == len(set(refused))
    assert told[0] == "another run is at this job, it is waited for: train none (2 models)"


def test_the_example_of_set_in_the_help_is_a_value_that_a_configuration_takes(
    registry: Registry, config: Any, capsys: Any
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["run", "--help"])
    (example,) = re.findall(r"such\s+as\s+(\S+);", capsys.readouterr().out)
    assert resolve(overridden(config(), example), registry).seeds == 3
