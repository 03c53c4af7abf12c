"""What a conformance check is, and what it says when it fails: what was found, what was expected, how to mend it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from amulet_core.checks import Check

TARGETS: Final = "its targets can be called as documented"


class ConformanceError(AssertionError):
    """A component breaks a rule of the plugin interface; its text has all three parts."""

    def __init__(self, *, found: str, expected: str, fix: str) -> None:
        """Say what was found, what was expected, and how to mend it; each a phrase without a full stop."""
        super().__init__(f"found: {found}. Expected: {expected}. To fix it: {fix}.")
        self.found, self.expected, self.fix = found, expected, fix


class NotCheckedError(AssertionError):
    """A check could not be made, because another one fails or files are not there; its text says which."""


@dataclass(frozen=True)
class ConformanceCheck(Check):
    """A check of one component (or, for ``component`` a plugin's name, of the plugin as a whole).

    ``examine()`` does what ``run()`` does, and returns a note for the reader, mostly empty.
    """

    component: str
    examine: Callable[[], str]

    def __str__(self) -> str:
        """Return ``component: name``, which is unique in a plugin and the same in every process."""
        return f"{self.component}: {self.name}"


def conformance(component: str, *, name: str, why: str, examine: Callable[[], str | None]) -> ConformanceCheck:
    """Make a check; ``examine`` raises, or returns a note (or nothing)."""

    def noted() -> str:
        return examine() or ""

    def run() -> None:
        noted()

    return ConformanceCheck(name=name, why=why, run=run, component=component, examine=noted)


def expected_to_fail(check: ConformanceCheck, reason: str) -> ConformanceCheck:
    """Return the check turned round: it passes while ``check`` fails, and says so once that passes."""

    def examine() -> str:
        try:
            check.run()
        except AssertionError:
            return f"fails as expected: {reason}"
        raise ConformanceError(
            found=f'"{check}" passes',
            expected=f"a failure ({reason})",
            fix="remove it from expected_failures",
        )

    return conformance(check.component, name=check.name, why=check.why, examine=examine)
