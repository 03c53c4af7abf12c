"""A single worker, and how its end is told."""

import selectors
import shlex
import sys

import pytest
from fake_workers import task

from amulet_core.lines import ending
from amulet_plugins_builtin.executors.workers import Command, Worker, end, refusal


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "ended with exit code 0"),
        (3, "ended with exit code 3"),
        (-9, "was killed by SIGKILL"),
        (-11, "was killed by SIGSEGV"),
        (-99, "was killed by signal 99"),
    ],
)
def test_an_end_is_told_in_words(code, said):
    assert ending(code) == said


def test_a_task_for_a_dead_worker_is_found_out_as_for_any_that_dies():
    with selectors.DefaultSelector() as selector:
        worker = Worker(Command((sys.executable, "-c", "print('no')"), {}), selector)
        try:
            worker.process.wait()
            worker.send(task("a"))
            worker.read()
            assert (worker.dead, worker.said, worker.free().key) == (True, "no\n", "a")
        finally:
            end([worker])


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("pass", None),
        (
            "raise SystemExit(4)",
            "it ended with exit code 4, and said last: nothing. See for yourself: COMMAND </dev/null",
        ),
        (
            "import os; os.abort()",
            "it was killed by SIGABRT, and said last: nothing. See for yourself: COMMAND </dev/null",
        ),
        (
            "raise SystemExit('no disk')",
            "it ended with exit code 1, and said last: no disk. See for yourself: COMMAND </dev/null",
        ),
    ],
)
def test_whether_workers_can_start_is_seen_from_one_that_gets_no_letter(code, why):
    command = Command((sys.executable, "-c", code), {})
    assert refusal(command) == (why and why.replace("COMMAND", shlex.join(command.arguments)))
