"""What this machine offers to the jobs of a run, and whether one more job fits beside those that run."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from amulet_core.components import Resources

GB: Final = 10**9
_CGROUP: Final = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Machine:
    """The cores this process may use, and the memory in bytes."""

    cores: int
    memory: int


def this_machine(cgroup: Path = _CGROUP) -> Machine:
    """Return what this process may use: CPU affinity, and the limits of its container (cgroup v2) where it has any."""
    cores, memory = _affinity(), psutil.virtual_memory().total
    if (given := _limit(cgroup / "cpu.max")) is not None:
        quota, period = given
        cores = min(cores, max(1, quota // period))
    if (given := _limit(cgroup / "memory.max")) is not None:
        memory = min(memory, given[0])
    return Machine(cores, memory)


def fits(wanted: Resources, running: Iterable[Resources], machine: Machine) -> bool:
    """Say whether a job may start beside others by what they declare. Alone, any job may: it is then up to the user."""
    others = list(running)
    together = [wanted, *others]
    cores = sum(one.cpus for one in together)
    memory = sum(one.memory_gb for one in together) * GB
    return not others or (cores <= machine.cores and memory <= machine.memory)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _limit(file: Path) -> list[int] | None:
    """Return the numbers in a file of cgroup v2, or None if there is no such file, or no limit in it."""
    try:
        words = file.read_text().split()
    except OSError:
        return None
    return None if "max" in words else [int(word) for word in words]
