"""All built-in components conform, and pass the checks that they ship."""

from dataclasses import replace

import pytest

from amulet_core.discovery.registry import discover
from amulet_core.testing import component_checks, plugin_checks, shipped_checks
from amulet_core.testing.findings import ConformanceError, NotCheckedError

# No machine is required to hold these: they may not be passed on, or are the user's own. Their own tests write small ones.
ELSEWHERE = ("cifar10", "cifar100", "celeba", "lfw", "utkface", "table-file", "image-folder")


@pytest.mark.parametrize("check", plugin_checks("builtin"), ids=str)
def test_the_builtin_components_conform_and_pass_their_own_checks(check, lacking):
    try:
        check.run()
    except NotCheckedError as error:
        if "AMULET_DATA" not in str(error):
            pytest.fail(str(error))  # left alone, it would skip the test
        if check.component in ELSEWHERE:
            pytest.skip(str(error))
        lacking("data", str(error))


TRAINING = [entry for entry in discover(select="").list("defense") if "training" in entry.component.stages]


@pytest.mark.parametrize("entry", [one for one in TRAINING if one.component.wraps_fit], ids=lambda one: one.id)
def test_a_builtin_defense_that_declares_a_fit_of_its_own_has_one(entry):
    undeclared = replace(entry, component=entry.component.model_copy(update={"wraps_fit": False}))
    name = "it says if it does more than its objective says"
    (check,) = (one for one in component_checks(undeclared) if one.name == name)
    with pytest.raises(ConformanceError, match=r"its fit (calls the one that it wraps|hands)"):
        check.run()


@pytest.mark.parametrize("kind", ["dataset", "model", "defense", "attack", "metric"])
def test_no_built_in_component_is_without_checks(kind):
    entries = discover(select="").list(kind)
    assert entries
    assert [entry.id for entry in entries if not shipped_checks(entry)] == []
