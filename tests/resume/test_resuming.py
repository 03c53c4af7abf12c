"""What a run knows from an earlier one, in its own folder or in the cache, it does not do again; the bits are equal."""

import json
import shutil

import pytest
from counting import Cost, cost, outcome, trained

ROWS = ("none", "placebo", "keep", "halve")


def on(row: str) -> set[str]:
    return {f"{name} on {row}" for name in ("nudge", "shove", "random-noise", "lira", "random-score", "utility")}


def everywhere(*names: str) -> set[str]:
    return {f"{name} on {row}" for name in names for row in ROWS}


# The row halve trains nothing: it acts on predictions, and its models are those of the row none.
ALL = Cost({"none", "placebo", "keep"}, set(ROWS), set.union(*map(on, ROWS)))


def test_a_second_run_does_nothing_again(run, config, fresh):
    first = run(config())
    again = run(config())
    assert (first.provenance.reused, again.provenance.reused) == (0, len(again.cells))
    assert cost(first) == ALL
    assert again.provenance.timings == {}
    assert again.provenance.warnings == first.provenance.warnings == ()
    assert outcome(again) == outcome(first) == fresh(config())


def test_runs_in_several_folders_share_one_cache(run, config, known, fresh):
    again = run(config(), "another")
    assert again.provenance.timings == {}
    assert outcome(again) == fresh(config())
    files = [(known / name / "results.json").read_bytes() for name in ("out", "another")]
    assert files[0] == files[1]


def torn(journal):
    journal.write_bytes(journal.read_bytes()[:-20])


def flipped(journal):
    content = bytearray(journal.read_bytes())
    content[len(content) // 2] ^= 1
    journal.write_bytes(content)


def removed(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    ("journal", "cache", "lines", "jobs"),
    [
        (None, removed, 0, "none"),
        (removed, None, 0, "none"),
        (removed, removed, 0, "all"),
        (torn, None, 1, "none"),
        (torn, removed, 1, "some"),
        (flipped, removed, 1, "some"),
    ],
    ids=["cache gone", "journal gone", "both gone", "torn, cache", "torn, no cache", "flipped, no cache"],
)
def test_what_is_left_of_journal_and_cache_is_used_and_the_rest_is_done_again(
    run, config, known, fresh, journal, cache, lines, jobs
):
    for damage, path in ((journal, known / "out" / "journal.jsonl"), (cache, known / "cache")):
        if damage:
            damage(path)
    found = run(config(), "out")
    warning = f"journal: 1 line of {known / 'out' / 'journal.jsonl'}, not as written, could not be used"
    assert found.provenance.warnings == (warning,) * lines
    known_cells = {"none": len(found.cells), "some": len(found.cells) - 1, "all": 0}[jobs]
    assert found.provenance.reused == known_cells
    assert bool(found.provenance.timings) == (jobs != "none")
    assert outcome(found) == fresh(config())
    assert run(config(), "out").provenance.reused == len(found.cells)


def test_a_folder_filled_from_the_cache_goes_on_without_it(run, config, known):
    run(config(), "other")
    removed(known / "cache")
    again = run(config(), "other")
    assert again.provenance.reused == len(again.cells)
    assert again.provenance.timings == {}


KEEP, HALVE = {"name": "toy/keep", "params": {"strength": 0.8}}, {"name": "toy/halve", "params": {"strength": 0.8}}
BOTH = {"label": "both", "chain": ["toy/keep", "toy/halve"]}
LIRA = {"name": "lira", "params": {"shadow_models": 4}}
SHARED = {"name": "lira", "params": {"shadow_models": 4, "variance": "shared"}}
NUDGE = {"name": "toy/nudge", "params": {"step": 0.4}}
PGD = {"name": "pgd", "params": {"steps": 2}}


DISJOINT = {"train": 40, "val": 20, "test": 60, "aux": 40, "design": "disjoint"}


def risks(*evasion, membership=LIRA):
    return {"evasion": {"attacks": list(evasion)}, "membership-inference": {"attacks": [membership]}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"defenses": [KEEP, "toy/halve"]}, Cost({"keep"}, {"keep"}, on("keep"))),
        ({"defenses": ["toy/keep", HALVE]}, Cost(asked={"halve"}, played=on("halve"))),
        ({"defenses": ["toy/keep", "toy/halve", BOTH]}, Cost(asked={"both"}, played=on("both"))),
        ({"defenses": ["toy/halve"]}, Cost()),
        ({"risks": risks(NUDGE, "toy/shove")}, Cost(played=everywhere("nudge"))),
        ({"risks": risks("toy/nudge", "toy/shove", PGD)}, Cost(played=everywhere("pgd"))),
        ({"risks": risks("toy/nudge", "toy/shove", membership=SHARED)}, Cost(played=everywhere("lira"))),
        ({"name": "another name"}, Cost()),
        ({"executor": "processes"}, Cost()),
        ({"root_seed": 1}, ALL),
        ({"threads_per_job": 2}, ALL),
    ],
    ids=[
        "a defense's parameter",
        "a wrapper's parameter",
        "a row more, whose models there are",
        "a row less",
        "an attack's parameter",
        "an attack more",
        "another attack's parameter",
        "a name",
        "the executor",
        "the root seed",
        "the threads",
    ],
)
def test_an_edit_costs_what_depends_on_it_and_nothing_else(run, config, known, fresh, changes, expected):
    found = run(config(**changes))
    assert cost(found) == expected
    assert found.provenance.warnings == ()
    assert outcome(found) == fresh(config(**changes))


