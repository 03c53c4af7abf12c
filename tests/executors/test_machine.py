"""What a machine offers, and which jobs fit on it together."""

import psutil
import pytest

from amulet_core.components import Resources
from amulet_plugins_builtin.executors.machine import GB, Machine, fits, this_machine

ALL = this_machine()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, ALL),
        ({"cpu.max": "max 100000\n", "memory.max": "max\n"}, ALL),
        ({"cpu.max": "150000 100000\n"}, Machine(1, ALL.memory)),
        ({"cpu.max": "10000 100000\n"}, Machine(1, ALL.memory)),
        ({"cpu.max": "100000000 100000\n", "memory.max": f"{10**15}\n"}, ALL),
        ({"memory.max": "1000000\n"}, Machine(ALL.cores, 1_000_000)),
    ],
)
def test_a_container_has_what_its_cgroup_says(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert this_machine(tmp_path) == expected


def test_a_process_bound_to_one_core_has_one(monkeypatch, tmp_path):
    mine = psutil.Process().cpu_affinity()
    psutil.Process().cpu_affinity(mine[:1])
    try:
        assert this_machine(tmp_path).cores == 1
    finally:
        psutil.Process().cpu_affinity(mine)


@pytest.mark.parametrize(
    ("wanted", "running", "expected"),
    [
        (Resources(), [], True),
        (Resources(cpus=9, memory_gb=99), [], True),
        (Resources(memory_gb=4), [Resources(memory_gb=6)], True),
        (Resources(memory_gb=4.1), [Resources(memory_gb=6)], False),
        (Resources(memory_gb=0), [Resources(memory_gb=99)], False),
        (Resources(cpus=1), [Resources(cpus=2), Resources(cpus=1)], True),
        (Resources(cpus=2), [Resources(cpus=2), Resources(cpus=1)], False),
    ],
)
def test_jobs_run_together_if_what_they_declare_is_there_for_all(wanted, running, expected):
    assert fits(wanted, running, Machine(cores=4, memory=10 * GB)) is expected
