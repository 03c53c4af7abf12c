"""Processes of ours that are spoken to in lines of JSON: what they keep apart, and how their end is told. Light."""

import os
import signal
import sys
import time


def part_from_the_lines() -> None:
    """Let stdin be empty and stdout be stderr, for Python and compiled code alike: the lines have other descriptors.

    What a component prints, or tries to read, can then neither spoil the lines nor wait for one.
    """
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr


def follow(run: int, *, grace: float) -> None:
    """End this process, and its group if it leads one, ``grace`` seconds after its parent ``run`` is gone.

    A run that is killed ends nobody: what it started would hold locks, memory and processors.
    """
    while os.getppid() == run:
        time.sleep(0.5)
    time.sleep(grace)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def ending(code: int) -> str:
    """Say in words how a process ended, by its return code as ``subprocess`` gives it."""
    if code >= 0:
        return f"ended with exit code {code}"
    known = {one.value: one.name for one in signal.Signals}
    return f"was killed by {known.get(-code, f'signal {-code}')}"