def test_a_seed_more_trains_the_models_of_that_seed_where_each_is_trained_alone(run, config, fresh):
    run(config(stack=1))
    found = run(config(stack=1, seeds=2))
    # Six models serve both seeds, five of them were there: one is trained for each row that trains.
    assert [label for label in found.provenance.timings if label.startswith("train")] == [
        "train none (1 models)",
        "train placebo (1 models)",
        "train keep (1 models)",
    ]
    assert {label[-1] for label in found.provenance.timings if ", seed " in label} == {"1"}
    assert outcome(found) == fresh(config(stack=1, seeds=2))


def test_other_rows_under_the_same_name_make_everything_anew(run, config, tmp_path, monkeypatch):
    before = run(config())
    monkeypatch.setenv("TOY_FLIP", "1")
    found = run(config())
    assert cost(found) == ALL
    assert outcome(found) != outcome(before)
    removed(tmp_path / "cache")
    assert outcome(found) == outcome(run(config()))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"seeds": 1}, {"seeds": 4}),
        ({"seeds": 4}, {"seeds": 1}),
        ({"data": DISJOINT}, {"data": DISJOINT, "seeds": 2}),
        ({"data": DISJOINT, "seeds": 2}, {"data": DISJOINT}),
        ({"seeds": 2}, {"data": DISJOINT, "seeds": 2}),
    ],
    ids=["seeds more", "seeds less", "a block more", "a block less", "another design"],
)
def test_another_layout_of_rows_and_models_ends_as_if_nothing_had_been_kept(run, config, fresh, before, after):
    run(config(stack=1, **before))
    assert outcome(run(config(stack=1, **after))) == fresh(config(stack=1, **after))


def test_a_cell_that_failed_is_tried_again_and_everything_else_stands(run, config, fresh, tmp_path):
    attack = {"name": "toy/nudge", "params": {"until": str(tmp_path / "file")}}
    given = config(risks=risks(attack, "toy/shove"))
    first = run(given, "out")
    failed = [cell for cell in first.cells if cell.status == "failed"]
    assert {(cell.attack, cell.blame, cell.reason) for cell in failed} == {
        ("toy/nudge", "toy/nudge", "RuntimeError: the file is not there yet"),
        ("worst case", "toy/nudge", "RuntimeError: the file is not there yet"),
    }
    (tmp_path / "file").touch()
    again = run(given, "out")
    assert again.provenance.reused == len(first.cells) - len(failed)
    assert cost(again) == Cost(played=everywhere("nudge"))
    assert outcome(again) == fresh(given)


