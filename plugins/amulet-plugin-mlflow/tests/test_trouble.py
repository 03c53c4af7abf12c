"""A server that is down, dies or never answers costs a run nothing but one warning."""

import re
import subprocess
import sys

import pytest
from amulet_core.discovery.registry import discover
from amulet_core.running.observers import observed
from mlflow import MlflowClient
from mlflow.entities import Metric

from amulet_plugin_mlflow.tracking import TrackedRun, TrackingError

RUN = {"name": "small", "defenses": [{"label": "a + b", "chain": []}], "seeds": 2}
WHOSE = r"plugin mlflow \(amulet-plugin-mlflow 0\.1\.0\): "


def cell(seed, row="none", values=1):
    found = [{"name": f"value_{index}", "estimate": float(seed)} for index in range(values)]
    measured = [{"metric": "builtin/accuracy", "scores": {"values": found}}]
    return {"row": row, "risk": "utility", "attack": "", "seed": seed, "status": "ok", "measured": measured}


def results(*cells):
    return {"cells": list(cells), "entries": [], "provenance": {"complete": True}}


def told(*events, grace=60.0):
    with observed(discover(), grace=grace) as observers:
        for hook, arguments in events:
            observers.tell(hook, arguments)
    return observers.warnings()


def waiting_for(found):
    """Ask a server again and again until there is something."""
    while not (answer := found()):
        pass
    return answer


def test_a_server_that_is_down_is_one_warning_and_the_run_is_whole(amulet, dead_uri, tmp_path):
    ended = amulet(tmp_path / "run", MLFLOW_TRACKING_URI=dead_uri)
    assert ended.code == 0
    assert {cell["status"] for cell in ended.results["cells"]} == {"ok"}
    (warning,) = ended.warnings
    assert re.fullmatch(
        f"warning: {WHOSE}its amulet_run_finished failed and was ignored: TrackingError: the MLflow server {dead_uri} "
        rf"did not take the whole run: .*Connection refused.*\. All of it is in {ended.folder}\.",
        warning,
    )


def test_a_server_that_never_answers_is_one_warning_and_the_run_is_whole(amulet, silent_uri, tmp_path):
    ended = amulet(tmp_path / "run", MLFLOW_TRACKING_URI=silent_uri, MLFLOW_HTTP_REQUEST_TIMEOUT="1")
    assert ended.code == 0
    assert {cell["status"] for cell in ended.results["cells"]} == {"ok"}
    (warning,) = ended.warnings
    assert "did not take the whole run: " in warning
    assert "timed out" in warning


def test_a_run_does_not_wait_for_a_server_that_never_answers(silent_uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent_uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "100000")
    events = [("amulet_cell_finished", {"cell": cell(seed)}) for seed in range(9)]
    assert told(("amulet_run_started", {"run": RUN}), *events, grace=0.2) == (
        "plugin mlflow (amulet-plugin-mlflow 0.1.0): it had not ended 0.2 s after the run and was stopped, "
        "with 10 of 10 events not taken. What it records of this run is incomplete. "
        "See what it waits for, or leave it out by AMULET_PLUGINS.",
    )


def test_a_server_that_dies_in_the_middle_is_one_warning(mortal_server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mortal_server.uri)
    with observed(discover(), grace=60.0) as observers:
        observers.tell("amulet_run_started", {"run": RUN})
        waiting_for(lambda: mortal_server.runs("Default"))
        mortal_server.stop()
        for seed in range(3):
            observers.tell("amulet_cell_finished", {"cell": cell(seed)})
        observers.tell("amulet_run_finished", {"results": results(cell(0)), "folder": "/made/up"})
    (warning,) = observers.warnings()
    assert "its amulet_run_finished failed and was ignored: TrackingError: the MLflow server " in warning
    assert "All of it is in /made/up." in warning


