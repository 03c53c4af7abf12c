"""Workers answer letters: jobs are done through the cache, and whatever keeps a worker from it is said in words."""

import json
import os
import platform

import pytest

from amulet_core import worker
from amulet_core.configuration.reading import resolve
from amulet_core.running import run_note
from amulet_core.running.conduct import prepared
from amulet_core.running.letters import Letters
from amulet_core.running.run_note import note_of, write_note
from amulet_core.sessions import Done, Failed, Lost, outcome_of
from amulet_core.storage.store import Store

HERE = f"the worker on {platform.node()} (process {os.getpid()})"


@pytest.fixture
def letters(toy, packages, config, tmp_path, monkeypatch):
    """Give the bench of a run whose workers would be this process, and its jobs by label."""
    monkeypatch.setenv("AMULET_PLUGINS", "toy")
    ready = prepared(resolve(config(), toy()), Store(tmp_path / "cache"))
    note = note_of(ready.request, ready.facts.content)
    worker._place.cache_clear()
    yield (
        Letters(ready.store, write_note(ready.store.folder, note)),
        note,
        {job.label: job for job in ready.plan.jobs.values()},
    )
    worker._place.cache_clear()


def changed(note, **changes):
    """Return a note with changes, and no other."""
    return note.model_copy(update=changes)


def test_a_letter_has_a_job_done_once_and_the_output_kept(letters):
    bench, _note, jobs = letters
    task = bench.task(jobs["train keep (5 models)"])
    first, again = outcome_of(worker.answer(task.letter)), task.work()
    assert isinstance(first, Done)
    assert (first.reused, again.reused) == (False, True)
    assert first.seconds > 0
    assert bench.holds(task.key)
    assert "\n" not in task.letter


def test_a_job_whose_input_is_not_there_is_not_begun(letters):
    bench, _note, jobs = letters
    job = jobs["ask keep's models"]
    (missed,) = job.needs
    assert bench.task(job).work() == Lost(missed, f"{bench.store.path(missed)} is not there any more")


def test_whatever_is_no_letter_is_answered_too():
    for text in ("", "nonsense" * 20, "{}", '{"run": "a", "cache": "b"}'):
        expected = Failed("amulet", f"{HERE} was sent no letter, but {text[:80]!r}")
        assert outcome_of(worker.answer(text)) == expected


def both(bench, greeting=None):
    """Return what a worker says of a run when it is greeted, and when it is sent a letter."""
    given = json.loads(greeting or bench.greeting)
    answered = outcome_of(worker.answer(json.dumps(given | {"key": "a" * 64})))
    assert isinstance(answered, Failed)
    assert answered.blame == "amulet"
    return worker.problems(json.dumps(given)), answered.reason


def test_a_worker_that_fits_has_no_problems(letters):
    bench, _note, _jobs = letters
    assert worker.problems(bench.greeting) == []


def test_a_worker_that_does_not_see_the_run_says_so(letters):
    bench, _note, _jobs = letters
    greeting = json.dumps({"run": "f" * 64, "cache": str(bench.store.folder)})
    text = (
        f"{HERE} does not fit the run: it does not see the run in the cache folder {bench.store.folder} "
        "(No such file or directory): set AMULET_CACHE to a folder that all machines share"
    )
    assert both(bench, greeting) == ([text], text)


def test_a_worker_of_another_version_says_so(letters):
    bench, _note, _jobs = letters
    (bench.store.folder / "runs" / f"{bench.run}.json").write_text('{"version": 2}')
    text = (
        f"{HERE} does not fit the run: it cannot read the run in the cache folder {bench.store.folder}: "
        "another version wrote it"
    )
    assert both(bench) == ([text], text)


def test_a_worker_with_other_code_or_libraries_names_them_all(letters):
    bench, note, _jobs = letters
    here = note.environment["torch"]
    code = note.code | {"toy_keeping": "f" * 64}
    other = Letters(
        bench.store,
        write_note(bench.store.folder, changed(note, environment=note.environment | {"torch": "0.1"}, code=code)),
    )
    texts = [
        f"torch is {here} here and 0.1 there",
        f"the code of toy_keeping is {note.code['toy_keeping'][:12]} here and ffffffffffff there",
    ]
    problems, reason = both(other)
    assert problems == [f"{HERE} does not fit the run: {text}" for text in texts]
    assert reason == f"{HERE} does not fit the run: {'; '.join(texts)}"


def test_a_worker_with_another_copy_of_the_data_says_so(letters):
    bench, note, _jobs = letters
    other = Letters(bench.store, write_note(bench.store.folder, changed(note, content="f" * 64)))
    problems, reason = both(other)
    assert problems == []
    assert reason == (
        f"{HERE} does not fit the run: its copy of the data set toy/blobs has other rows: give all machines the same files"
    )


def test_a_worker_that_plans_otherwise_for_no_known_reason_says_so(letters):
    bench, _note, _jobs = letters
    assert both(bench)[1] == (f"{HERE} does not fit the run: it plans other jobs than the driver, and both look alike")


def test_a_worker_that_lacks_a_component_says_so(letters, monkeypatch):
    bench, _note, _jobs = letters
    monkeypatch.setenv("AMULET_PLUGINS", "")
    problems, reason = both(bench)
    assert len(problems) > 1
    assert problems[0].startswith(f"{HERE} does not fit the run: dataset: ")
    assert reason.startswith(f"{HERE} does not fit the run: dataset: ")


def test_a_worker_that_fails_in_an_unforeseen_way_answers_all_the_same(letters, monkeypatch):
    bench, _note, jobs = letters

    def misfits(_note):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(worker, "misfits", misfits)
    outcome = bench.task(jobs["train keep (5 models)"]).work()
    assert outcome == Failed("amulet", f"{HERE} failed: ZeroDivisionError: division by zero")
    assert run_note.misfits is not misfits


def test_a_model_that_cannot_be_kept_fails_by_name_where_its_users_are_elsewhere(run, config):
    swap = {"name": "toy/swap", "params": {"how": "shifted"}}
    found = run(
        config(defenses=[swap], executor={"name": "processes", "params": {"workers": 1}}, risks={"utility": {}})
    )
    failed = {(cell.row, cell.blame, cell.reason) for cell in found.cells if cell.status == "failed"}
    reason = "its model cannot be kept in the cache: its modules, their settings or their hooks are not those of its architecture"
    assert failed == {("swap", "toy/swap", reason)}
    assert {cell.status for cell in found.cells if cell.row != "swap"} == {"ok"}
