"""A dry run counts what would be done, estimates it from what was timed, and imports nothing heavy once it can."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from amulet_core.commands.dry_run import forecast_text
from amulet_core.configuration.reading import resolve
from amulet_core.planning.durations import DURATIONS, Duration, estimated, read_durations, recorded, write_durations
from amulet_core.planning.jobs import Job
from amulet_core.running.forecast import Forecast, Line, forecast
from amulet_core.storage.store import Store

FINE, COARSE = {"kind": "train", "rows": 50}, {"kind": "train"}


def job(*like):
    return Job(None, "train", {}, (), like)


def test_jobs_with_all_settings_alike_come_before_those_of_the_same_parts(tmp_path):
    durations: dict[str, Duration] = {}
    recorded(durations, job(FINE, COARSE), seconds=2.0, memory_mb=100.0)
    recorded(durations, job(FINE, COARSE), seconds=4.0, memory_mb=300.0)
    recorded(durations, job({"kind": "train", "rows": 5000}, COARSE), seconds=90.0, memory_mb=200.0)
    write_durations(tmp_path, "one", durations)
    fine, coarse, unknown = estimated(
        read_durations(tmp_path), [job(FINE, COARSE), job({"kind": "train", "rows": 7}, COARSE), job({"kind": "ask"})]
    )
    assert (fine.seconds, fine.memory_mb) == (3.0, 300.0)
    assert (coarse.seconds, coarse.memory_mb) == (32.0, 300.0)
    assert unknown is None


def test_a_job_of_the_same_parts_takes_as_much_longer_as_it_is_larger(tmp_path):
    durations: dict[str, Duration] = {}
    recorded(durations, replace(job(FINE, COARSE), size=10.0), seconds=2.0, memory_mb=100.0)
    recorded(durations, replace(job({"rows": 7}, COARSE), size=30.0), seconds=4.0, memory_mb=100.0)
    (found,) = estimated(durations, [replace(job({"rows": 9}, COARSE), size=200.0)])
    assert found.seconds == pytest.approx(200 * 6 / 40)


def test_recordings_of_several_runs_count_together_and_only_the_latest_count(tmp_path):
    for number in range(103):
        write_durations(tmp_path, f"run{number}", {"same": Duration(1, float(number), 10.0)})
        os.utime(tmp_path / f"run{number}.json", (number, number))
    assert read_durations(tmp_path) == {"same": Duration(100, float(sum(range(3, 103))), 10.0)}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"same": 1}', '{"same": [1, 2, 3, 4]}', "\xff"])
def test_a_recording_that_cannot_be_read_is_passed_over(tmp_path, text):
    write_durations(tmp_path, "good", {"same": Duration(1, 2.0, 3.0)})
    (tmp_path / "bad.json").write_text(text, encoding="latin-1")
    assert read_durations(tmp_path) == {"same": Duration(1, 2.0, 3.0)}


def test_a_recording_that_is_removed_meanwhile_is_passed_over(tmp_path, monkeypatch):
    write_durations(tmp_path, "good", {"same": Duration(1, 2.0, 3.0)})
    ordinary = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [*ordinary(self, pattern), self / "gone.json"])
    assert read_durations(tmp_path) == {"same": Duration(1, 2.0, 3.0)}


def test_no_recording_is_written_of_nothing(tmp_path):
    write_durations(tmp_path / DURATIONS, "none", {})
    assert not (tmp_path / DURATIONS).exists()
    assert read_durations(tmp_path / DURATIONS) == {}


def counts(found: Forecast) -> dict[str, tuple[int, int, int]]:
    return {line.kind: (line.jobs, line.todo, line.unknown) for line in found.lines}


@pytest.fixture
def foreseen(toy, config, tmp_path):
    """Return a function that forecasts the small configuration, with changes."""

    def found(**changes):
        request = resolve(config(**changes), toy())

        def never():
            raise AssertionError("the facts were not recalled")

        loaded = never if (tmp_path / "cache").exists() else load(request)
        return forecast(request, Store(tmp_path / "cache"), tmp_path / "out", loaded=loaded)

    def load(request):
        from amulet_core.performing.ground import load_data
        from amulet_core.planning.facts import facts_of

        return lambda: facts_of(load_data(request))

    return found


# Four rows, of which none, placebo and keep train: five models each, a victim and four shadow models. Each row meets
# three attacks of evasion (one is a control) and two on membership, one look at utility, and the union of two attacks.
WHOLE = {"train": 3, "ask shadow models": 4, "attack": 20, "observe": 4, "join attacks": 4}


def test_a_forecast_counts_what_there_is_to_do(foreseen):
    found = foreseen()
    assert (found.cells, found.skipped) == (28, ())
    assert counts(found) == {kind: (jobs, jobs, jobs) for kind, jobs in WHOLE.items()}
    assert (found.victims, found.shadow_models, found.memory_mb) == ((3, 3), (12, 12), 0.0)


def test_a_forecast_leaves_out_what_is_known_and_estimates_the_rest(foreseen, known):
    assert counts(foreseen()) == {kind: (jobs, 0, 0) for kind, jobs in WHOLE.items()}
    edited = foreseen(defenses=[{"name": "toy/keep", "params": {"strength": 0.8}}, "toy/halve"])
    todo = {"train": 1, "ask shadow models": 1, "attack": 5, "observe": 1, "join attacks": 1}
    assert counts(edited) == {kind: (jobs, todo[kind], 0) for kind, jobs in WHOLE.items()}
    assert (edited.victims, edited.shadow_models) == ((3, 1), (12, 4))
    assert all(line.seconds > 0 for line in edited.lines)
    assert edited.memory_mb > 50
    pgd = {"evasion": {"attacks": ["pgd"]}, "membership-inference": {"attacks": ["rmia"]}}
    assert {kind: unknown for kind, (_, todo, unknown) in counts(foreseen(risks=pgd)).items() if todo} == {
        "train": 0,
        "ask shadow models": 0,
        "attack": 8,
        "observe": 0,
    }


def test_a_forecast_knows_what_the_journal_of_the_folder_knows(foreseen, known):
    for path in (known / "cache").glob("??/*.entry"):
        if json.loads(path.read_bytes().split(b"\n")[1]).get("content") is None:  # but for the facts of the data
            path.unlink()
    # Nothing is left to do: what fills cells is in the journal, and nobody needs the models any more.
    assert {todo for _, todo, _ in counts(foreseen()).values()} == {0}


TABLE = """\
mine: 28 cells (3 skipped), 31 jobs, 20 of them done before

                            jobs   to do   time
