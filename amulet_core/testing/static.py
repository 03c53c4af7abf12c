"""Conformance of descriptors: what can be checked without running a component."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import partial
from inspect import signature
from typing import Any, Final

from amulet_core.components import Attack, Component, Defense, LabRequest, Metric
from amulet_core.discovery.entries import Entry
from amulet_core.discovery.loading import known_risk
from amulet_core.discovery.plugins import LoadedPlugin
from amulet_core.errors import RequestError, cause_of
from amulet_core.games.table import GAMES
from amulet_core.planned import Planned
from amulet_core.testing.findings import TARGETS, ConformanceCheck, ConformanceError, conformance
from amulet_core.testing.parameters import DEFAULTS, default_params, described_and_limited, survive_json
from amulet_core.testing.toys import SETTINGS, TOYS, Toy
from amulet_core.vocabulary import Stage

HEAVY: Final = (
    "fairlearn",
    "jax",
    "matplotlib",
    "numpy",
    "opacus",
    "pandas",
    "scipy",
    "sklearn",
    "tensorflow",
    "torch",
    "torchvision",
    "transformers",
)
_ARGUMENTS: Final = {
    "dataset": ("params",),
    "model": ("params", "schema"),
    "attack": ("view", "params"),
    "metric": ("result", "params"),
    "reporter": ("results", "path", "params"),
    "executor": ("params", "setting"),
}
_STAGE_ARGUMENTS: Final[dict[Stage, tuple[str, ...]]] = {
    "data": ("data", "params"),
    "training": ("training", "params", "context"),
    "model": ("fitted", "data", "params"),
    "inference": ("probabilities", "params"),
}
_VERIFY_ARGUMENTS: Final = ("view", "params")
_PROBE: Final = """
import sys
from importlib import import_module
before = set(sys.modules)
module, _, name = sys.argv[1].partition(":")
plugin = import_module(module)
for part in filter(None, name.split(".")):
    plugin = getattr(plugin, part)
if hasattr(plugin, "amulet_components"):
    list(plugin.amulet_components())
print(*sorted(set(sys.argv[2:]) & (set(sys.modules) - before)))
"""


def light_import(plugin: LoadedPlugin) -> ConformanceCheck:
    """Return the check that importing a plugin, and asking for its components, imports nothing heavy."""
    return conformance(
        plugin.found.name,
        name="importing the plugin imports nothing heavy",
        why="amulet list imports every installed plugin; torch alone costs seconds",
        examine=partial(_imports_nothing_heavy, plugin.found.target),
    )


def static_checks(component: str, entry: Entry) -> tuple[ConformanceCheck, ...]:
    """Return the checks of a component's descriptor."""
    return tuple(
        conformance(component, name=name, why=why, examine=partial(examine, entry))
        for name, why, examine in _checks(entry.component)
    )


def _checks(component: Component) -> Iterator[tuple[str, str, Callable[[Entry], None]]]:
    yield "its summary is a sentence", "lists and reports show it as one", _summary
    yield "it has references", "a reader must be able to look up what it does", _references
    yield (
        "every parameter is described, and every number has limits",
        "a value that makes no sense must be refused before anything runs",
        described_and_limited,
    )
    yield DEFAULTS, "configurations, results and job keys hold them as JSON", survive_json
    yield TARGETS, "a run calls them by position", _targets
    yield (
        "what it says of data is light and of the right type",
        "plans ask applicable(), impossible(), outmatched() and needs() before anything is loaded",
        _planning,
    )
    if hasattr(component, "risk"):
        yield "its risk is a known one", "a cell belongs to a risk's column", _risk
    if isinstance(component, Attack):
        yield "it states its threat model", "success means nothing without what the adversary knows", _threat
    if isinstance(component, Metric):
        yield "its values have names of their own", "values are looked up by name", _measures


def _imports_nothing_heavy(target: str) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", _PROBE, target, *HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)  # noqa: S603 - our own
    heavy = done.stdout.split()
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise ConformanceError(
            found=f"importing {target} in a fresh process failed: {last.rstrip('.')}",
            expected="that it can be imported by itself",
            fix="see that its module needs nothing but amulet_core's light modules",
        )
    if heavy:
        raise ConformanceError(
            found=f"importing {target} imports {', '.join(heavy)}",
            expected="nothing heavy",
            fix="keep descriptors and Params in light modules, and import the rest where targets are",
        )


def _summary(entry: Entry) -> None:
    summary = entry.component.summary
    if not summary.endswith(".") or summary[0].islower():
        raise ConformanceError(
            found=f'"{summary}"', expected="a sentence", fix="begin with a capital and end with a full stop"
        )


def _references(entry: Entry) -> None:
    if not entry.component.references:
        raise ConformanceError(
            found="no reference",
            expected="one at least",
            fix='give references=(Reference(title="...", where="arXiv:..."),)',
        )