def test_what_a_server_missed_is_logged_when_it_is_back(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "back again")
    tracked = TrackedRun("http://127.0.0.1:9", RUN)
    tracked.add(cell(0))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tracked.send_if_due()
    tracked._client, tracked._due = server.client, 0.0
    tracked.add(cell(0))
    tracked.send_if_due()
    tracked.finish(results(cell(0), cell(1), cell(1, row="a + b")), "")
    (run,) = server.runs("back again")
    history = server.client.get_metric_history(run.info.run_id, "utility/accuracy/value_0/none")
    assert [(point.step, point.value) for point in history] == [(0, 0.0), (1, 1.0)]
    assert run.data.metrics["utility/accuracy/value_0/a _ b"] == 1.0
    assert run.info.status == "FINISHED"


def test_metrics_that_were_taken_without_an_answer_count_once(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "unanswered")
    tracked = TrackedRun(server.uri, RUN)
    tracked.send_if_due()
    tracked.add(cell(0, values=3))
    tracked._client.log_batch(tracked._run, metrics=list(tracked._metrics))
    tracked.finish(results(cell(0, values=3)), "")
    (run,) = server.runs("unanswered")
    history = server.client.get_metric_history(run.info.run_id, "utility/accuracy/value_0/none")
    assert [isinstance(point, Metric) for point in history] == [True]


def test_what_was_taken_is_not_sent_again(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "sent once")
    sent = []
    log_batch = MlflowClient.log_batch
    monkeypatch.setattr(
        MlflowClient, "log_batch", lambda *given, **more: (sent.append(set(more)), log_batch(*given, **more))
    )
    tracked = TrackedRun(server.uri, RUN)
    for seed in range(3):
        tracked._due = 0.0
        tracked.add(cell(seed))
        tracked.send_if_due()
    tracked.add(cell(3))
    tracked.send_if_due()
    assert sent == [{"params"}, {"metrics"}, {"metrics"}, {"metrics"}]


def test_many_values_params_and_verdicts_are_logged_whole(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "many")
    tracked = TrackedRun(server.uri, RUN | {f"param_{index}": "x" * 7000 for index in range(250)})
    verdict = {"difference": 0.1, "low": None, "high": None, "verdict": "risk up", "verdict_reason": ""}
    entries = [{"row": "none", "risk": f"risk_{index}", "mean": None, "effect": verdict} for index in range(150)]
    tracked.finish(results(*(cell(seed, values=700) for seed in range(3))) | {"entries": entries}, "")
    (run,) = server.runs("many")
    assert len(run.data.params) >= 250
    assert len([name for name in run.data.metrics if name.startswith("utility/")]) == 700
    assert len(server.client.get_metric_history(run.info.run_id, "utility/accuracy/value_699/none")) == 3
    assert len([name for name in run.data.tags if name.startswith("verdict/")]) == 150


def test_files_that_are_refused_are_a_failure_and_the_run_ends_all_the_same(server, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "no files")
    monkeypatch.setitem(sys.modules, "boto3", None)
    server.client.create_experiment("no files", artifact_location="s3://bucket/folder")
    (tmp_path / "report.html").write_text("<html>")
    with pytest.raises(TrackingError) as raised:
        TrackedRun(server.uri, RUN).finish(results(cell(0)), str(tmp_path))
    assert str(raised.value).startswith(f"the MLflow server {server.uri} did not take the whole run: ")
    assert str(raised.value).endswith(f". All of it is in {tmp_path}.")
    (run,) = server.runs("no files")
    assert run.info.status == "FINISHED"


def test_no_password_is_told(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError) as raised:
        TrackedRun("http://ann:secret@127.0.0.1:9", RUN).finish(results(), "")
    assert "secret" not in str(raised.value)
    assert str(raised.value).startswith("the MLflow server http://127.0.0.1:9 did not take the whole run: ")


def test_a_run_that_is_killed_is_logged_as_killed(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "killed")
    code = (
        "from amulet_core.running.observers import observed\nfrom amulet_core.discovery.registry import discover\n"
        "with observed(discover()) as observers:\n"
        f"    observers.tell('amulet_run_started', {{'run': {RUN}}})\n    input()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as run:
        waiting_for(lambda: server.runs("killed"))
        run.kill()
    waiting_for(lambda: server.runs("killed")[0].info.status == "KILLED")
