"""The importing and checking of one plugin: it comes in whole, or not at all and with the cause named."""

import time
import traceback
from collections.abc import Iterable, Iterator
from typing import Final

from importlib_metadata import EntryPoint
from pluggy import PluginManager, PluginValidationError
from pydantic import BaseModel, ValidationError

from amulet_core import hooks
from amulet_core.components import Attack, Component, Dataset, Defense, Executor, Metric, Model, Reporter
from amulet_core.discovery.plugins import BrokenPlugin, FoundPlugin, LoadedPlugin
from amulet_core.errors import cause_of, did_you_mean
from amulet_core.vocabulary import COLUMNS

DESCRIPTORS: Final = (Dataset, Model, Defense, Attack, Metric, Reporter, Executor)
HOOKS: Final = ("amulet_components", *hooks.OBSERVERS)


class PluginError(Exception):
    """Something is wrong with a plugin; the text says what, and what was expected."""


def load_plugin(found: FoundPlugin) -> LoadedPlugin | BrokenPlugin:
    """Import a plugin, verify its hooks against their specification, and check every component it contributes.

    Whatever it raises makes it broken, ``SystemExit`` included; only ``KeyboardInterrupt`` passes through.
    """
    start = time.perf_counter()
    try:
        manager = _verified(found, EntryPoint(name=found.name, value=found.target, group="").load())
        components = tuple(_components(manager))
    except KeyboardInterrupt:
        raise
    except PluginError as error:
        return BrokenPlugin(found, str(error))
    except BaseException as error:  # a plugin may call sys.exit while it is imported; nobody else pays for that
        return BrokenPlugin(found, _explained(error), traceback.format_exc())
    return LoadedPlugin(found, components, seconds=time.perf_counter() - start, hooks=manager)


def known_risk(risk: str) -> bool:
    """Tell whether a risk is one of the framework's, or of the form ``plugin/name`` that plugins add."""
    return risk in COLUMNS or (risk.count("/") == 1 and all(risk.split("/")))


def _explained(error: BaseException) -> str:
    if not isinstance(error, ValidationError):
        return cause_of(error)
    faults = (f"{'.'.join(map(str, fault['loc'])) or 'value'}: {fault['msg']}" for fault in error.errors())
    return f"the descriptor {error.title} is wrong: " + "; ".join(faults)


def _verified(found: FoundPlugin, plugin: object) -> PluginManager:
    """Register a plugin in a manager of its own, where no other plugin is there to be harmed by it."""
    manager = PluginManager("amulet")
    manager.add_hookspecs(hooks)
    try:
        manager.register(plugin, name=found.name)
    except PluginValidationError as error:
        raise PluginError(f"{cause_of(error)}. Use the arguments that amulet_core.hooks specifies") from None
    callers = manager.get_hookcallers(plugin) or []
    if not callers:
        raise PluginError(
            "it implements no hook. Decorate a function called amulet_components with amulet_core.hookimpl"
        )
    _refuse_unknown(manager, sorted(caller.name for caller in callers if not caller.has_spec()))
    for caller in callers:
        if any(implementation.wrapper or implementation.hookwrapper for implementation in caller.get_hookimpls()):
            raise PluginError(
                f"it wraps the hook {caller.name}. Hooks are implemented, never wrapped: drop the wrapper"
            )
    return manager


def _refuse_unknown(manager: PluginManager, unspecified: list[str]) -> None:
    try:
        manager.check_pending()
    except PluginValidationError:
        hint = did_you_mean(unspecified[0], HOOKS)
        raise PluginError(
            f"it implements an unknown hook, {unspecified[0]}{hint} The hooks are {', '.join(HOOKS)}"
        ) from None


def _components(manager: PluginManager) -> Iterator[Component]:
    if not manager.hook.amulet_components.get_hookimpls():
        return
    answers = manager.hook.amulet_components()  # pluggy leaves out None
    offered = answers[0] if answers else None
    if not isinstance(offered, Iterable) or isinstance(offered, BaseModel):
        raise PluginError(
            f"amulet_components returned {_described(offered)}, expected an iterable of descriptors such as Attack(...)"
        )
    seen: set[tuple[str, str]] = set()
    for index, item in enumerate(offered):
        component = _checked(index, item)
        if (component.kind, component.name) in seen:
            raise PluginError(
                f"item {index} of amulet_components is a second {component.kind} called {component.name}: rename one"
            )
        seen.add((component.kind, component.name))
        yield component


def _checked(index: int, item: object) -> Component:
    if not isinstance(item, DESCRIPTORS):
        expected = ", ".join(descriptor.__name__ for descriptor in DESCRIPTORS)
        raise PluginError(
            f"item {index} of amulet_components is {_described(item)}, expected one of the descriptors {expected}"
        )
    risk = getattr(item, "risk", None)
    if risk is not None and not known_risk(risk):
        raise PluginError(
            f'item {index} of amulet_components, the {item.kind} {item.name}, has the unknown risk "{risk}"'
            f"{did_you_mean(risk, COLUMNS)} There are: {', '.join(COLUMNS)}. A risk of your own is called plugin/name"
        )
    return item


def _described(value: object) -> str:
    if value is None:
        return "None"
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} (of type {type(value).__name__})"
