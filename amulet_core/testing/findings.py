"""What a conformance check is, and what it says when it fails: what was found, what was expected, how to mend it."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from unittest import SkipTest

from amulet_core import __version__
from amulet_core.checks import Check

TARGETS: Final = "its targets can be called as documented"


class ConformanceError(AssertionError):
    """A component breaks a rule of the plugin interface; its text has all three parts."""

    def __init__(self, *, found: str, expected: str, fix: str) -> None:
        """Say what was found, what was expected, and how to mend it; each a phrase without a full stop."""
        super().__init__(f"found: {found}. Expected: {expected}. To fix it: {fix}.")
        self.found, self.expected, self.fix = found, expected, fix


class ConformanceWarning(FutureWarning):
    """A component breaks a rule that is new: from the next minor version on, that is a failure."""


class NotCheckedError(SkipTest):
    """A check could not be made, because another one fails or files are not there; its text says which.

    pytest skips the test of such a check, as ``amulet check`` counts it as no failure.
    """


@dataclass(frozen=True)
class ConformanceCheck(Check):
    """A check of one component (or, for ``component`` a plugin's name, of the plugin as a whole).

    ``examine()`` does what ``run()`` does, and returns a note for the reader, mostly empty. A new check says from which
    version of amulet-framework on it fails; before that, ``examine()`` raises as ever and ``run()`` only warns.
    """

    component: str
    examine: Callable[[], str]
    fails_from: str = ""

    @property
    def only_warns(self) -> bool:
        """Say whether the version that is installed is older than the one from which on the check fails."""
        return bool(self.fails_from) and _minor(__version__) < _minor(self.fails_from)

    def __str__(self) -> str:
        """Return ``component: name``, which is unique in a plugin and the same in every process."""
        return f"{self.component}: {self.name}"


def conformance(
    component: str, *, name: str, why: str, examine: Callable[[], str | None], fails_from: str = ""
) -> ConformanceCheck:
    """Make a check; ``examine`` raises, or returns a note (or nothing). ``fails_from`` is a version like ``0.2``."""

    def noted() -> str:
        return examine() or ""

    def run() -> None:
        try:
            noted()
        except ConformanceError as error:
            if not check.only_warns:
                raise
            text = f"{check}: {error} It is a failure from amulet-framework {fails_from} on."
            warnings.warn(ConformanceWarning(text), stacklevel=2)

    check = ConformanceCheck(name=name, why=why, run=run, component=component, examine=noted, fails_from=fails_from)
    return check


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def expected_to_fail(check: ConformanceCheck, reason: str) -> ConformanceCheck:
    """Return the check turned round: it passes while ``check`` fails, and says so once that passes."""

    def examine() -> str:
        try:
            check.examine()
        except AssertionError:
            return f"fails as expected: {reason}"
        raise ConformanceError(
            found=f'"{check}" passes',
            expected=f"a failure ({reason})",
            fix="remove it from expected_failures",
        )

    return conformance(check.component, name=check.name, why=check.why, examine=examine)
