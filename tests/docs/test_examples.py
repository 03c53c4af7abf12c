"""Every example resolves against the components that there are, and compares something."""

from pathlib import Path

import pytest

import amulet_core as amulet
from amulet_core.configuration.reading import read, resolve

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_resolves_and_is_named_after_its_file(path: Path) -> None:
    request = resolve(read(path), amulet.discover(select=""))
    assert request.name == path.stem
    assert [row for row in request.rows if row.kind == "defense"]
    assert request.seeds >= 5


def test_both_inferences_of_the_membership_example_have_the_budget_of_the_defense() -> None:
    (path,) = [one for one in EXAMPLES if one.stem == "robust-membership"]
    request = resolve(read(path), amulet.discover(select=""))
    (defense,) = request.rows[-1].chain
    (risk,) = [one for one in request.risks if one.game.risk == "membership-inference"]
    used = {use.id: use.params for use in risk.attacks}
    assert {"builtin/loss-threshold", "builtin/confidence-adversarial"} <= set(used)
    adversarial = used["builtin/confidence-adversarial"]
    for name in ("norm", "epsilon"):
        assert getattr(adversarial, name) == getattr(defense.params, name)
