"""A disk that is full, a file that cannot be read, a model that cannot be kept: all that can be had is had, with a word."""

import errno
import io
import os
import platform
import shutil
from pathlib import Path

import pytest
from counting import Cost, cost, outcome, trained

from amulet_core import api
from amulet_core.configuration.reading import resolve
from amulet_core.errors import RequestError
from amulet_core.running import conduct, run_folder
from amulet_core.storage import store
from amulet_core.storage.store import Store

NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def raising(error):
    def call(*_given, **_named):
        raise error

    return call


@pytest.fixture
def full_cache(monkeypatch):
    """Let no entry be written into any cache."""
    monkeypatch.setattr(store, "replace_parts", raising(NO_SPACE))


def test_a_cache_that_is_full_costs_nothing_but_its_use(run, config, fresh, full_cache, tmp_path):
    expected = fresh(config())
    found = run(config(), "out")
    assert outcome(found) == expected
    assert found.provenance.warnings == (
        f"the cache {tmp_path / 'cache'} cannot be written: No space left on device. What was computed is not kept "
        "there: free some space, or set AMULET_CACHE to another folder, and run again",
    )
    assert cost(run(config(), "out")) == Cost()  # the journal knows it all


@pytest.fixture
def fresh_first(fresh, config):
    """Return what the small configuration comes to, from before the test breaks anything."""
    return fresh(config())


class FullDisk(io.FileIO):
    """A file on a disk that takes some bytes more, and no others."""

    left = 0

    def write(self, content):
        if not self.left:
            raise NO_SPACE
        taken = min(self.left, len(content))
        self.left -= taken
        return super().write(content[:taken])


def journals(monkeypatch, opened):
    """Let every journal be opened for appending by ``opened``."""
    ordinary = Path.open

    def open_(path, mode="r", buffering=-1, **options):
        if path.name == run_folder.JOURNAL and "a" in mode:
            raw = opened(path, "ab")
            return raw if buffering == 0 else io.BufferedWriter(raw)
        return ordinary(path, mode, buffering, **options)

    monkeypatch.setattr(Path, "open", open_)


@pytest.mark.parametrize("left", [0, 100, 3000])
def test_a_journal_that_is_full_costs_no_result(run, config, fresh_first, monkeypatch, tmp_path, left):
    with monkeypatch.context() as patch:
        patch.setattr(FullDisk, "left", left)
        journals(patch, FullDisk)
        found = run(config(), "out")
    assert outcome(found) == fresh_first
    journal = tmp_path / "out" / "journal.jsonl"
    assert found.provenance.warnings == (f"journal: {journal} cannot be written: No space left on device",)
    assert (tmp_path / "out" / "report.html").exists()
    shutil.rmtree(tmp_path / "cache")
    again = run(config(), "out")  # there is space again
    assert (again.provenance.reused > 0) == (left == 3000)
    assert outcome(again) == fresh_first


def test_a_journal_that_cannot_be_opened_costs_no_result(run, config, fresh_first, monkeypatch, tmp_path):
    journals(monkeypatch, raising(PermissionError(errno.EACCES, os.strerror(errno.EACCES))))
    found = run(config(), "out")
    assert outcome(found) == fresh_first
    assert found.provenance.warnings == (
        f"journal: {tmp_path / 'out' / 'journal.jsonl'} cannot be written: Permission denied",
    )


def test_a_journal_that_cannot_be_read_costs_no_result(run, config, fresh_first, known, monkeypatch):
    monkeypatch.setattr(conduct, "read_journal", raising(OSError(errno.EIO, os.strerror(errno.EIO))))
    found = run(config(), "out")
    assert outcome(found) == fresh_first
    assert found.provenance.warnings == (
        f"journal: {known / 'out' / 'journal.jsonl'} cannot be read: Input/output error; it was not used",
    )
    assert cost(found) == Cost()  # the cache has it all


@pytest.mark.parametrize("what", ["write_results", "report"])
def test_results_that_cannot_be_written_are_an_error_and_kept_in_the_cache(run, config, tmp_path, monkeypatch, what):
    with monkeypatch.context() as patch:
        patch.setattr(*((api, what) if what == "write_results" else (api.Results, what)), raising(NO_SPACE))
        with pytest.raises(RequestError) as error:
            run(config(), "out")
    assert str(error.value) == (
        f"the output folder {tmp_path / 'out'} cannot be written: No space left on device. Free some space, or choose "
        "another folder with --out, and run again: what the cache or the journal took is not computed again."
    )
    assert cost(run(config(), "out")) == Cost()


HARMLESS = ". Results are the same; a run that needs it again makes it again"


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (
            "nested",
            'it is not its architecture with other tensors (Error(s) in loading state_dict for Linear: Missing key(s) in state_dict: "weight", "bias". Unexpected key(s) in state_dict: "0.weight", "0.bias". )',
        ),
        ("shifted", "its modules, their settings or their hooks are not those of its architecture"),
        ("hooked", "its modules, their settings or their hooks are not those of its architecture"),
        ("listed", "its architecture with the same tensors answers otherwise"),
        ("noted", "its state holds more than tensors (_extra_state)"),
    ],
)
def test_a_model_that_cannot_be_kept_is_used_and_told_of(run, config, fresh, how, why):
    model = {"model": "toy/listing"} if how == "listed" else {}
    given = config(defenses=["toy/keep", {"name": "toy/swap", "params": {"how": how}}], **model)
    found = run(given)
    assert {cell.status for cell in found.cells} == {"ok"}
    assert found.provenance.warnings == (
        f"toy/swap: its model cannot be kept in the cache: {why.replace('. )', '.)')}{HARMLESS}",
    )
    assert outcome(found) == fresh(given)
    assert cost(run(given)) == Cost()  # what attacks gave is kept all the same
    lira = {"name": "lira", "params": {"shadow_models": 4, "variance": "shared"}}
    more = given | {"risks": given["risks"] | {"membership-inference": {"attacks": [lira]}}}
    assert trained(run(more)) == {"swap"}  # the others were kept