def test_an_interrupted_run_goes_on(run, config, fresh, tmp_path):
    attack = {"name": "toy/nudge", "params": {"until": str(tmp_path / "file"), "how": "interrupts"}}
    given = config(risks=risks("toy/shove", attack))
    first = run(given, "out")
    assert not first.provenance.complete
    undone = [cell for cell in first.cells if cell.status != "ok"]
    assert {(cell.status, cell.reason) for cell in undone} == {("skipped", "the run was interrupted before")}
    assert 0 < len(undone) < len(first.cells)
    (tmp_path / "file").touch()
    again = run(given, "out")
    assert again.provenance.complete
    assert again.provenance.reused == len(first.cells) - len(undone)
    assert not trained(first) & trained(again)
    assert outcome(again) == fresh(given)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("toy_keeping", Cost({"keep"}, {"keep"}, on("keep"))),
        ("toy_halving", Cost(asked={"halve"}, played=on("halve"))),
        ("toy_attacking", Cost(played=everywhere("nudge", "shove"))),
        ("toy_swapping", Cost()),
        ("toy_components", ALL),
    ],
)
def test_other_code_of_a_component_costs_what_used_it(run, config, known, packages, fresh, module, expected):
    with (packages.folder / f"{module}.py").open("a") as file:
        file.write("# another version\n")
    found = run(config())
    assert cost(found) == expected
    assert outcome(found) == fresh(config())


def test_other_code_of_a_component_has_effect(run, config, known, packages):
    module = packages.folder / "toy_keeping.py"
    module.write_text(module.read_text().replace("mul_(params.strength)", "mul_(params.strength / 3)"))
    before = json.loads((known / "out" / "results.json").read_text())["cells"]
    changed = {
        cell["row"]
        for cell, now in zip(before, run(config()).model_dump(mode="json")["cells"], strict=True)
        if cell != now
    }
    assert changed == {"keep"}


@pytest.mark.parametrize("library", ["numpy", "torch", "scipy", "scikit-learn", "pandas", "opacus", "fairlearn"])
def test_another_version_of_a_numeric_library_shares_nothing(config, known, toy, library, monkeypatch):
    from amulet_core.configuration.reading import resolve
    from amulet_core.running.conduct import prepared
    from amulet_core.storage import fingerprint
    from amulet_core.storage.store import Store

    def jobs():
        return set(prepared(resolve(config(), toy()), Store(known / "cache")).plan.jobs)

    before, version = jobs(), fingerprint.version
    monkeypatch.setattr(fingerprint, "version", lambda name: "0.0.1" if name == library else version(name))
    assert before
    assert not before & jobs()


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("damage", [torn, flipped, removed])
@pytest.mark.parametrize(
    ("label", "changes", "expected"),
    [
        ("train keep (5 models)", {"risks": risks(NUDGE, "toy/shove")}, Cost({"keep"}, played=everywhere("nudge"))),
        (
            "ask keep's models",
            {"risks": risks("toy/nudge", "toy/shove", membership=SHARED)},
            Cost(asked={"keep"}, played=everywhere("lira")),
        ),
        (
            "shove on keep, seed 0",
            {"risks": risks(NUDGE, "toy/shove")},
            Cost(played=everywhere("nudge") | {"shove on keep"}),
        ),
    ],
    ids=["models", "a bank", "a play"],
)
def test_a_damaged_entry_is_told_of_and_made_again(run, config, entries, fresh, damage, label, changes, expected):
    path = entries(config())[label]
    damage(path)
    found = run(config(**changes))
    differs = f"cache: {path} is not what was written: its checksum differs; it was not used, and is computed again"
    assert found.provenance.warnings == (() if damage is removed else (differs,))
    assert cost(found) == expected
    assert outcome(found) == fresh(config(**changes))


def test_a_damaged_entry_that_nobody_needs_costs_nothing(run, config, known, entries):
    flipped(entries(config())["train keep (5 models)"])
    found = run(config())
    assert (found.provenance.timings, found.provenance.warnings) == ({}, ())
