"""What a real tracking server knows after a run, against what the run wrote."""

import csv
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def ended(server, amulet, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "first"
    ended = amulet(folder, MLFLOW_TRACKING_URI=server.uri, MLFLOW_EXPERIMENT_NAME="one run")
    assert ended.code == 0
    assert ended.warnings == []
    return ended


@pytest.fixture(scope="module")
def logged(server, ended):
    (run,) = server.runs("one run")
    return run


def test_every_value_is_a_metric_whose_step_is_the_seed(server, ended, logged):
    with (ended.folder / "results.csv").open() as stream:
        lines = [line for line in csv.DictReader(stream) if line["estimate"]]
    assert len(lines) > 20
    expected = {}
    for line in lines:
        parts = [line["risk"], line["attack"], line["metric"], line["value"], line["row"]]
        name = "/".join(part.removeprefix("builtin/") for part in parts if part)
        expected.setdefault(name, {})[int(line["seed"])] = float(line["estimate"])
    history = {name: server.client.get_metric_history(logged.info.run_id, name) for name in expected}
    steps = {name: [(point.step, point.value) for point in points] for name, points in history.items()}
    assert {name: sorted(points) for name, points in steps.items()} == {
        name: sorted(points.items()) for name, points in expected.items()
    }
    further = set(logged.data.metrics) - set(expected)
    assert {name.split("/")[0] for name in further} == {"effect"}


def test_every_effect_and_verdict_is_logged(ended, logged):
    entries = ended.results["entries"]
    for entry in entries:
        name = f"effect/{entry['risk']}/mean/{entry['row']}"
        assert logged.data.metrics.get(name) == entry["mean"]
        if entry["effect"]:
            for part in ("difference", "low", "high"):
                assert logged.data.metrics[name.replace("/mean/", f"/{part}/")] == entry["effect"][part]
            told = f"{entry['effect']['verdict']}: {entry['effect']['verdict_reason']}"
            assert logged.data.tags[f"verdict/{entry['risk']}/{entry['row']}"] == told
    assert sum(entry["effect"] is not None for entry in entries) == 4


def test_the_resolved_configuration_is_in_the_params(logged):
    told = {
        "dataset.name": "builtin/digits",
        "training.epochs": "2",
        "defenses.0.chain.0.params.steps": "1",
        "seeds": "2",
    }
    assert {name: logged.data.params[name] for name in told} == told


def test_the_files_of_the_run_are_its_artifacts(server, ended, logged, tmp_path):
    names = {"results.csv", "results.json", "provenance.json", "report.html"}
    assert {item.path for item in server.client.list_artifacts(logged.info.run_id)} == names
    fetched = server.client.download_artifacts(logged.info.run_id, "results.json", str(tmp_path))
    assert Path(fetched).read_bytes() == (ended.folder / "results.json").read_bytes()


def test_the_run_has_a_name_an_end_and_the_version(ended, logged):
    assert logged.info.run_name == "small"
    assert logged.info.status == "FINISHED"
    assert logged.info.end_time >= logged.info.start_time
    assert logged.data.tags["amulet.version"]
    assert logged.data.tags["amulet.complete"] == "true"
    assert logged.data.tags["amulet.cells"] == f"{len(ended.results['cells'])} ok, 0 failed, 0 skipped"


def test_a_second_run_is_another_run_of_the_same_experiment(server, amulet, logged, tmp_path):
    amulet(tmp_path / "again", MLFLOW_TRACKING_URI=server.uri, MLFLOW_EXPERIMENT_NAME="one run")
    (again,) = (run for run in server.runs("one run") if run.info.run_id != logged.info.run_id)
    assert again.data.metrics == logged.data.metrics
    assert len(server.runs("one run")) == 2


def test_a_run_with_a_failed_cell_is_logged_as_failed(server, amulet, tmp_path):
    hopeless = {"name": "dp-sgd", "params": {"epsilon": 1e-6}}
    ended = amulet(tmp_path / "run", {"defenses": [hopeless], "seeds": 1},
                   MLFLOW_TRACKING_URI=server.uri, MLFLOW_EXPERIMENT_NAME="failing")  # fmt: skip
    failed = sum(cell["status"] == "failed" for cell in ended.results["cells"])
    assert (ended.code, failed > 0) == (1, True)
    (run,) = server.runs("failing")
    assert run.info.status == "FAILED"
    assert f"{failed} failed" in run.data.tags["amulet.cells"]
