"""Installing the plugin changes nothing, and mlflow sends no usage data, unless the user says so."""

import os
import subprocess
import sys


def python(code, folder, **environment):
    clean = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("MLFLOW_", "PYTEST")) and name not in ("CI", "DO_NOT_TRACK")
    }
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=clean | environment, capture_output=True, text=True, check=True
    )
    return ended.stdout.strip()


def test_importing_the_plugin_imports_no_mlflow(tmp_path):
    code = "import sys, amulet_plugin_mlflow\nprint({'mlflow', 'numpy', 'pandas', 'torch'} & set(sys.modules))"
    assert python(code, tmp_path) == "set()"


def test_without_a_tracking_uri_nothing_is_imported_and_no_file_appears(amulet, tmp_path):
    code = (
        "import sys\nfrom amulet_plugin_mlflow import observer\n"
        "observer.amulet_run_started(run={'name': 'small', 'defenses': []})\nobserver.amulet_cell_finished(cell={})\n"
        "observer.amulet_run_finished(results={}, folder='')\nprint('mlflow' in sys.modules)"
    )
    assert python(code, tmp_path) == "False"
    assert list(tmp_path.iterdir()) == []
    ended = amulet(tmp_path / "run")
    assert (ended.code, ended.warnings) == (0, [])
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"config.yaml", "out"}


def test_mlflow_sends_no_usage_data(tmp_path):
    started = (
        "from amulet_plugin_mlflow import observer\nobserver.amulet_run_started(run={'name': 'x', 'defenses': []})\n"
    )
    code = started + "from mlflow.telemetry.utils import is_telemetry_disabled\nprint(is_telemetry_disabled())"
    assert python(code, tmp_path, MLFLOW_TRACKING_URI="http://127.0.0.1:9") == "True"


def test_what_the_user_has_set_stands(tmp_path):
    code = (
        "import os\nfrom amulet_plugin_mlflow import observer\n"
        "observer.amulet_run_started(run={'name': 'x', 'defenses': []})\n"
        "print(os.environ['MLFLOW_HTTP_REQUEST_TIMEOUT'], os.environ['MLFLOW_HTTP_REQUEST_MAX_RETRIES'])"
    )
    given = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_TIMEOUT": "3"}
    assert python(code, tmp_path, **given) == "3 1"