def _targets(entry: Entry) -> None:
    for target, arguments in _documented(entry.component):
        expected = f"a function of ({', '.join(arguments)})"
        try:
            function = entry.load(target)
        except RequestError as error:
            raise ConformanceError(
                found=f"{target} cannot be loaded: {cause_of(error.__cause__ or error).rstrip('.')}",
                expected=expected,
                fix=f"see that the target names a module, and a function in it{_hint(target)}",
            ) from error
        problem = _call_problem(function, arguments)
        if problem:
            raise ConformanceError(
                found=f"{target} {problem}", expected=expected, fix="take these arguments, by position and no others"
            )


def _hint(target: str) -> str:
    """Return what of the target's module is called nearly so, in brackets; nothing where nothing is."""
    module, _, name = target.partition(":")
    known = vars(sys.modules[module]) if module in sys.modules else {}
    close = get_close_matches(name, [own for own, value in known.items() if callable(value)], n=1)
    return f' (perhaps "{close[0]}")' if close else ""


def _documented(component: Component) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield every target of a component with the arguments that it is called with."""
    if isinstance(component, Defense):
        for stage, target in component.stages.items():
            yield target, _STAGE_ARGUMENTS[stage]
        first = next(iter(component.stages), None)
        yield component.target, _STAGE_ARGUMENTS[first] if first else _VERIFY_ARGUMENTS
        for more, taken in (
            (component.verify, _VERIFY_ARGUMENTS),
            (component.rebuild, ("build", "params", "schema")),
            (component.certify, ("question", "params")),
            (component.explain, ("question", "params")),
        ):
            if more:
                yield more, taken
    else:
        yield component.target, _ARGUMENTS[component.kind]
    if component.checks:
        yield component.checks, ()


def _call_problem(function: Any, arguments: tuple[str, ...]) -> str:
    if not callable(function):
        return f"is {function!r:.40}, which cannot be called"
    try:
        signature(function).bind(*arguments)
    except TypeError as error:
        return f"has the signature {signature(function)}: {error}"
    except ValueError:  # a function in C may have no signature to look at
        return ""
    return ""


def _planning(entry: Entry) -> None:
    component, params = entry.component, default_params(entry)
    for toy in TOYS:
        if toy.schema.modality not in component.modality:
            continue
        planned = _planned(component, toy)
        asked: list[tuple[str, Callable[[Any, Any], Any], Any, type[list[Any] | tuple[Any, ...]], type]] = [
            ("applicable", component.applicable, toy.schema, list, str),
            ("impossible", component.impossible, planned, list, str),
        ]
        if isinstance(component, Attack):
            asked.append(("needs", component.needs, toy.schema, tuple, LabRequest))
        if isinstance(component, Defense):
            asked.append(("outmatched", component.outmatched, planned, list, str))
        for name, function, about, container, item in asked:
            _answers_with(f"{name}() on {toy.label}", partial(function, params, about), container, item)


def _planned(component: Component, toy: Toy) -> Planned:
    """Return a run of a hundred training rows on a toy, under the default threat model of the component's risk."""
    schema, risk = toy.schema, str(getattr(component, "risk", ""))
    return Planned(
        schema=schema,
        class_rows=tuple(200 for _ in schema.classes),
        group_rows=tuple(
            tuple(200 * len(schema.classes) // len(one.categories) for _ in one.categories) for one in schema.sensitive
        ),
        train=100,
        val=50,
        test=100,
        aux=50,
        training=SETTINGS,
        threat=GAMES[risk].threat() if risk in GAMES else None,
    )


def _answers_with(what: str, call: Callable[[], Any], container: type[list[Any] | tuple[Any, ...]], item: type) -> None:
    expected, fix = f"a {container.__name__} of {item.__name__}", "return an empty one where there is nothing to say"
    try:
        answer = call()
    except Exception as error:
        found = f"{what} raised {cause_of(error).rstrip('.')}"
        raise ConformanceError(found=found, expected=expected, fix=fix) from error
    if not isinstance(answer, container) or not all(isinstance(one, item) for one in answer):
        raise ConformanceError(found=f"{what} returned {answer!r}", expected=expected, fix=fix)


def _risk(entry: Entry) -> None:
    if not known_risk(entry.risk or ""):
        raise ConformanceError(
            found=f'the risk "{entry.risk}"',
            expected="a risk of the framework, or plugin/name",
            fix="see amulet list --help for the risks, or write your plugin's name before the slash",
        )


def _threat(entry: Entry) -> None:
    if not getattr(entry.component, "threat", "").strip():
        raise ConformanceError(
            found="no threat model",
            expected="the adversary's goal, knowledge and capability in a sentence or two",
            fix='give threat="..."',
        )


def _measures(entry: Entry) -> None:
    component = entry.component
    names = [measure.name for measure in component.measures] if isinstance(component, Metric) else []
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConformanceError(
            found=f"{', '.join(twice)} is declared more than once", expected="each name once", fix="rename one"
        )
