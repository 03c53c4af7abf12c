"""All built-in components conform, and pass the checks that they ship."""

import pytest

from amulet_core.registry import discover
from amulet_core.testing import plugin_checks, shipped_checks
from amulet_core.testing.findings import NotCheckedError

SHIPPED = [
    pytest.param(check, id=f"{entry.id}: {check.name}")
    for entry in discover(select="").entries
    for check in shipped_checks(entry)
]

# No machine is required to hold these: they may not be passed on, or are the user's own. Their own tests write small ones.
ELSEWHERE = ("cifar10", "cifar100", "celeba", "lfw", "utkface", "table-file", "image-folder")


@pytest.mark.parametrize("check", plugin_checks("builtin"), ids=str)
def test_the_builtin_components_conform(check, lacking):
    try:
        check.run()
    except NotCheckedError as error:
        if "AMULET_DATA" not in str(error):
            raise
        if check.component in ELSEWHERE:
            pytest.skip(str(error))
        lacking("data", str(error))


@pytest.mark.parametrize("check", SHIPPED)
def test_the_builtin_components_pass_their_own_checks(check):
    check.run()


@pytest.mark.parametrize("kind", ["dataset", "model", "defense", "attack", "metric"])
def test_no_built_in_component_is_without_checks(kind):
    entries = discover(select="").list(kind)
    assert entries
    assert [entry.id for entry in entries if not shipped_checks(entry)] == []
