"""What jobs may take of a machine on `processes`: memory that they declare, memory that they hold, and time."""

import pytest
from fake_workers import finish, pid_of, task, unmeasured

from amulet_plugins_builtin.executors.machine import GB


@pytest.mark.parametrize(("memory", "at_once"), [(11, 1), (12, 2)])
def test_jobs_wait_for_the_memory_that_they_declare(bench, memory, at_once):
    with bench.session(memory=memory * GB) as session:
        finish(session, [task(f"{n}", memory_gb=6) for n in range(6)])
    assert len(bench.pids) == at_once


def test_a_job_that_takes_too_much_memory_fails_by_name_and_is_not_tried_again(bench):
    with bench.session(workers=1, memory_gb=0.1, retries=5) as session:
        outcomes = finish(session, [task("a", eat=200_000_000, full=0, moan="yum"), task("b")])
    failed = outcomes["a"]
    assert (failed.blame, failed.traceback) == ("builtin/processes", "yum")
    assert unmeasured(failed.reason) == (
        "the worker that did it held N GB of memory, more than the 0.1 GB that it may: raise memory_gb of "
        "builtin/processes, or leave it out"
    )
    assert [pid_of(outcomes["b"])] == bench.pids[1:]
    assert bench.warnings == []


def test_a_job_does_not_fail_for_the_memory_that_another_left_behind(bench):
    with bench.session(workers=1, memory_gb=0.15) as session:
        outcomes = finish(session, [task("a", eat=80_000_000), task("b", eat=80_000_000, full=100_000_000)])
    assert pid_of(outcomes["a"]) == bench.pids[0]
    assert [pid_of(outcomes["b"])] == bench.pids[1:]


def test_a_job_that_takes_too_long_fails_by_name_and_is_not_tried_again(bench):
    with bench.session(workers=1, job_seconds=0.5, retries=5) as session:
        outcomes = finish(session, [task("a", hang=bench.fifo("hung"))])
        assert session.workers == []
    assert outcomes["a"].blame == "builtin/processes"
    assert outcomes["a"].reason == (
        "it was not done after 0.5 s: raise job_seconds of builtin/processes, or leave it out"
    )
    assert len(bench.pids) <= 1
    assert bench.warnings == []