train                          3       1   about 100 s
ask shadow models              4       2   about 90 min, and 1 of unknown duration
attack                        20       8   unknown: no job like these was timed here
observe                        4       0   -

Models: 1 of 3 victims and 4 of 12 shadow models are still to be trained.
One after the other: about 92 min without the 9 jobs of unknown duration; about 1.5 GB of memory for each process that works.
skipped (2): it needs gradients
skipped (1): it needs images
Nothing was run."""


def test_a_forecast_as_text():
    lines = (
        Line("train", 3, 1, 100.0, 0),
        Line("ask shadow models", 4, 2, 5400.0, 1),
        Line("attack", 20, 8, 0.0, 8),
        Line("observe", 4, 0, 0.0, 0),
    )
    found = Forecast(28, (("it needs gradients", 2), ("it needs images", 1)), lines, (3, 1), (12, 4), 1500.0)
    assert forecast_text("mine", found) == TABLE


def test_a_forecast_says_what_a_run_would_warn_of():
    found = Forecast(1, (), (Line("train", 3, 0, 0.0, 0),), (3, 1), (0, 0), 2048.0, warnings=("too much poison",))
    assert forecast_text("mine", found).splitlines()[-2:] == ["warning: too much poison", "Nothing was run."]


@pytest.mark.parametrize(
    ("line", "total"),
    [
        (Line("train", 3, 0, 0.0, 0), "All results are there already: the report would be written in seconds."),
        (Line("train", 3, 2, 0.0, 2), "No job like these was timed here yet: how long they take is not known."),
        (
            Line("train", 3, 2, 36000.0, 0),
            "One after the other: about 10.0 h; about 2.0 GB of memory for each process that works.",
        ),
    ],
)
def test_a_forecast_says_what_it_comes_to(line, total):
    shown = forecast_text("mine", Forecast(1, (), (line,), (3, 1), (0, 0), 2048.0))
    assert shown.splitlines()[-2:] == [total, "Nothing was run."]


PROBE = """
import sys
from amulet_core.commands.cli import main
assert main(["run", "mine.yaml", "--dry-run"]) == 0
print(sorted({"torch", "numpy", "pandas", "sklearn", "scipy"} & set(sys.modules)))
"""


def test_a_second_dry_run_imports_nothing_heavy_and_neither_runs_anything(process, config, tmp_path):
    sizes = {"train": 100, "val": 50, "test": 100, "aux": 50}
    builtin = {"dataset": "digits", "data": sizes, "risks": {"evasion": {"attacks": ["pgd"]}}, "seeds": 1}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(builtin))
    shown = []
    for _ in range(2):
        run = process("-c", PROBE, cwd=tmp_path)
        out, told = run.communicate()
        assert run.returncode == 0, told
        shown.append(out.splitlines())
    assert shown[0][:-1] == shown[1][:-1]
    assert shown[0][-2] == "Nothing was run."
    assert "torch" in shown[0][-1]
    assert shown[1][-1] == "[]"
    assert {path.name for path in tmp_path.iterdir()} <= {"mine.yaml", "cache"}
