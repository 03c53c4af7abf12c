from importlib import import_module

import pytest

from amulet_plugin_art import attacks, defenses


def shipped_checks():
    for component in (*attacks.COMPONENTS, *defenses.COMPONENTS):
        module, function = component.checks.split(":")
        for check in getattr(import_module(module), function)():
            yield pytest.param(check, id=f"{component.name}: {check.name}")


@pytest.mark.parametrize("check", list(shipped_checks()))
def test_every_shipped_check_holds(check):
    check.run()
