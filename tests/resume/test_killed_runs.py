"""A run that is killed at any moment goes on when it is started again, and ends as if it had never been killed."""

import json
import random
import signal

import pytest
import yaml
from killing import KILLABLE, ended, killed, performed, warnings_of

KILLS = 20


@pytest.fixture
def uninterrupted(process, tmp_path) -> str:
    """Return the cells of a run that nothing interrupts, with a cache of its own."""
    return ended(process(KILLABLE, tmp_path / "its cache", tmp_path / "its out", tmp_path / "its log"))


def test_a_run_killed_at_twenty_random_moments_ends_as_if_it_had_not_been(process, load, uninterrupted, tmp_path):
    moments, kills, rounds = random.Random(11), 0, 0
    while kills < KILLS:
        rounds += 1
        out, before = tmp_path / f"out {rounds}", kills
        run = KILLABLE, tmp_path / f"cache {rounds}", out, tmp_path / f"log {rounds}"
        while kills < KILLS and killed(process(*run), moments):
            kills += 1
        assert ended(process(*run)) == uninterrupted
        assert warnings_of(out) == set()
        counts = performed(tmp_path / f"log {rounds}")
        assert counts.keys() == performed(tmp_path / "its log").keys()
        # Each kill may cost the one job that was under way, and no other.
        assert sum(counts.values()) - len(counts) <= kills - before


def test_two_runs_that_share_a_cache_and_are_killed_in_turn_do_each_job_once(process, load, uninterrupted, tmp_path):
    moments, kills, rounds = random.Random(5), 0, 0
    while kills == 0:  # on a busy machine both may be over before they are killed: then once more
        rounds += 1
        log, cache, before = tmp_path / f"log {rounds}", tmp_path / f"cache {rounds}", kills
        outs = [tmp_path / f"out {rounds} {number}" for number in (0, 1)]
        runs = [process(KILLABLE, cache, out, log) for out in outs]
        for turn in range(8):
            number = turn % 2
            kills += killed(runs[number], moments)
            runs[number] = process(KILLABLE, cache, outs[number], log)
        assert [ended(run) for run in runs] == [uninterrupted] * 2
        assert [warnings_of(out) for out in outs] == [set()] * 2
        counts = performed(log)
        assert counts.keys() == performed(tmp_path / "its log").keys()
        assert sum(counts.values()) - len(counts) <= kills - before


def test_what_a_killed_run_had_journaled_is_known_without_the_cache(process, uninterrupted, tmp_path):
    out, log = tmp_path / "out", tmp_path / "log"
    run = process(KILLABLE, tmp_path / "cache", out, log)
    for _ in range(60):
        run.stdout.readline()
    run.kill()
    run.communicate()
    known = len((out / "journal.jsonl").read_text().splitlines())
    assert known > 5
    again = tmp_path / "log again"
    assert ended(process(KILLABLE, tmp_path / "another cache", out, again)) == uninterrupted
    plays = (out / "journal.jsonl").read_text().splitlines()
    assert len(plays) == len({line.split('"key":"')[1][:64] for line in plays})  # none of them was done again


def test_the_command_killed_again_and_again_ends_with_the_same_bytes(command, config, tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config()))
    journaled = []
    for lines, what in ((4, "mine.yaml"), (7, "out")):  # the first is the note of too few seeds
        run = command("run", what, "--out", "out")
        shown = [run.stderr.readline() for _ in range(lines)]
        run.kill()
        run.communicate()
        assert run.returncode == -signal.SIGKILL, shown
        journaled.append(len((tmp_path / "out" / "journal.jsonl").read_text().splitlines()))
    assert 0 < journaled[0] < journaled[1]
    for what, out, cache in (("out", "out", "cache"), ("mine.yaml", "uninterrupted", "another cache")):
        run = command("run", what, "--out", out, cache=cache)
        _, told = run.communicate()
        assert run.returncode == 0, told
    for name in ("results.json", "results.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "uninterrupted" / name).read_bytes()
    provenance = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert provenance["complete"]
    assert provenance["reused"] >= journaled[1]
    assert provenance["warnings"] == []


def test_two_runs_at_once_do_each_job_once_and_end_with_the_same_bytes(command, config, tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config()))
    runs = [command("run", "mine.yaml", "--out", out) for out in ("one", "other")]
    told = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    one, other = (json.loads((tmp_path / out / "provenance.json").read_text()) for out in ("one", "other"))
    assert (tmp_path / "one" / "results.json").read_bytes() == (tmp_path / "other" / "results.json").read_bytes()
    trainings = {"train none (5 models)", "train placebo (5 models)", "train keep (5 models)"}
    # A job that the other run did takes no time at all, and is not even listed if it was done before.
    done = [{label for label in trainings if each["timings"].get(label, 0) > 0} for each in (one, other)]
    assert done[0] | done[1] == trainings
    assert not done[0] & done[1]
