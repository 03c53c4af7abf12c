"""The checks that components ship, as the kit runs them: seeded, so that the same check draws the same bits."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from amulet_core.checks import Check
from amulet_core.discovery.entries import Entry
from amulet_core.errors import cause_of
from amulet_core.streams import isolated
from amulet_core.testing.findings import ConformanceCheck, ConformanceError, conformance

MADE = "the checks that it ships can be made"
T = TypeVar("T")


def shipped_checks(entry: Entry) -> tuple[Check, ...]:
    """Return the known-answer and power checks that a component ships.

    Each is run with the global generators seeded from the component's id and the check's name; afterwards all that is
    global is put back. Making the checks is seeded likewise.

    Raises:
        RequestError: if they cannot be loaded.
        TypeError: if what is made are no checks.
    """
    if entry.component.checks is None:
        return ()
    made = _seeded(entry.load(entry.component.checks), _key(entry))()
    strange = next((one for one in made if not isinstance(one, Check)), None)
    if strange is not None:
        raise TypeError(f"{entry.component.checks} gave {type(strange).__name__}, not amulet_core.checks.Check")
    return tuple(_as_run(check, entry) for check in made)


def own_checks(entry: Entry, label: str = "") -> tuple[ConformanceCheck, ...]:
    """Return what ``shipped_checks`` does, as checks of a component that is called ``label`` (its name).

    Checks that cannot be made are one check, which fails.
    """
    component = label or entry.component.name
    try:
        return tuple(_of(component, check) for check in shipped_checks(entry))
    except Exception as error:  # noqa: BLE001 - whatever making the checks raises is a finding
        return (_unmade(component, error),)


def _as_run(check: Check, entry: Entry) -> Check:
    key = (*_key(entry), check.name)
    run = _seeded(check.run, key)
    if isinstance(check, ConformanceCheck):
        return replace(check, run=run, examine=_seeded(check.examine, key))
    return replace(check, run=run)


def _key(entry: Entry) -> tuple[str, ...]:
    return ("shipped check", entry.component.kind, entry.id)


def _seeded(call: Callable[[], T], key: tuple[str, ...]) -> Callable[[], T]:
    def seeded() -> T:
        with isolated(*key):
            return call()

    return seeded


def _of(component: str, check: Check) -> ConformanceCheck:
    if isinstance(check, ConformanceCheck):
        return replace(check, component=component)

    def examine() -> str:
        check.run()
        return ""

    return conformance(component, name=check.name, why=check.why, examine=examine)


def _unmade(component: str, error: Exception) -> ConformanceCheck:
    found = cause_of(error).rstrip(".")

    def examine() -> None:
        raise ConformanceError(
            found=found,
            expected="a function without arguments that returns a tuple of amulet_core.checks.Check",
            fix="mend what is raised, or what checks= names",
        ) from error

    why = "checks that nobody can run prove nothing"
    return conformance(component, name=MADE, why=why, examine=examine)
