"""Observers are told of a run, each in its own process: none can fail it, block it, disturb it, or outlive it."""

import json
import os
import random
import re
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from amulet_core.running.observers import observed

LONG = 60.0
SHORT = 0.2
ONE = {"done": 1, "total": 2, "label": "fit"}
RECORDS = """
import json

def record(*event):
    with open({path!r}, "a") as stream:
        stream.write(json.dumps(event) + "\\n")

@hookimpl
def amulet_progress(label, done):
    record(done, label)

@hookimpl
def amulet_run_finished(results):
    record(results["cells"])
"""
HANGS = """
import os, random, subprocess, sys, time

@hookimpl
def amulet_run_started(run):
    with open({path!r}, "w") as stream:
        stream.write(str(os.getpid()))
    {hang}
"""


@pytest.fixture
def recorder(packages, tmp_path):
    """Return a function that installs a plugin which records what it is told, and returns how to read that."""

    def install(name):
        path = tmp_path / f"{name}.jsonl"
        packages.add(name, RECORDS.format(path=str(path)))
        return lambda: [json.loads(line) for line in path.read_text().splitlines()]

    return install


@pytest.fixture
def hanging(packages, tmp_path):
    """Return a function that installs a plugin which hangs in its first event, and how to wait until it does."""

    def install(hang):
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        packages.add("xyz", HANGS.format(path=str(fifo), hang=hang))
        return lambda: int(fifo.read_text())

    return install


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def left_behind():
    return threading.active_count(), len(list(Path("/dev/fd").iterdir()))


def told_to(registry, *events, grace=LONG, **options):
    with observed(registry, grace=grace, **options) as observers:
        for hook, arguments in events:
            observers.tell(hook, arguments)
    return observers.warnings()


def test_every_observer_is_called_in_order_with_the_arguments_it_asks_for(packages, recorder):
    read = [recorder(name) for name in ("one", "two")]
    progress = [("amulet_progress", {**ONE, "done": done}) for done in range(200)]
    finished = ("amulet_run_finished", {"results": {"cells": 7}, "folder": ""})
    ignored = ("amulet_cell_started", {"cell": {}})
    before = left_behind()
    assert told_to(packages.discover(), *progress, ignored, finished) == ()
    assert [one() for one in read] == [[*([done, "fit"] for done in range(200)), [7]]] * 2
    assert left_behind() == before


FAILING = {
    "raise ValueError('no server.')": "ValueError: no server",
    "raise SystemExit('enough')": "SystemExit: enough",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "raise ValueError('x' * 10**6)": "ValueError: " + "x" * 1988,
}


@pytest.mark.parametrize("order", [("abc", "xyz"), ("xyz", "abc")])
@pytest.mark.parametrize("fault", FAILING)
def test_a_failing_observer_is_one_warning_and_stops_nobody_whatever_the_order(packages, recorder, order, fault):
    failing, recording = order
    packages.add(failing, f"@hookimpl\ndef amulet_progress():\n    {fault}")
    read = recorder(recording)
    assert told_to(packages.discover(), ("amulet_progress", ONE)) == (
        f"plugin {failing} (amulet-plugin-{failing} 1.0): its amulet_progress failed and was ignored: {FAILING[fault]}.",
    )
    assert read() == [[1, "fit"]]


def test_an_observer_that_fails_goes_on_observing_and_is_one_warning_a_hook(packages):
    body = """
    SEEN = []

    @hookimpl
    def amulet_progress(done):
        SEEN.append(done)
        raise RuntimeError(f"failed at {SEEN}")

    @hookimpl
    def amulet_cell_started(cell):
        raise RuntimeError("every time")
    """
    packages.add("xyz", body)
    events = [("amulet_progress", {**ONE, "done": done}) for done in range(3)]
    assert told_to(packages.discover(), *events, ("amulet_cell_started", {"cell": {}})) == (
        "plugin xyz (amulet-plugin-xyz 1.0): its amulet_progress failed and was ignored: "
        "RuntimeError: failed at [0] (the first of 3 times).",
        "plugin xyz (amulet-plugin-xyz 1.0): its amulet_cell_started failed and was ignored: RuntimeError: every time.",
    )


def test_an_observer_that_reads_takes_no_event_away(packages):
    packages.add("xyz", "@hookimpl\ndef amulet_cell_started(cell): input()")
    events = [("amulet_cell_started", {"cell": {"large": "x" * 10_000}})] * 100
    assert told_to(packages.discover(), *events) == (
        "plugin xyz (amulet-plugin-xyz 1.0): its amulet_cell_started failed and was ignored: "
        "EOFError: EOF when reading a line (the first of 100 times).",
    )


