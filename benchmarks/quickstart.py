"""The quickstart's wall time, CPU time and peak memory, beside what they may be on two cores.

Run it as ``python benchmarks/quickstart.py``; it ends with 1 where a limit is exceeded or the quickstart fails.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WALL_SECONDS = 300
MEMORY_GB = 2.0


def main() -> int:
    """Run the quickstart in a process of its own, print what it took, and return the exit code."""
    environment = os.environ | {"AMULET_PLUGINS": "", "PYTHONPATH": str(Path(__file__).parents[1])}
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "amulet_core.commands.cli",
            "quickstart",
            "--out",
            str(Path(folder) / "quickstart"),
        ]
        start = time.perf_counter()
        code = subprocess.run(command, check=False, env=environment).returncode
        wall = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The peak is that of the largest process; the quickstart is a single one.
    peak = used.ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
    print(f"exit code    {code}")
    print(f"wall time    {wall:7.1f} s, limit {WALL_SECONDS} s: {judged(wall, WALL_SECONDS)}")
    print(f"CPU time     {used.ru_utime + used.ru_stime:7.1f} s")
    print(f"peak memory  {peak:7.2f} GB, limit {MEMORY_GB:g} GB: {judged(peak, MEMORY_GB)}")
    return int(code != 0 or wall > WALL_SECONDS or peak > MEMORY_GB)


def judged(found: float, limit: float) -> str:
    """Say whether a figure keeps to its limit."""
    return "within" if found <= limit else "EXCEEDED"


if __name__ == "__main__":
    sys.exit(main())