def test_an_architecture_that_keeps_more_than_tensors_is_used_and_told_of(run, config):
    found = run(config(model="toy/noting", defenses=["toy/keep"]))
    assert {cell.status for cell in found.cells} == {"ok"}
    assert found.provenance.warnings == tuple(
        f"{maker}: its model cannot be kept in the cache: its state holds more than tensors (_extra_state){HARMLESS}"
        for maker in ("toy/noting", "toy/keep")
    )


def test_a_model_that_answers_nan_is_blamed_on_its_maker(run, config):
    found = run(config(defenses=["toy/keep", {"name": "toy/swap", "params": {"how": "nan"}}]))
    failed = {(cell.row, cell.blame) for cell in found.cells if cell.status == "failed"}
    assert failed == {("swap", "toy/swap")}
    assert {cell.status for cell in found.cells if cell.row != "swap"} == {"ok"}


def test_workers_need_a_cache_that_can_be_written(run, config, monkeypatch, tmp_path):
    monkeypatch.setattr(conduct, "write_note", raising(NO_SPACE))
    with pytest.raises(RequestError) as error:
        run(config(executor="processes"))
    assert str(error.value) == (
        f"the cache {tmp_path / 'cache'} cannot be written: No space left on device; the workers of builtin/processes "
        "exchange outputs through it. Set AMULET_CACHE to a folder that can be written."
    )


def test_an_executor_that_breaks_down_leaves_what_was_done(run, config, fresh):
    given = config(executor={"name": "toy/fragile", "params": {"jobs": 4}})
    found = run(given, "out")
    failed = [cell for cell in found.cells if cell.status == "failed"]
    assert {(cell.blame, cell.reason) for cell in failed} == {("toy/fragile", "ConnectionError: the cluster is gone")}
    assert 0 < len(failed) < len(found.cells)
    again = run(config(), "out")
    assert again.provenance.reused == len(found.cells) - len(failed)
    assert outcome(again) == fresh(config())


def test_an_output_that_goes_away_while_the_run_goes_on_is_made_again(run, config, known, entries, fresh, monkeypatch):
    risks = {"evasion": {"attacks": [{"name": "toy/nudge", "params": {"step": 0.4}}, "toy/shove"]}}
    changed = config() | {"risks": config()["risks"] | risks}
    expected, path = fresh(changed), entries(config())["train keep (5 models)"]
    path.unlink()
    ordinary = Store.has
    monkeypatch.setattr(Store, "has", lambda self, key: key == path.stem or ordinary(self, key))
    found = run(changed)
    assert trained(found) == {"keep"}
    assert found.provenance.warnings == (
        f"cache: {path} is not there any more; it was not used, and is computed again",
    )
    assert outcome(found) == expected


def test_two_runs_into_one_folder_are_refused_and_the_first_is_unharmed(run, config, toy, tmp_path):
    request, out = resolve(config(), toy()), tmp_path / "out"
    with run_folder.run_folder(out, request):
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        with pytest.raises(RequestError) as error:
            run(config(), "out")
        assert str(error.value) == (
            f"another run is writing into the output folder {out} (process {os.getpid()} on {platform.node()}): "
            "wait for it, or choose another with --out."
        )
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert run(config(), "out").provenance.complete


def test_a_run_killed_early_leaves_a_folder_that_only_its_configuration_may_go_on_with(run, config, known):
    for name in ("results.json", "results.csv", "provenance.json", "report.html"):
        (known / "out" / name).unlink()
    before = (known / "out" / "journal.jsonl").read_bytes()
    with pytest.raises(RequestError) as error:
        run(config(seeds=2), "out")
    assert str(error.value) == (
        f"the output folder {known / 'out'} holds the results of another configuration: "
        "choose another with --out, or remove it."
    )
    assert (known / "out" / "journal.jsonl").read_bytes() == before
    assert cost(run(config(executor="processes"), "out")) == Cost()


def test_a_request_that_was_wrong_may_be_corrected_in_the_same_folder(run, config):
    wrong = config(data={"train": 50_000, "val": 10, "test": 60, "aux": 20})
    with pytest.raises(RequestError):
        run(wrong, "out")
    assert run(config(), "out").provenance.complete


@pytest.mark.parametrize("name", ["results.json", "config.json"])
def test_results_that_cannot_be_read_are_taken_for_those_of_another_configuration(run, config, known, name):
    (known / "out" / name).write_text("{")
    with pytest.raises(RequestError) as error:
        run(config(), "out")
    assert str(error.value) == (
        f"the output folder {known / 'out'} holds the results of another configuration: "
        "choose another with --out, or remove it."
    )


def test_a_folder_that_is_of_no_run_is_named(tmp_path):
    with pytest.raises(RequestError) as error:
        run_folder.located(tmp_path, None)
    assert str(error.value) == (
        f"{tmp_path} is a folder without config.json, hence not of a run: name a YAML or TOML file, or a run's folder."
    )


def test_a_cache_of_a_newer_version_ends_the_request_before_anything_runs(run, config, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "FORMAT").write_text("amulet-store-9\n")
    with pytest.raises(RequestError) as error:
        run(config(), "out")
    assert str(error.value) == (
        f'the cache {tmp_path / "cache"} has the format "amulet-store-9", made by a newer version: this one reads '
        "amulet-store-1. Install the latest AMULET, or set AMULET_CACHE to another folder."
    )
    assert not (tmp_path / "out").exists()