@pytest.mark.parametrize(
    ("fault", "how"),
    [
        ("os._exit(3)", "ended with exit code 3"),
        ("os._exit(0)", "ended with exit code 0"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was killed by SIGSEGV"),
        ("os.kill(os.getpid(), 40)", "was killed by signal 40"),
    ],
)
def test_an_observer_whose_process_dies_is_one_warning(packages, recorder, fault, how):
    packages.add("abc", f"import os, signal\n@hookimpl\ndef amulet_progress(done):\n    if done: {fault}")
    read = recorder("xyz")
    before = left_behind()
    events = [("amulet_progress", {**ONE, "done": done}) for done in range(4)]
    assert told_to(packages.discover(), *events) == (
        f"plugin abc (amulet-plugin-abc 1.0): the process in which it observes {how}, "
        "with 3 of 4 events not taken. What it records of this run is incomplete.",
    )
    assert len(read()) == 4
    assert left_behind() == before


def test_an_observer_that_ends_badly_after_all_events_is_one_warning(packages):
    packages.add("xyz", "import atexit, os\n@hookimpl\ndef amulet_progress(): atexit.register(os._exit, 4)")
    assert told_to(packages.discover(), ("amulet_progress", ONE)) == (
        "plugin xyz (amulet-plugin-xyz 1.0): the process in which it observes ended with exit code 4, "
        "with 0 of 1 events not taken. What it records of this run is incomplete.",
    )


def test_telling_a_dead_observer_harms_nobody(packages, hanging):
    dying = hanging("os._exit(3)")
    with observed(packages.discover(), grace=LONG) as observers:
        observers.tell("amulet_run_started", {"run": {}})
        dying()
        for _ in range(1000):
            observers.tell("amulet_run_started", {"run": {"large": "x" * 1000}})
    (warning,) = observers.warnings()
    assert "with 1001 of 1001 events not taken" in warning


@pytest.mark.parametrize("hang", ["time.sleep(10**6)", "while True: pass", "exec('while True: random.random()')"])
def test_an_observer_that_hangs_is_stopped_after_the_grace(packages, hanging, hang):
    hung = hanging(hang)
    before = left_behind()
    with observed(packages.discover(), grace=SHORT) as observers:
        observers.tell("amulet_run_started", {"run": {}})
        pid = hung()
        assert alive(pid)
        assert observers.warnings() == ()
    assert observers.warnings() == (
        "plugin xyz (amulet-plugin-xyz 1.0): it had not ended 0.2 s after the run and was stopped, "
        "with 1 of 1 events not taken. What it records of this run is incomplete. "
        "See what it waits for, or leave it out by AMULET_PLUGINS.",
    )
    assert not alive(pid)
    assert left_behind() == before


def test_an_observer_that_hangs_keeps_nothing_from_others(packages, hanging, tmp_path):
    hung = hanging("time.sleep(10**6)")
    fifo = tmp_path / "heard"
    os.mkfifo(fifo)
    packages.add("abc", RECORDS.format(path=str(fifo)))
    with observed(packages.discover(), grace=SHORT) as observers:
        observers.tell("amulet_run_started", {"run": {}})
        hung()
        observers.tell("amulet_run_finished", {"results": {"cells": 7}, "folder": ""})
        assert fifo.read_text() == "[7]\n"


def test_what_a_stopped_observer_has_started_ends_with_it(packages, hanging, tmp_path):
    hold = tmp_path / "hold"
    os.mkfifo(hold)
    hung = hanging(f"held = open({str(hold)!r}, 'w'); subprocess.run(['sleep', '1000'], pass_fds=[held.fileno()])")
    with observed(packages.discover(), grace=SHORT) as observers:
        observers.tell("amulet_run_started", {"run": {}})
        hung()
        reader = hold.open()
    with reader:
        assert select.select([reader], [], [], LONG)[0]
        assert reader.read() == ""


def test_an_observer_that_blocks_does_not_block_the_run_and_is_told_how_it_ended(packages, tmp_path):
    gate, record = tmp_path / "gate", tmp_path / "record"
    os.mkfifo(gate)
    body = f"""
    SEEN = []

    @hookimpl
    def amulet_run_started(run):
        open({str(gate)!r}).read()

    @hookimpl
    def amulet_progress(done):
        SEEN.append(done)

    @hookimpl
    def amulet_run_finished(results):
        open({str(record)!r}, "w").write(str([*SEEN, results]))
    """
    packages.add("xyz", body)
    with observed(packages.discover(), grace=LONG, room=200_000) as observers:
        observers.tell("amulet_run_started", {"run": {}})
        for done in range(10_000):
            observers.tell("amulet_progress", {**ONE, "done": done})
        observers.tell("amulet_run_finished", {"results": {"large": "x" * 300_000}, "folder": ""})
        gate.write_text("go")
    seen = json.loads(record.read_text().replace("'", '"'))
    (warning,) = observers.warnings()
    dropped = int(re.search(r"(\d+) of 10002 were dropped", warning)[1])
    assert warning == (
        "plugin xyz (amulet-plugin-xyz 1.0): it takes events more slowly than they come, "
        f"and {dropped} of 10002 were dropped. What it records of this run is incomplete."
    )
    assert dropped > 1000
    assert len(seen) == 10_000 - dropped + 1
    assert seen[-1] == {"large": "x" * 300_000}
    assert seen[:-1] == sorted(seen[:-1])


def test_what_was_taken_makes_room(packages, tmp_path):
    fifo = tmp_path / "heard"
    os.mkfifo(fifo)
    packages.add("xyz", RECORDS.format(path=str(fifo)))
    with observed(packages.discover(), grace=LONG, room=500) as observers:
        for done in range(20):
            observers.tell("amulet_progress", {**ONE, "done": done})
            assert json.loads(fifo.read_text()) == [done, "fit"]
    assert observers.warnings() == ()


def test_an_observer_that_draws_and_sets_threads_leaves_the_run_as_it_was(packages):
    body = """
    @hookimpl
    def amulet_progress():
        import random, numpy, os, torch

        random.random(), numpy.random.rand(), torch.rand(1)
        random.seed(1), numpy.random.seed(1), torch.manual_seed(1)
        torch.set_num_threads(3), torch.use_deterministic_algorithms(True)
        os.environ["OBSERVED"] = "1"
        os.chdir("/")
    """
    packages.add("xyz", body)

    def state():
        numpys = np.random.get_state()[1].tolist()  # noqa: NPY002 - the global one is what an observer could disturb
        generators = random.getstate(), numpys, torch.get_rng_state().tolist()
        process = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        return generators, process, dict(os.environ), Path.cwd()

    before = state()
    assert told_to(packages.discover(), ("amulet_progress", ONE)) == ()
    assert state() == before


def test_what_an_observer_prints_is_seen_and_disturbs_nothing(packages, capfd):
    body = """
    import os, sys

    @hookimpl
    def amulet_progress():
        print("printed")
        sys.__stdout__.write('["amulet_progress", "a lie"]\\n')
        os.write(1, b"written\\n")
        os.system("echo shouted")
    """
    packages.add("xyz", body)
    assert told_to(packages.discover(), ("amulet_progress", ONE)) == ()
    out, err = capfd.readouterr()
    assert out == ""
    assert {"printed", "written", "shouted"} <= set(err.splitlines())


def test_an_event_becomes_text_once_and_only_if_somebody_listens(packages, recorder):
    class Counted(dict):
        times = 0

        def items(self):
            self.times += 1
            return super().items()

    read = [recorder(name) for name in ("one", "two")]
    progress, started = Counted(ONE), Counted(cell={})
    assert told_to(packages.discover(), ("amulet_progress", progress), ("amulet_cell_started", started)) == ()
    assert [one() for one in read] == [[[1, "fit"]]] * 2
    assert (progress.times, started.times) == (1, 0)


def test_without_observers_there_is_no_process_no_thread_and_nothing_to_do(packages, monkeypatch):
    packages.add("xyz", "@hookimpl\ndef amulet_components(): return [attack('nudge')]")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    before = left_behind()
    with observed(packages.discover()) as observers:
        assert left_behind() == before
        observers.tell("amulet_progress", {"not": "JSON", "at": object()})
    assert observers.warnings() == ()


def test_only_observer_hooks_are_told(packages):
    with observed(packages.discover()) as observers, pytest.raises(ValueError) as raised:
        observers.tell("amulet_components", {})
    assert str(raised.value) == (
        "amulet_components is not an observer hook; the observer hooks are amulet_run_started, amulet_cell_started, "
        "amulet_progress, amulet_cell_finished, amulet_run_finished"
    )


def test_an_observer_that_cannot_be_loaded_again_is_one_warning(packages):
    body = """
    import sys

    if getattr(sys.modules["__main__"].__spec__, "name", "") == "amulet_core.running.observing":
        raise ImportError("not twice.")

    @hookimpl
    def amulet_progress(): pass
    """
    packages.add("xyz", body)
    assert told_to(packages.discover(), *[("amulet_progress", ONE)] * 3) == (
        "plugin xyz (amulet-plugin-xyz 1.0): it could not be loaded to observe, and was told nothing of this run: "
        "ImportError: not twice.",
    )


def test_an_observer_whose_process_cannot_start_is_one_warning(packages, monkeypatch):
    packages.add("xyz", "@hookimpl\ndef amulet_progress(): pass")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    before = left_behind()
    assert told_to(packages.discover(), ("amulet_progress", ONE)) == (
        "plugin xyz (amulet-plugin-xyz 1.0): the process in which it observes could not be started: "
        "FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/python'. It was told nothing of this run.",
    )
    assert left_behind() == before


def test_modules_in_the_working_folder_are_none_of_an_observers(packages, recorder, tmp_path, monkeypatch):
    read = recorder("xyz")
    registry = packages.discover()
    for module in ("json", "pluggy", "logging"):
        (tmp_path / f"{module}.py").write_text("raise ImportError('a file of the user')")
    monkeypatch.chdir(tmp_path)
    assert told_to(registry, ("amulet_progress", ONE)) == ()
    assert read() == [[1, "fit"]]


def test_an_interrupt_is_the_runs_and_no_observers(packages, tmp_path):
    fifo, record = tmp_path / "fifo", tmp_path / "record"
    os.mkfifo(fifo)
    body = f"""
    import os, time

    @hookimpl
    def amulet_run_started(run):
        open({str(fifo)!r}, "w").write(str(os.getpid()))
        open({str(fifo)!r}).read()

    @hookimpl
    def amulet_run_finished(results):
        open({str(record)!r}, "w").write("told")
    """
    packages.add("xyz", body)
    with observed(packages.discover(), grace=LONG) as observers:
        observers.tell("amulet_run_started", {"run": {}})
        pid = int(fifo.read_text())
        assert os.getpgid(pid) != os.getpgrp()
        os.kill(pid, signal.SIGINT)
        fifo.write_text("go")
        observers.tell("amulet_run_finished", {"results": {}, "folder": ""})
    assert observers.warnings() == ()
    assert record.read_text() == "told"


@pytest.fixture
def interruptible():
    """Have SIGINT raise KeyboardInterrupt, which it does not where the tests run in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_after_the_run_ends_the_waiting(packages, interruptible):
    body = """
    import atexit, os, signal, time

    def interrupt():
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(10**6)

    @hookimpl
    def amulet_progress():
        atexit.register(interrupt)
    """
    packages.add("xyz", body)
    before = left_behind()
    assert told_to(packages.discover(), ("amulet_progress", ONE), grace=10**6) == (
        "plugin xyz (amulet-plugin-xyz 1.0): it had not ended when Ctrl-C was pressed and was stopped, "
        "with 0 of 1 events not taken. What it records of this run is incomplete. "
        "See what it waits for, or leave it out by AMULET_PLUGINS.",
    )
    assert left_behind() == before


def test_an_error_of_the_run_ends_its_observers_and_goes_on(packages, recorder):
    read = recorder("xyz")
    before = left_behind()

    def run():
        with observed(packages.discover(), grace=LONG) as observers:
            observers.tell("amulet_progress", ONE)
            raise KeyError

    with pytest.raises(KeyError):
        run()
    assert read() == [[1, "fit"]]
    assert left_behind() == before


def test_no_observer_outlives_a_run_that_was_killed(packages, hanging, tmp_path):
    hold = tmp_path / "hold"
    os.mkfifo(hold)
    hung = hanging(f"held = open({str(hold)!r}, 'w'); time.sleep(10**6)")
    script = f"""
    import sys, time
    sys.path.insert(0, {str(packages.folder)!r})
    from amulet_core.running.observers import observed
    from amulet_core.discovery.registry import discover
    with observed(discover(select="xyz"), grace={SHORT}) as observers:
        observers.tell("amulet_run_started", {{"run": {{}}}})
        time.sleep(10**6)
    """
    code = "\n".join(line[4:] for line in script.splitlines())
    with subprocess.Popen([sys.executable, "-c", code]) as run:
        hung()
        with hold.open() as reader:
            run.kill()
            assert select.select([reader], [], [], LONG)[0]
            assert reader.read() == ""
