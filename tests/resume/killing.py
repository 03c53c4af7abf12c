"""Killing runs of fake jobs at random moments, and what their log says of the jobs they did."""

import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

KILLABLE = Path(__file__).with_name("killable.py")


def ended(process: subprocess.Popen[str]) -> str:
    """Wait until a run ends by itself, and return what it wrote: its cells."""
    _, told = process.communicate()
    assert process.returncode == 0, told
    return (Path(process.args[-2]) / "cells.json").read_text()


def killed(process: subprocess.Popen[str], moments: random.Random) -> bool:
    """Kill a run at a random moment: while it starts, or among its next jobs; return False if it was over by then."""
    lines = moments.randrange(10)
    for _ in range(lines):
        process.stdout.readline()
    time.sleep(moments.uniform(0, 0.02 if lines else 0.4))
    process.kill()
    _, told = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), told
    return process.returncode != 0


def performed(log: Path) -> Counter[str]:
    """Return how often each job was begun; none was whose output the cache had."""
    lines = [line.split() for line in log.read_text().splitlines()]
    assert [key for key, had in lines if had != "new"] == []
    return Counter(key for key, _ in lines)


def warnings_of(out: Path) -> set[str]:
    """Return what a run warned of that a kill cannot explain: all but a last line of the journal that was torn."""
    from json import loads

    torn = "journal: "
    return {text for text in loads((out / "warnings.json").read_text()) if not text.startswith(torn)}
