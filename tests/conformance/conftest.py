"""What the tests of the conformance kit share: misbehaving components, which descriptors find by import."""

import sys
from pathlib import Path

import pytest

# The tables of mutants are read when tests are collected, before any fixture.
sys.path.append(str(Path(__file__).parent))


@pytest.fixture
def failures():
    """Give a function from checks to those that fail, by name; what could not be checked is not among them.

    New checks, which only warn as yet, fail here like all others.
    """
    from amulet_core.testing.findings import NotCheckedError

    def run(checks):
        failed = {}
        for check in checks:
            try:
                check.examine()
            except NotCheckedError:
                continue
            except AssertionError as error:
                failed[check.name] = str(error)
        return failed

    return run
