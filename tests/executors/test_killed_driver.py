"""What is left of a run on `processes` whose driver is ended from outside: nothing."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

DRIVER = """
import sys
from pathlib import Path
from fake_workers import Bench, task

bench = Bench(Path(sys.argv[1]))
with bench.session() as session:
    session.submit(task("busy", hang=sys.argv[2]) if sys.argv[2] else task("busy", meet=sys.argv[3], mode="r"))
    session.submit(task("idle"))
    session.next()
    print(*[worker.process.pid for worker in session.workers], flush=True)
    session.next()
"""


@contextmanager
def _driver(folder: Path, *fifos: str) -> Iterator[tuple[subprocess.Popen, list[int]]]:
    """Start a driver with one worker at a job and one without; yield it, and what becomes readable when they end."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", DRIVER, str(folder), *fifos]
    with ExitStack() as stack:
        driver = stack.enter_context(
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
                start_new_session=True,
            )
        )
        stack.callback(driver.kill)
        # Not waited for by their number: whoever inherits them here may leave them unburied, which is not their fault.
        workers = [os.pidfd_open(int(pid)) for pid in driver.stdout.readline().split()]
        for worker in workers:
            stack.callback(os.close, worker)
            stack.callback(_kill, worker)
        yield driver, workers


def _kill(worker: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(worker, signal.SIGKILL)


def _ended(worker: int, *, within: float) -> bool:
    return bool(select.select([worker], [], [], within)[0])


def _fifo(folder: Path, name: str) -> str:
    os.mkfifo(folder / name)
    return str(folder / name)


def test_workers_that_do_not_follow_their_driver_end_when_their_job_does(tmp_path):
    meet = _fifo(tmp_path, "meet")
    with _driver(tmp_path, "", meet) as (driver, (busy, idle)):
        driver.kill()
        driver.wait()
        assert _ended(idle, within=30)
        assert not _ended(busy, within=0)
        Path(meet).open("w").close()
        assert _ended(busy, within=30)


@pytest.mark.parametrize("all_of_them", [False, True])
def test_an_interrupted_driver_ends_its_workers_in_the_middle_of_their_jobs(tmp_path, all_of_them):
    """Ctrl-C at a terminal reaches the whole group of the driver; ``kill -INT`` the driver alone."""
    hung = _fifo(tmp_path, "hung")
    with _driver(tmp_path, hung) as (driver, (busy, idle)):
        Path(hung).open().close()
        (os.killpg if all_of_them else os.kill)(driver.pid, signal.SIGINT)
        _, said = driver.communicate(timeout=60)
        assert driver.returncode == -signal.SIGINT
        assert said.count("Traceback") == 1
        assert _ended(busy, within=0)
        assert _ended(idle, within=0)
