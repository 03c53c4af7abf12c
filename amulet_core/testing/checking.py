"""The checking of components for a user: the conformance kit and the checks that components ship, told as a report."""

import contextlib
from collections.abc import Iterable
from textwrap import fill
from unittest import SkipTest

from amulet_core.checks import Check
from amulet_core.discovery.entries import Entry
from amulet_core.discovery.plugins import LoadedPlugin, trouble
from amulet_core.discovery.registry import Registry
from amulet_core.errors import RequestError, did_you_mean
from amulet_core.testing import component_checks, own_checks
from amulet_core.testing.findings import ConformanceCheck, ConformanceError
from amulet_core.testing.mending import raised
from amulet_core.testing.static import light_import
from amulet_core.vocabulary import KINDS

_WIDTH = 110
_HEADED = ("later: ", "found: ", "expected: ", "fix: ", "why: ")
_SKIPPED = "Skipped"
"""What ``pytest.skip`` raises, by its name: pytest need not be there where components are checked."""
_TITLES = {"ok": "ok", "failed": "FAILED", "warning": "warning", "not checked": "not checked"}


def run_checks(name: str, registry: Registry) -> int:
    """Check a plugin, or the components of a name, and print a report; return 0, or 1 if a check failed.

    What is not checked says why; by itself, as where the files of a data set are not there, it is no failure.

    Raises:
        RequestError: if ``name`` is neither a plugin nor a component.
    """
    plugins = [plugin for plugin in registry.plugins if plugin.found.name == name]
    loaded = [plugin for plugin in plugins if isinstance(plugin, LoadedPlugin)]
    if plugins and not loaded:
        raise RequestError(*(trouble(plugin) for plugin in plugins if not isinstance(plugin, LoadedPlugin)))
    entries = [entry for entry in registry.entries if entry.plugin == name] if loaded else _meant(name, registry)
    outcomes: list[str] = []
    for plugin in loaded:
        _say(f"plugin {plugin.found.whose}")
        outcomes += _all([light_import(plugin)])
    for entry in entries:
        _say(f"{entry.component.kind} {entry.id} ({entry.distribution} {entry.version})")
        outcomes += [*_all(component_checks(entry)), *_all(own_checks(entry))]
    return _summed_up(outcomes)


def _meant(name: str, registry: Registry) -> list[Entry]:
    """Return the components of a name, of each kind that has one."""
    found = []
    for kind in KINDS:
        with contextlib.suppress(RequestError):
            found.append(registry.find(kind, name))
    if found:
        return found
    try:
        return [registry.find(None, name)]
    except RequestError as error:
        hint = did_you_mean(name, (plugin.found.name for plugin in registry.plugins))
        raise RequestError(
            *error.problems, *([f'There is no plugin "{name}" either{hint}'] if "/" not in name else [])
        ) from error


def _all(checks: Iterable[Check]) -> list[str]:
    outcomes, because = [], ""
    for check in checks:
        try:
            outcomes.append(_one(check))
            because = ""
        except SkipTest as error:
            # Of several in a row that one failure prevents, the first says so.
            before, because = because, str(error).removeprefix("not checked, ")
            outcomes.append(_told(check.name, "", "not checked", *([because] if because != before else [])))
    return outcomes


def _one(check: Check) -> str:
    try:
        note = _noted(check)
    except (KeyboardInterrupt, SkipTest):
        raise
    except ConformanceError as error:
        later = _later(check)
        return _told(
            check.name,
            check.why,
            "warning" if later else "failed",
            *later,
            f"found:    {error.found}",
            f"expected: {error.expected}",
            f"fix:      {error.fix}",
        )
    except AssertionError as error:
        return _told(check.name, check.why, "failed", f"found:    {error}")
    except BaseException as error:  # a check may run into whatever its component raises, SystemExit too
        if type(error).__name__ == _SKIPPED:
            raise SkipTest(str(error)) from error
        return _told(check.name, check.why, "failed", f"found:    {raised(error)}")
    return _told(check.name, "", "ok", *([note] if note else []))


def _later(check: Check) -> list[str]:
    """Say when a check that only warns will fail."""
    if isinstance(check, ConformanceCheck) and check.only_warns:
        return [f"later:    a failure from amulet-framework {check.fails_from} on"]
    return []


def _noted(check: Check) -> str:
    if isinstance(check, ConformanceCheck):
        return check.examine()
    check.run()
    return ""


def _told(name: str, why: str, outcome: str, *lines: str) -> str:
    """Print the outcome of one check, and return it."""
    _say(f"  {_TITLES[outcome]:<11} {name}")
    for line in (*lines, *([f"why:      {why}"] if why else [])):
        hang = " " * (24 if line.startswith(_HEADED) else 14)
        _say(fill(line, _WIDTH, initial_indent=" " * 14, subsequent_indent=hang, break_long_words=False))
    return outcome


def _summed_up(outcomes: list[str]) -> int:
    counts = [f"{outcomes.count(outcome)} {outcome}" for outcome in _TITLES if outcome in outcomes]
    _say(f"{len(outcomes)} checks: {', '.join(counts)}")
    return 1 if "failed" in outcomes else 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the report of a check is what it prints
